"""Tasks read before they tokenize: the same text and the same tokens as SeqIO's own pipeline."""

import functools
from collections import Counter

import numpy as np
import pytest
import seqio
import tensorflow as tf
from reading import jsonl, write
from toy_tasks import STEPS, TEXTS, model, task

from polylm_jax.data.stores import tokens as task_tokens
from polylm_jax.errors import InputError
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import bilingual, monolingual

PAIRS = [{"id": f"{i // 3}", "en": f"Line {i}.", "th": "ขาว" * (i % 4 + 1)} for i in range(90)]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The path of a small vocabulary."""
    return model(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def registry():
    """Forgets the tasks that a test registers."""
    before = set(seqio.TaskRegistry.names())
    yield
    for name in set(seqio.TaskRegistry.names()) - before:
        seqio.TaskRegistry.remove(name)


@seqio.map_over_dataset
def named(line):
    return {"targets": line}


@seqio.map_over_dataset
def upper(example):
    return {"targets": tf.strings.upper(example["targets"], "utf-8"), "number": 1}


@seqio.map_over_dataset(num_seeds=1)
def noisy(example, seed):
    draw = tf.strings.as_string(tf.random.stateless_uniform([], seed, 0, 99, tf.int32))
    return {"targets": example["targets"] + draw}


def batches(of, split="all", batch_size=7):
    """All text batches of a task."""
    return [
        batch
        for unit in task_text.units(of)
        for batch in task_text.text_batches(of, unit, split, batch_size)
    ]


def flat(of, key="targets", split="all"):
    return [value for batch in batches(of, split) for value in batch[key]]


def encoded(of, tokenizer):
    """The text batches of a task with the ids of their texts."""
    return [task_tokens.encoded(batch, tokenizer) for batch in batches(of)]


def fast_tokens(of, tokenizer, split="train"):
    """The tokens of a split through text batches."""
    found = task_tokens.token_batches(encoded(of, tokenizer), tokenizer)
    return np.concatenate([tokens.tokens for tokens in found if tokens.split == split])


def whole_tokens(of, tokenizer, split="train"):
    """The tokens of a split through all of the task's own steps."""
    found = [
        tokens
        for unit in task_text.units(of)
        for tokens in task_tokens.whole_batches(of, unit, tokenizer, 7, None)
    ]
    return np.concatenate([tokens.tokens for tokens in found if tokens.split == split])


def seqio_tokens(of, split="train"):
    """The tokens of a split as SeqIO itself makes them."""
    data = of.get_dataset(None, split, shuffle=False)
    return np.concatenate([example["targets"] for example in data.as_numpy_iterator()])


def monolingual_task(folder):
    path = write(folder / "th.jsonl", jsonl({"id": str(i), "text": t} for i, t in enumerate(TEXTS)))
    return functools.partial(monolingual.add, "toy", "th", path, held_out=0.1)


def pair_task(folder):
    path = write(folder / "en-th.jsonl", jsonl(PAIRS))

    def add(vocabulary):
        return bilingual.add("toy", "en-th", path, vocabulary, held_out=0.1)[1]

    return add


@pytest.mark.parametrize("make", [monolingual_task, pair_task])
def test_tokens_of_our_tasks_are_those_of_seqio(tmp_path, toy, make):
    of = task_text.find(make(tmp_path)(vocabulary=toy))
    tokenizer = Tokenizer.load(toy)
    for split in ("train", "validation"):
        expected = seqio_tokens(of, split)
        assert len(expected) > 100
        np.testing.assert_array_equal(fast_tokens(of, tokenizer, split), expected)
        np.testing.assert_array_equal(whole_tokens(of, tokenizer, split), expected)


@pytest.mark.parametrize(
    "steps, after",
    [
        ((), STEPS),
        ((upper,), STEPS),
        ((), (functools.partial(STEPS[0], copy_pretokenized=False), STEPS[1])),
        ((), (seqio.preprocessors.tokenize_and_append_eos,)),
        (
            (),
            (STEPS[0], seqio.CacheDatasetPlaceholder(), seqio.preprocessors.append_eos_after_trim),
        ),
    ],
)
def test_tokens_of_a_foreign_task_are_those_of_seqio(toy, steps, after):
    texts = {"train": TEXTS, "validation": TEXTS[:9]}
    of = task("toy", toy, texts, steps, after)
    tokenizer = Tokenizer.load(toy)
    assert task_text.is_text(of)
    for split in texts:
        expected = seqio_tokens(of, split)
        np.testing.assert_array_equal(fast_tokens(of, tokenizer, split), expected)
        np.testing.assert_array_equal(whole_tokens(of, tokenizer, split), expected)


def test_files_are_units_and_their_order_is_fixed(tmp_path, toy):
    for number in range(3):
        write(tmp_path / f"{number}.txt", f"a{number}\nb{number}\n")
    lines = seqio.TextLineDataSource({"train": f"{tmp_path}/*.txt"})
    of = task("toy", toy, steps=[named], source=lines)
    assert [unit.shards for unit in task_text.units(of)] == [3, 3, 3]
    assert flat(of) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_step_that_draws_at_random_draws_the_same_again(toy):
    of = task("toy", toy, steps=[noisy])
    assert flat(of) == flat(of) != TEXTS


def test_a_task_of_another_shape_runs_whole(toy):
    @seqio.map_over_dataset
    def reverse(example):
        return {**example, "targets": example["targets"][::-1]}

    of = task("toy", toy, after=(STEPS[0], reverse, STEPS[1]))
    tokenizer = Tokenizer.load(toy)
    assert not task_text.is_text(of)
    found = np.concatenate([whole_tokens(of, tokenizer, s) for s in ("train", "validation")])
    assert sorted(found) == sorted(seqio_tokens(of))
    with pytest.raises(InputError, match="'toy' has no text to read"):
        batches(of)


def test_every_document_is_closed_once(toy):
    tokenizer = Tokenizer.load(toy)
    bare = task("toy", toy, {"train": TEXTS, "validation": TEXTS}, after=STEPS[:1])
    closed = task("toy", toy, {"train": TEXTS, "validation": TEXTS})
    expected = seqio_tokens(closed)
    np.testing.assert_array_equal(fast_tokens(bare, tokenizer), expected)
    np.testing.assert_array_equal(whole_tokens(bare, tokenizer), expected)


def test_sides_are_counted_whichever_way_a_task_runs(tmp_path, toy):
    of = task_text.find(pair_task(tmp_path)(toy))
    tokenizer = Tokenizer.load(toy)
    fast, whole = Counter(), Counter()
    for tokens in task_tokens.token_batches(encoded(of, tokenizer), tokenizer):
        fast.update(tokens.counts)
    for unit in task_text.units(of):
        for tokens in task_tokens.whole_batches(of, unit, tokenizer, 7, None):
            whole.update(tokens.counts)
    assert fast == whole and fast["tokens", "en"] and fast["tokens", "th"]
    assert fast["bytes"] == sum(fast["bytes", code] for code in ("en", "th", "template"))


def test_a_batch_says_language_group_and_split(tmp_path, toy):
    of = task_text.find(pair_task(tmp_path)(toy))
    for batch in batches(of):
        assert {len(values) for values in batch.values()} == {len(batch["targets"])}
        assert set(batch["language"]) == {"th-en"}
        for text, sides in zip(batch["targets"], batch["side_bytes"]):
            assert sum(sides) == len(text.encode())
    assert set(flat(of, "split")) == {"train", "validation"}
    train, held_out = set(flat(of, "group", "train")), set(flat(of, "group", "validation"))
    assert train and held_out and not train & held_out


def test_a_foreign_task_keeps_its_splits(toy):
    own = task("toy", toy, {"train": TEXTS, "validation": TEXTS[:3], "test": TEXTS[:2]})
    assert [len(flat(own, split=s)) for s in ("train", "validation", "test")] == [300, 3, 2]
    assert set(flat(own, "language")) == {"und"}
    numbered = [f"Document  {number}" for number in range(2000)]
    alone = task("toy", toy, numbered)
    held_out = flat(alone, split="validation")
    assert 5 < len(held_out) < 40
    assert sorted(held_out + flat(alone, split="train")) == sorted(numbered)
    shouted = task("toy", toy, [text.upper() for text in numbered])
    assert flat(shouted, split="validation") == [text.upper() for text in held_out]


def test_text_that_is_not_utf8_is_reported_and_left_out(toy):
    raw = [b"good", b"\xff\xfe bad", "สวัสดี".encode()]
    of = task("toy", toy, {"train": raw, "validation": raw[:1]})
    found = []
    (unit, _) = task_text.units(of)
    (batch,) = task_text.text_batches(of, unit, on_bad_line=lambda *bad: found.append(bad))
    assert batch["targets"] == ["good", "สวัสดี"]
    assert found == [("train:train", 2, "not UTF-8", raw[1])]


def test_an_unknown_task_is_refused_with_the_nearest(tmp_path, toy):
    name = monolingual_task(tmp_path)(vocabulary=toy)
    with pytest.raises(InputError, match=f"Did you mean '{name}'"):
        task_text.find(f"{name}x")


def test_a_source_without_files_is_refused(tmp_path, toy):
    lines = seqio.TextLineDataSource({"train": f"{tmp_path}/none*"})
    with pytest.raises(InputError, match="'toy' has no data"):
        task_text.units(task("toy", toy, source=lines))


def test_sides_count_the_token_where_its_first_byte_lies():
    # Two pairs of "ab" (en), "|" (template), "cde" (th), in pieces "a", "b|c", "de".
    counts = task_tokens.count_sides(
        tokens=np.array([0, 1, 2, 0, 1, 2]),
        lengths=np.array([3, 3]),
        piece_bytes=np.array([1, 3, 2], np.int32),
        side_languages=[["en", "", "th"]] * 2,
        side_bytes=[[2, 1, 3]] * 2,
    )
    assert counts == {
        ("tokens", "en"): 4, ("tokens", "template"): 0, ("tokens", "th"): 4,
        ("bytes", "en"): 4, ("bytes", "template"): 2, ("bytes", "th"): 6,
    }  # fmt: skip


def test_sides_may_be_empty_and_differ_between_pairs():
    # "ab" + "" and "" + "cd" in pieces of one byte; EOS goes with the text's last byte.
    counts = task_tokens.count_sides(
        tokens=np.array([0, 0, 0, 0]),
        lengths=np.array([2, 2, 0]),
        piece_bytes=np.array([1], np.int32),
        side_languages=[["en", "th"], ["en", "th"], ["en", "th"]],
        side_bytes=[[2, 0], [0, 2], [0, 0]],
    )
    assert counts["tokens", "en"] == 3
    assert counts["tokens", "th"] == 3 + 1
