"""A SeqIO task as batches of text: what it does before it tokenizes, without what comes after.

TensorFlow tokenizes one document per call, 120 microseconds each. So a task is cut at its
`seqio.preprocessors.tokenize` step: what stands before it runs here, and whoever reads the batches
tokenizes them (store_build), or trains a vocabulary on them (tokenizer_training). Where the source
has `records` and the steps have `render`, TensorFlow isn't asked at all.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import seqio
import tensorflow as tf

from polylm_jax.errors import InputError, nearest
from polylm_jax.text.held_out import is_held_out, normalise

BadLine = Callable[[str, int, str, bytes], None]  # file, line number, reason, raw
Batch = dict[str, list]  # feature -> its value in each example

TEXT = "targets"
SIDES = ("side_languages", "side_bytes")
FEATURES = (TEXT, "language", "group", "held_out", *SIDES)
SEED = 0  # of preprocessors that draw at random: a task is cached once, the same on every machine
BATCH_CHARACTERS = 1 << 22  # of a batch: several of them are in memory at once
UNKNOWN = "und"  # ISO 639's code for a language that isn't said

_TOKENIZE = (seqio.preprocessors.tokenize, seqio.preprocessors.tokenize_and_append_eos)
_AFTER = (seqio.preprocessors.append_eos, seqio.preprocessors.append_eos_after_trim)


class Unit(NamedTuple):
    """A fixed piece of a source's work: shard `shard` of `shards` of `split`."""

    split: str
    shard: int
    shards: int
    name: str


def find(name: str) -> seqio.Task:
    """The task of that name; InputError names the nearest when there is none."""
    names = seqio.TaskRegistry.names()
    if name not in names:
        raise InputError(
            f"task {name!r} isn't registered.{nearest(name, names)} Import the module that "
            "registers it, or add it to TASKS."
        )
    return seqio.TaskRegistry.get(name)


def units(task: seqio.Task) -> tuple[Unit, ...]:
    """The units of a task, in an order that depends on its source alone.

    A source of ours has the split 'all', read once and routed by `held_out`; another has its own.
    """
    ours = hasattr(task.source, "records")
    found = []
    for split in ("all",) if ours else sorted(task.source.splits):
        shards = list(task.source.list_shards(split))
        found += [Unit(split, i, len(shards), f"{split}:{s}") for i, s in enumerate(shards)]
    if not found:
        raise InputError(
            f"task {task.name!r} has no data: its source {task.source} matches no file; correct "
            "its paths."
        )
    return tuple(found)


def steps_before_tokenize(task: seqio.Task) -> list[Callable] | None:
    """The preprocessors that make the text; None when the task can't be cut at `tokenize`."""
    steps = [s for s in task.preprocessors if not isinstance(s, seqio.CacheDatasetPlaceholder)]
    plain = [step.func if isinstance(step, functools.partial) else step for step in steps]
    cuts = [number for number, step in enumerate(plain) if step in _TOKENIZE]
    if len(cuts) != 1 or any(step not in _AFTER for step in plain[cuts[0] + 1 :]):
        return None
    return steps[: cuts[0]]


def is_text(task: seqio.Task) -> bool:
    """Whether the task is text that `tokenize` turns into tokens, so that it can be cut there."""
    vocabulary = task.output_features[TEXT].vocabulary
    passed = isinstance(vocabulary, seqio.PassThroughVocabulary)
    return not passed and steps_before_tokenize(task) is not None


def text_batches(
    task: seqio.Task,
    unit: Unit,
    split: str = "all",
    batch_size: int = 1024,
    on_bad_line: BadLine | None = None,
) -> Iterator[Batch]:
    """The text of one unit, in order.

    Args:
      task: a task that can be cut at its `tokenize` step.
      unit: one of `units(task)`.
      split: only documents of that one; 'all' takes all.
      batch_size: documents in a batch at most; long ones make shorter batches.
      on_bad_line: is told of each line that isn't text.

    Yields:
      lists of one value per document: `targets` (str), `language`, `group`, `split` (str), and for
      pairs `side_languages` and `side_bytes` (a sequence each).

    Raises:
      InputError: the task has no text, it doesn't end in `tokenize` and EOS.
    """
    steps = steps_before_tokenize(task)
    if steps is None:
        raise InputError(
            f"task {task.name!r} has no text to read: its preprocessors don't end in "
            "seqio.preprocessors.tokenize and append_eos."
        )
    renders = [step.render for step in steps if hasattr(step, "render")]
    if hasattr(task.source, "records") and len(renders) == len(steps):
        batches = _rendered(task.source, unit, split, renders, batch_size)
    else:
        batches = _decoded(dataset(task, unit, steps), unit, batch_size, on_bad_line)
    with reporting(task.source, on_bad_line):
        for batch in batches:
            batch = labelled(batch, task, unit, batch[TEXT])
            yield batch if split == "all" else chosen(batch, split)


def chosen(batch: Batch, split: str) -> Batch:
    """The documents of one split."""
    keep = [number for number, name in enumerate(batch["split"]) if name == split]
    return {key: [values[number] for number in keep] for key, values in batch.items()}


def dataset(task: seqio.Task, unit: Unit, steps: Sequence[Callable]) -> tf.data.Dataset:
    """One unit through some of the task's preprocessors, untrimmed and unshuffled, our features only."""
    shard = seqio.ShardInfo(unit.shard, unit.shards)
    data = task.source.get_dataset(unit.split, shuffle=False, shard_info=shard)
    with seqio.utils.map_seed_manager(SEED):
        for step in steps:
            step = seqio.utils.add_kwargs_to_transform(
                step, sequence_length=None, output_features=task.output_features
            )
            data = step(data)
    if not isinstance(data.element_spec, dict) or TEXT not in data.element_spec:
        raise InputError(f"task {task.name!r} yields no feature {TEXT!r}: correct its steps.")
    wanted = (*FEATURES, f"{TEXT}_pretokenized")
    return data.map(
        lambda example: {k: v for k, v in example.items() if k in wanted},
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def labelled(batch: Batch, task: seqio.Task, unit: Unit, texts: Iterable[str]) -> Batch:
    """The batch with `language`, `group` and `split` where the task gives none.

    A foreign task keeps its own splits. One without a validation split has its held-out text
    chosen as everywhere: by the hash of the normalised text.
    """
    size = len(batch[TEXT])
    batch.setdefault("language", [UNKNOWN] * size)
    if "group" not in batch:
        batch["group"] = [normalise(text) for text in texts]
    held_out = batch.pop("held_out", None)
    if unit.split not in ("all", "train"):
        batch["split"] = [unit.split] * size
    elif held_out is None and "validation" in task.source.splits:
        batch["split"] = ["train"] * size
    else:
        held_out = held_out or [is_held_out(group) for group in batch["group"]]
        batch["split"] = ["validation" if held else "train" for held in held_out]
    return batch


@contextlib.contextmanager
def reporting(source: seqio.DataSource, on_bad_line: BadLine | None) -> Iterator[None]:
    """Has a source of ours report its bad lines while the block runs."""
    if not hasattr(source, "on_bad_line") or on_bad_line is None:
        yield
        return
    before, source.on_bad_line = source.on_bad_line, on_bad_line
    try:
        yield
    finally:
        source.on_bad_line = before


def _rendered(
    source: seqio.DataSource, unit: Unit, split: str, renders: Sequence[Callable], batch_size: int
) -> Iterator[Batch]:
    """A unit of a source of ours, without TensorFlow."""
    name = list(source.list_shards(unit.split))[unit.shard]
    examples: list[dict] = []
    characters = 0
    for record in source.records(split, name):
        for render in renders:
            record = render(record)
        examples.append(record)
        characters += len(record[TEXT])
        if len(examples) == batch_size or characters > BATCH_CHARACTERS:
            yield {key: [e[key] for e in examples] for key in examples[0]}
            examples, characters = [], 0
    if examples:
        yield {key: [e[key] for e in examples] for key in examples[0]}


def _decoded(
    data: tf.data.Dataset, unit: Unit, batch_size: int, on_bad_line: BadLine | None
) -> Iterator[Batch]:
    """A unit through tf.data, `batch_size` examples at a time; text that isn't UTF-8 is left out."""
    spec = data.element_spec[TEXT]
    if spec.dtype != tf.string or spec.shape.rank != 0:
        raise InputError(
            f"task of {unit.name!r} yields {TEXT!r} as {spec}: give one string an example."
        )
    first = 1
    for arrays in data.padded_batch(min(batch_size, 1024)).prefetch(2).as_numpy_iterator():
        raw = arrays[TEXT].tolist()
        batch = strings(arrays)
        keep = [n for n, text in enumerate(batch[TEXT]) if text is not None]
        if len(keep) < len(raw):
            for number, text in enumerate(batch[TEXT]):
                if text is None and on_bad_line:
                    on_bad_line(unit.name, first + number, "not UTF-8", raw[number])
            batch = {key: [values[n] for n in keep] for key, values in batch.items()}
        first += len(raw)
        yield batch


def strings(arrays: Mapping[str, Any]) -> Batch:
    """Arrays, also ragged ones, as lists, bytes as str; None stands for text that isn't UTF-8."""
    lists = {k: v.tolist() if isinstance(v, np.ndarray) else v.to_list() for k, v in arrays.items()}
    return {key: _texts(values) for key, values in lists.items()}


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(one) for one in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
