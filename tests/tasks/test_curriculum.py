"""Curriculum: the paper's mixtures have the paper's shares, and its files are read as they come."""

import lzma
from collections import defaultdict
from math import fsum

import pytest
import seqio
import zstandard
from reading import everything, jsonl, texts, write

from polylm_jax.errors import InputError
from polylm_jax.languages import registry as languages
from tasks import curriculum

STAGES = {"polylm.stage1": languages.STAGE1, "polylm.stage2": languages.STAGE2}


@pytest.fixture(autouse=True)
def clean_registry():
    """The paper's names are fixed, so each test registers them anew."""
    yield
    for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
        for name in [n for n in registry.names() if n.startswith("polylm.")]:
            registry.remove(name)


def rates(mixture):
    found = seqio.MixtureRegistry.get(mixture)
    return {task.name: found.get_rate(task) for task in found.tasks}


def by(part, given):
    """Rates summed by source (part 1) or by language, code and parallel (part 2)."""
    total = defaultdict(float)
    for task, rate in given.items():
        key = task.split(".")[part]
        total["parallel" if "_" in key and part == 2 else key] += rate
    return dict(total)


@pytest.mark.parametrize("stage", STAGES)
def test_shares_are_the_papers(stage):
    curriculum.register("unused.model", "nowhere")
    given = rates(stage)
    assert fsum(given.values()) == pytest.approx(1, abs=1e-12)
    assert by(2, given) == pytest.approx(STAGES[stage])


def test_non_english_share_rises_from_32_to_60_percent():
    curriculum.register("unused.model", "nowhere")
    shares = [languages.non_english_share(by(2, rates(stage))) for stage in STAGES]
    assert [round(100 * share, 1) for share in shares] == [32.2, 60.5]


def test_sources_of_stage_1_are_nearly_table_1():
    """Table 1's own percentages: mC4 49.95, CC-100 32.31, Pile 16.41, GitHub 1.17, OPUS 0.16."""
    curriculum.register("unused.model", "nowhere")
    percent = {k: 100 * v for k, v in by(1, rates("polylm.stage1")).items()}
    table = {"mc4": 49.95, "cc100": 32.31, "pile": 16.41, "github": 1.17, "opus": 0.16}
    assert percent == pytest.approx(table, abs=0.3)


def test_sources_of_stage_2_are_figure_5():
    curriculum.register("unused.model", "nowhere")
    percent = {k: 100 * v for k, v in by(1, rates("polylm.stage2")).items()}
    figure = {"cc100": 35.88, "wikipedia": 17.58, "mc4": 2.28, "pile_arxiv": 14.79}
    figure |= {"pile_stackexchange": 12.31, "pile_books": 4.65, "github": 7.76, "opus": 4.76}
    assert percent == pytest.approx(figure, abs=0.02)


def test_both_directions_of_every_pair_with_english():
    tasks = curriculum.register("unused.model", "nowhere")
    given = rates("polylm.stage2")
    for code in curriculum.OTHERS:
        there, back = f"polylm.opus.en_{code}", f"polylm.opus.{code}_en"
        assert given[there] == given[back] > 0
        assert there in tasks and back in tasks
    assert len(curriculum.OTHERS) == 17


def test_sources_are_a_parameter():
    curriculum.register(
        "unused.model", "nowhere", stage1_others={"cc100": 2, "mc4": 1, "wikipedia": 1}
    )
    given = rates("polylm.stage1")
    assert given["polylm.cc100.th"] == pytest.approx(languages.STAGE1["th"] / 2)
    assert given["polylm.wikipedia.th"] == pytest.approx(languages.STAGE1["th"] / 4)


def test_names_that_sources_have_for_languages():
    curriculum.register("unused.model", "/data", tfds=["wikipedia"], tfds_data_dir="/tfds")
    paths = lambda task: seqio.TaskRegistry.get(task).source.reader.paths
    assert paths("polylm.mc4.he") == ("/data/mc4/c4-iw.tfrecord-*.json.gz",)
    assert paths("polylm.cc100.zh") == ("/data/cc100/zh-Hans.txt.xz", "/data/cc100/zh-Hant.txt.xz")
    assert paths("polylm.opus.en_th") == {
        "en": "/data/opus/en-th/*.en",
        "th": "/data/opus/en-th/*.th",
    }
    wikipedia = seqio.TaskRegistry.get("polylm.wikipedia.th").source.reader
    assert (wikipedia.paths, wikipedia.data_dir) == ("wikipedia/20230601.th", "/tfds")


def test_files_are_read_as_they_are_published(tmp_path):
    pile = [("ArXiv", "paper"), ("Github", "code"), ("Books3", "book"), ("StackExchange", "answer")]
    rows = [{"text": text, "meta": {"pile_set_name": name}} for name, text in pile]
    compressed = zstandard.ZstdCompressor().compress(jsonl(rows))
    write(tmp_path / "pile/00.jsonl.zst", compressed)
    write(tmp_path / "cc100/th.txt.xz", lzma.compress("หนึ่ง\nสอง\n\nสาม\n".encode()))
    write(tmp_path / "opus/en-th/A.en-th.en", "one\n")
    write(tmp_path / "opus/en-th/A.en-th.th", "หนึ่ง\n")
    write(tmp_path / "code/a.jsonl", jsonl([{"content": "print(1)"}]))
    curriculum.register(
        "unused.model",
        str(tmp_path),
        layout={"github": {"paths": "code/*.jsonl", "text": "content"}},
        held_out=0.0,
    )
    read = lambda task: texts(seqio.TaskRegistry.get(task).source)
    assert read("polylm.pile.en") == ["paper", "book", "answer"]
    assert read("polylm.pile_arxiv.en") == ["paper"]
    assert read("polylm.pile_books.en") == ["book"]
    assert read("polylm.pile_stackexchange.en") == ["answer"]
    assert read("polylm.cc100.th") == ["หนึ่ง\nสอง", "สาม"]
    assert read("polylm.github.code") == ["print(1)"]
    pair = everything(seqio.TaskRegistry.get("polylm.opus.th_en").source)[0]
    assert (pair["en"], pair["th"]) == ("one", "หนึ่ง")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tfds": ["pile"]}, "'pile' can't be prepared by TFDS"),
        ({"layout": {"githb": "x/*.jsonl"}}, "'githb' isn't one of the paper's. Did you mean"),
        ({"stage2_english": {"arxiv": 1}}, "'arxiv' isn't one of the paper's"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        curriculum.register("unused.model", "nowhere", **options)


def test_a_missing_source_is_said_when_it_is_listed(tmp_path):
    curriculum.register("unused.model", str(tmp_path))
    with pytest.raises(InputError, match="cc100/th.txt.xz' isn't there"):
        seqio.TaskRegistry.get("polylm.cc100.th").source.list_shards("train")
