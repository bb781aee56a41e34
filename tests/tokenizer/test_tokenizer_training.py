"""train_tokenizer: equal bytes for equal text, reports beside the model, nothing replaced, a gate."""

import hashlib
import itertools
import json

import pytest
import sentencepiece
from gcs_server import GcsServer
from toy_text import DIGITS, WORDS, documents, vocabulary, write_jsonl

import run
from polylm_jax.errors import InputError
from polylm_jax.text.held_out import is_held_out
from polylm_jax.tokenizer.tokenizer import Tokenizer
from polylm_jax.tokenizer.train import train_tokenizer
from tasks import corpus

NUMBER = itertools.count()
SMALL = {"vocab_size": 700, "num_threads": 2, "character_coverage": 1.0, "max_repeats": 1.0}


def register(folder, monolingual, **options):
    return corpus.register(
        str(folder), "none.model", monolingual, name=f"trained{next(NUMBER)}", **options
    )


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Tasks of every toy language, a fifth of each held out."""
    folder = tmp_path_factory.mktemp("text")
    files = {
        language: write_jsonl(folder / f"{language}.jsonl", documents(language, 200))
        for language in WORDS
    }
    return register(folder, files, held_out=0.2)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_two_runs_write_the_same_bytes(tasks, tmp_path, model_type):
    written = []
    for again in "ab":
        output = tmp_path / again / "v.model"
        train_tokenizer(tasks, str(output), model_type=model_type, **SMALL)
        assert names(output.parent) == ["v.gin", "v.json", "v.md", "v.model"]
        written.append(output.read_bytes())
    assert written[0] == written[1]
    smaller = {"model_type": model_type, "characters": 40_000, **SMALL}
    for seed in (0, 1):
        train_tokenizer(tasks, str(tmp_path / f"{seed}.model"), seed=seed, **smaller)
    assert (tmp_path / "0.model").read_bytes() != (tmp_path / "1.model").read_bytes()


def test_the_report_says_how_it_was_made(tasks, tmp_path, capsys):
    output = tmp_path / "new" / "v.model"
    (tmp_path / "reference.model").write_bytes(vocabulary("unigram"))
    reference = str(tmp_path / "reference.model")
    rows = train_tokenizer(
        tasks, str(output), reference=reference, recipe="SEED = 3\n", seed=3, **SMALL
    )
    report = json.loads(output.with_suffix(".json").read_text())
    content = output.read_bytes()
    assert report["sha256"] == hashlib.sha256(content).hexdigest()
    assert report["sentencepiece"] == sentencepiece.__version__
    assert report["reference_sha256"] == Tokenizer.load(reference).fingerprint
    wanted = {"num_threads": 2, "seed": 3, "vocab_size": 700, "model_type": "bpe", "alpha": 0.3}
    assert wanted.items() <= report["options"].items()
    assert set(report["sample"]) == set(WORDS)
    assert report["sample"]["th"]["train_bytes"] > 2 * report["sample"]["th"]["train_characters"]
    assert report["cut_lines"] == 0 and report["lines"] > 1000
    assert {row["language"]: row["ratio"] for row in report["fertility"]} == {
        row.language: row.ratio for row in rows
    }
    assert all(row.text == "held-out" and row.ratio > 0 for row in rows)
    shown, saved = capsys.readouterr().out, output.with_suffix(".md").read_text()
    for row in rows:
        assert f"{row.bytes_per_token:.2f}" in shown and f"{row.bytes_per_token:.2f}" in saved
    assert output.with_suffix(".gin").read_text() == "SEED = 3\n"


def test_held_out_text_gives_no_pieces(tmp_path):
    marked = [
        f"{text} {'zyzzyvaquokka' if is_held_out(f'en{number}', 0.2) else 'capybara'}"
        for number, text in enumerate(documents("en", 300))
    ]
    assert 40 < sum("zyzzyva" in text for text in marked) < 80
    path = write_jsonl(tmp_path / "en.jsonl", marked)
    tasks = register(tmp_path, {"en": path}, held_out=0.2)
    train_tokenizer(tasks, str(tmp_path / "v.model"), **SMALL | {"vocab_size": 450})
    loaded = Tokenizer.load(str(tmp_path / "v.model"))
    assert len(loaded.encode(" capybara")) == 1
    assert len(loaded.encode(" zyzzyvaquokka")) > 6


def test_long_lines_are_cut_and_counted(tmp_path, capsys):
    lines = [text.replace("\n", " ") * 90 for text in documents("de", 20)]
    path = write_jsonl(tmp_path / "de.jsonl", lines)
    tasks = register(tmp_path, {"de": path}, held_out=0.0)
    train_tokenizer(tasks, str(tmp_path / "v.model"), **SMALL | {"vocab_size": 400})
    assert json.loads((tmp_path / "v.json").read_text())["cut_lines"] == 20
    assert "20 of 20 lines were cut" in capsys.readouterr().out


def test_a_vocabulary_is_not_replaced(tasks, tmp_path):
    output = tmp_path / "v.model"
    output.write_bytes(b"precious")
    with pytest.raises(InputError, match="v.model' exists"):
        train_tokenizer(tasks, str(output), **SMALL)
    assert names(tmp_path) == ["v.model"] and output.read_bytes() == b"precious"
    train_tokenizer(tasks, str(output), overwrite=True, **SMALL)
    assert Tokenizer.load(str(output)).vocab_size == 700


def test_a_refused_vocabulary_is_kept_under_another_name(tasks, tmp_path, capsys):
    output = tmp_path / "v.model"
    with pytest.raises(InputError, match=r"th has \d+\.\d+ bytes per token .*99.*v.refused.model"):
        train_tokenizer(tasks, str(output), min_bytes_per_token={"th": 99, "en": 1.0}, **SMALL)
    assert "bytes/" in capsys.readouterr().out
    assert not output.exists()
    assert Tokenizer.load(str(tmp_path / "v.refused.model")).vocab_size == 700
    assert "th has" in json.loads((tmp_path / "v.refused.json").read_text())["refused"]
    train_tokenizer(tasks, str(output), min_bytes_per_token=1.0, **SMALL)
    assert json.loads((tmp_path / "v.json").read_text())["refused"] == ""


def test_writing_to_a_bucket(tasks):
    with GcsServer() as server:
        train_tokenizer(tasks, "gs://bucket/some/v.model", **SMALL)
        found = server.buckets["bucket"]
        wanted = {f"some/v.{ending}" for ending in ("gin", "json", "md", "model")}
        assert set(found) == wanted
        assert Tokenizer.load("gs://bucket/some/v.model").vocab_size == 700
        with pytest.raises(InputError, match="exists"):
            train_tokenizer(tasks, "gs://bucket/some/v.model", **SMALL)
        with pytest.raises(InputError, match="gs://nowhere"):
            train_tokenizer(tasks, "gs://nowhere/v.model", **SMALL)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tasks": ()}, "tasks is empty"),
        ({"tasks": "missing"}, "task 'missing' isn't registered"),
        ({"output": "v.vocab"}, "output = 'v.vocab' must end in NAME.model"),
        ({"output": ""}, "output = '' must end in NAME.model"),
        ({"output": "/proc/none/v.model"}, "output = '/proc/none'"),
        ({"model_type": "unigramm"}, "model_type = 'unigramm' .* Did you mean 'unigram'"),
        ({"vocab_size": 300}, "vocab_size = 300 must lie between 310"),
        ({"vocab_size": 250_000}, r"vocab_size = 250000 is more .* set it to \d+ or less"),
        ({"alpha": -0.3}, "alpha = -0.3"),
        ({"characters": 0}, "characters = 0"),
        ({"max_repeats": 0.5}, "max_repeats = 0.5"),
        ({"character_coverage": 99.95}, "character_coverage = 99.95"),
        ({"num_threads": 0}, "num_threads = 0"),
        ({"vocab_size": "700"}, "vocab_size = '700'"),
        ({"characters": 0.5}, "characters = 0.5: give a whole number"),
        ({"reference": "missing.model"}, "vocabulary = 'missing.model' can't be read"),
        ({"min_ratio": 1.0}, "min_ratio = 1.0 needs a reference"),
        ({"min_bytes_per_token": {"xx": 2.0}}, "xx"),
        ({"min_bytes_per_token": {"he": 2.0}}, "'he'.* without text"),
    ],
)
def test_wrong_options_are_refused(tasks, tmp_path, options, sentence):
    given = {"tasks": tasks, "output": str(tmp_path / "v.model")} | SMALL | options
    with pytest.raises(InputError, match=sentence) as refused:
        train_tokenizer(**given)
    assert "\n" not in str(refused.value)
    assert not [name for name in names(tmp_path) if name.endswith((".model", ".json", ".md"))]


def test_the_mode_reads_gin(tmp_path, capsys):
    write_jsonl(tmp_path / "th.jsonl", documents("th", 200))
    (tmp_path / "mine.gin").write_text(
        f"""
from __gin__ import dynamic_registration
from tasks import corpus
include 'runs/tokenizer.gin'
TASKS = @corpus.register()
corpus.register.data_dir = {str(tmp_path)!r}
corpus.register.vocabulary = %VOCABULARY
corpus.register.monolingual = {{'th': 'th.jsonl'}}
corpus.register.name = 'gin_trained'
VOCABULARY = {str(tmp_path / "v.model")!r}
VOCAB_SIZE = 450
"""
    )
    command = ["train_tokenizer", f"--gin_file={tmp_path / 'mine.gin'}"]
    assert run.main(command) == 0, capsys.readouterr().err
    assert "VOCAB_SIZE = 450" in (tmp_path / "v.gin").read_text()
    assert run.main(command) == 2
    assert capsys.readouterr().err.startswith(f"output = '{tmp_path}/v.model' exists")


def test_real_text_of_18_languages(data_dir, tmp_path):
    monolingual = {f"{path.stem}.tldr": str(path) for path in data_dir.glob("tldr/??.jsonl")}
    monolingual |= {f"{path.stem}.udhr": str(path) for path in data_dir.glob("udhr/*.txt")}
    tasks = register(data_dir, monolingual)
    output = str(tmp_path / "v.model")
    options = {"vocab_size": 8000, "characters": 3_000_000, "num_threads": 2}
    rows = {row.language: row for row in train_tokenizer(tasks, output, **options)}
    assert len(rows) == 18
    assert all(row.bytes_per_token > 2 for row in rows.values())
    assert rows["en"].text == "held-out"
    loaded = Tokenizer.load(output)
    for path in data_dir.glob("udhr/*.txt"):
        text = path.read_text(encoding="utf-8")
        assert loaded.decode(loaded.encode(text)) == text.replace("\u2581", " ")
    pieces = [loaded.processor.id_to_piece(i) for i in range(259, loaded.vocab_size)]
    assert not [p for p in pieces if len(p) > 1 and any(c.isdecimal() for c in p)]
    assert set(DIGITS["th"] + DIGITS["ar"]) <= set(pieces)
