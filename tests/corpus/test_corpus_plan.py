"""What is wrong is said before the first stage; what changed is done anew, and only that."""

import pathlib

import pytest
import toy_corpus

from polylm_jax.errors import InputError

DONE = "were done before"


@pytest.fixture
def raw(tmp_path) -> pathlib.Path:
    rows = [
        {"id": f"{c}{n}", "text": toy_corpus.document(c, n)} for c in ("en", "th") for n in range(5)
    ]
    toy_corpus.write_jsonl(tmp_path / "crawl.jsonl", rows)
    toy_corpus.write_jsonl(tmp_path / "test.jsonl", [{"question": toy_corpus.document("en", 2)}])
    toy_corpus.write_jsonl(tmp_path / "other.jsonl", [{"question": toy_corpus.document("th", 1)}])
    return tmp_path


def clean(raw: pathlib.Path, **options) -> set[str]:
    toy_corpus.clean(
        raw, {"crawl": "crawl.jsonl"}, languages=("en", "th"), overwrite=True, **options
    )
    return {row["id"] for c in ("en", "th") for row in toy_corpus.read(raw / "out", c)}


def benchmark(name: str) -> dict:
    return {"mine": {"files": name, "fields": ["question"]}}


def test_only_what_changed_is_done_anew(raw, capsys):
    everything = {f"{c}{n}" for c in ("en", "th") for n in range(5)}
    assert clean(raw) == everything
    for benchmarks, kept in [
        (benchmark("test.jsonl"), everything - {"en2"}),
        (benchmark("other.jsonl"), everything - {"th1"}),
        ({}, everything),
    ]:
        capsys.readouterr()
        assert clean(raw, benchmarks=benchmarks) == kept
        said = capsys.readouterr().out
        assert f"read: all 1 shards {DONE}" in said and f"rules: all 1 shards {DONE}" in said
        assert "done anew" in said and f"finish: all 1 shards {DONE}" not in said
    capsys.readouterr()
    assert clean(raw, limits={"all": {"characters": (10_000, None)}}) == set()
    said = capsys.readouterr().out
    assert f"read: all 1 shards {DONE}" in said
    assert (
        "rules: done anew, with all after it, since its settings changed (limits.all.char" in said
    )


def test_what_was_changed_back_gives_what_it_gave(raw):
    before = clean(raw, minhash_rows=2)
    bytes_before = {p.name: p.read_bytes() for p in (raw / "out").glob("*.zst")}
    clean(raw, minhash_rows=12, benchmarks=benchmark("test.jsonl"))
    assert clean(raw, minhash_rows=2) == before
    assert {p.name: p.read_bytes() for p in (raw / "out").glob("*.zst")} == bytes_before


def test_a_folder_of_another_version_is_refused(raw):
    (raw / "work").mkdir()
    (raw / "work" / "plan.json").write_text('{"min_confidence": 0.5}')
    with pytest.raises(InputError, match="begun by another version"):
        clean(raw)


def test_the_copy_without_a_test_item_stays(raw):
    story = toy_corpus.document("en", 2)
    rows = [
        {"id": "leaked", "text": f"{story} {toy_corpus.document('en', 4)[:90]}"},
        {"id": "clean", "text": story},
    ]
    toy_corpus.write_jsonl(raw / "crawl.jsonl", rows)
    toy_corpus.write_jsonl(raw / "test.jsonl", [{"question": toy_corpus.document("en", 4)[:90]}])
    assert len(clean(raw, minhash_rows=1)) == 1
    assert clean(raw, minhash_rows=1, benchmarks=benchmark("test.jsonl")) == {"clean"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"benchmarks": benchmark("nothing.jsonl")}, r"BENCHMARKS\['mine'\]: .*isn't there"),
        ({"benchmarks": {"m": {"files": "test.jsonl", "fields": ["answer"]}}}, "lacks a field"),
        ({"gold": {"en": "crawl.jsonl"}}, r"GOLD\['en'\] has 10 documents: give 20"),
        ({"work_dir": "crawl.jsonl/work"}, "WORK_DIR = .* can't be made"),
    ],
)
def test_it_is_said_before_anything_is_read(raw, options, sentence):
    if "gold" in options:
        pytest.importorskip("kenlm")
    with pytest.raises(InputError, match=sentence):
        clean(raw, **options)
    assert not (raw / "work" / "stages").exists()


def test_a_wrong_field_is_found_at_the_first_records(raw):
    toy_corpus.write_jsonl(raw / "other.jsonl", [{"content": "x", "url": "u"}] * 100_000)
    sources = {"crawl": "crawl.jsonl", "other": "other.jsonl"}
    with pytest.raises(
        InputError,
        match=r"'other'\] gave no document \(100 no text\); its fields are 'content', 'url'",
    ):
        toy_corpus.clean(raw, sources)
    assert not (raw / "work").exists()
