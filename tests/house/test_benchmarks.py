"""Benchmarks: every kind of task reads through SeqIO, in the files' order, one example per choice."""

import dataclasses
import os
import re

import pytest
import seqio
from reading import write
from toy_benchmarks import register_all, register_bits, squad, write_all

from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, RANK, ROLLING
from tasks.benchmarks import tydiqa, xcopa, xwinograd


@pytest.fixture(scope="module", name="folder")
def benchmark_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    write_all(folder)
    return folder


@pytest.fixture(scope="module")
def names(folder):
    return register_all(folder)


def examples(name, split=None):
    """What SeqIO gives for the scored split of a task."""
    task = seqio.get_mixture_or_task(name)
    split = split or protocol.find(name).split
    data = task.get_dataset(sequence_length=None, split=split, shuffle=False)
    return list(data.as_numpy_iterator())


def text(example, feature):
    return example[f"{feature}_pretokenized"].decode()


def test_seqio_reads_every_kind_of_task(names):
    """Of tasks that differ in the language alone, the last: the strings of all are golden."""
    kinds = {re.sub(r"\.\w\w(_\w\w)?", "", name, count=1): name for name in names}
    assert len(kinds) == 30
    for name in kinds.values():
        check_through_seqio(name)


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("POLYLM_SLOW_TESTS"),
    reason="reads 202 tasks through TensorFlow: POLYLM_SLOW_TESTS=1 runs it",
)
def test_seqio_reads_every_task(names):
    assert len(names) == 202
    for name in names:
        check_through_seqio(name)


def check_through_seqio(name):
    """Examples in order, each choice of each item once, and tokens that decode to the strings."""
    task, told = seqio.get_mixture_or_task(name), protocol.find(name)
    found = examples(name)
    items = len(task.source.items(told.split))
    per_item = told.choices if told.kind == RANK else 1
    width = 2 if told.kind == RANK else 1
    wanted = [(n, c)[:width] for n in range(items) for c in range(per_item)]
    assert [tuple(one["idx"]) for one in found] == wanted, name
    for one in found:
        for feature in ("inputs", "targets"):
            decoded = task.output_features[feature].vocabulary.decode(one[feature].tolist())
            assert decoded == text(one, feature), name


def test_an_item_has_one_right_choice(names):
    for name in names:
        task, told = seqio.get_mixture_or_task(name), protocol.find(name)
        targets = [task.postprocess_fn("", example=e, is_target=True) for e in rendered(name)]
        if told.kind == RANK:
            scores = [(0.0 if right else -1.0, 1) for _, right in targets]
            found = task.metric_fns[0](targets, scores)
            assert found[told.metric] == 100 and found["accuracy_sum"] == found["accuracy_mean"]
        else:
            predictions = [references[0] for references in targets]
            found = {k: v for fn in task.metric_fns for k, v in fn(targets, predictions).items()}
            assert found[told.metric] > 60, (name, found)


def rendered(name):
    """What a task gives, without TensorFlow."""
    task, told = seqio.get_mixture_or_task(name), protocol.find(name)
    return [
        example
        for number, item in enumerate(task.source.items(told.split))
        for example in task.preprocessors[0].render({**item, "number": number})
    ]


def test_python_and_seqio_give_the_same_strings(names):
    for name in ("xnli.th", "xwinograd.zh.one_shot", "tydiqa.ko.one_shot", "wmt20.en_ja.one_shot"):
        found = examples(name)
        for feature in ("inputs", "targets"):
            assert [one[feature] for one in rendered(name)] == [text(one, feature) for one in found]
    assert {name.split(".")[0] for name in names} >= {"xnli", "xwinograd", "tydiqa", "wmt20"}


def test_a_demonstration_is_never_the_item_itself(folder):
    given = {"data_dir": str(folder), "vocabulary": str(folder / "sp.model"), "shots": (1,)}
    (name,) = {n for n in xwinograd.register(**given) if n == "xwinograd.fr.one_shot"}
    first = [text(one, "inputs") for one in examples(name)]
    assert first == [text(one, "inputs") for one in examples(name)]
    task = seqio.get_mixture_or_task(name)
    shown = task.preprocessors[0].demonstrations
    items = task.source.items("test")
    assert [shown.of(0), shown.of(1)] == [[items[1]], [items[0]]]


def test_shards_of_a_benchmark_hold_each_item_once(names):
    source = seqio.get_mixture_or_task("xcopa.th").source
    numbers = [
        int(item["number"])
        for index in range(2)
        for item in source.get_dataset(
            "test", shard_info=seqio.ShardInfo(index, 2)
        ).as_numpy_iterator()
    ]
    assert sorted(numbers) == [0, 1] and "xcopa.th" in names


def test_protocols_say_how_a_number_was_made(names):
    told = protocol.find("xnli.ar.repaired.one_shot")
    assert told.describe() == "test split, one-shot, repaired, mean per token"
    assert (told.items, told.choices, told.demonstrations) == (5010, 3, "validation")
    assert protocol.find("xwinograd.zh.full").scoring == "log p(option + suffix | prefix)"
    assert protocol.find("xwinograd.ja.one_shot").demonstrations == "test minus the item"
    assert protocol.find("mtg_summary.de").kind == GENERATE
    assert "tok:zh" in protocol.find("wmt20.en_zh").note
    others = dataclasses.replace(protocol.find("xcopa.th"), fidelity="repaired")
    assert protocol.find("xcopa.th.repaired") == others
    assert len(names) == len(set(names))


def test_a_tuned_model_ends_its_answers_itself(folder):
    given = (str(folder), str(folder / "sp.model"), ["ko"])
    tuned = {"shots": (2,), "demonstrations": "validation", "stop": (), "ending": "\n\n"}
    write(
        folder / "two/tydiqa-goldp-dev-korean.json",
        squad([(f"korean-{n}", f"Context {n}.", "Which?", [str(n)]) for n in range(3)]),
    )
    files = {"validation": "two/tydiqa-goldp-dev-{name}.json"}
    (name,) = tydiqa.register(*given, files=files, **tuned)
    assert name == "tydiqa.ko.2_shot" and protocol.find(name).stop == ()
    (first, *_) = examples(name)
    assert text(first, "inputs").endswith("Context 0.\nWhich?\nAnswer:\n\n")
    assert text(first, "inputs").count("Answer:") == 3
    assert "until EOS" in protocol.find(name).describe()


def test_text_without_a_benchmark_has_bits_per_byte(folder):
    names = register_bits(folder, ["pl", "he"])
    assert names == ("bits.pl", "bits.he") and protocol.find("bits.pl").kind == ROLLING
    (one,) = examples("bits.pl")
    assert (text(one, "inputs"), text(one, "targets")) == ("", "ไทย\n\nłódź")
    task = seqio.get_mixture_or_task("bits.pl")
    size = task.postprocess_fn(None, example=one, is_target=True)
    assert size == (9 + 2 + 7, 3 + 2 + 4)


def test_the_sample_data(data_dir, folder):
    """XCOPA in six languages and XWinograd's original TSV in three: all items, none malformed."""
    given = {"data_dir": str(data_dir / "benchmarks"), "vocabulary": str(folder / "sp.model")}
    files = {"validation": "xcopa/val.{language}.jsonl"}
    sixth = ("id", "it", "th", "tr", "vi", "zh")
    source = xcopa.XCOPA._source("th", files, given["data_dir"])
    premises = [item["premise"] for item in source.items("validation")]
    assert len(premises) == 100 and not any(one.endswith(".") for one in premises)
    for language in sixth:
        assert (
            len(xcopa.XCOPA._source(language, files, given["data_dir"]).items("validation")) == 100
        )
    for language, count in (("fr", 83), ("pt", 263), ("ru", 315)):
        files = {"test": "xwinograd/fr_pt_ru.tsv"}
        found = xwinograd.XWINOGRAD._source(language, files, given["data_dir"]).items("test")
        assert len(found) == count == xwinograd.ITEMS[language]
        assert all(item["suffix"].strip() and item["prefix"].strip() for item in found)
