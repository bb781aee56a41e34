"""A SeqIO task's identity: its source, its steps and its vocabulary, so that a store tells versions apart."""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity, dtype_for, version_of
from polylm_jax.errors import InputError
from polylm_jax.runtime.paths import is_remote
from polylm_jax.text.task_text import TEXT, Unit
from polylm_jax.tokenizer.tokenizer import Tokenizer

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def identify(task: seqio.Task, units: Sequence[Unit] | None, tokenizer: Tokenizer) -> Identity:
    """What a store of `task` would be made from; without its files, where they aren't here (None).

    Raises:
      InputError: the task has another vocabulary than `tokenizer`, or features besides `targets`.
    """
    check_features(task, tokenizer)
    source = describe(task, units)
    return Identity(
        format_version=FORMAT_VERSION,
        task=task.name,
        task_version=version_of(source),
        vocabulary=tokenizer.path,
        vocabulary_sha256=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        eos_id=tokenizer.eos_id,
        dtype=dtype_for(tokenizer.vocab_size),
        source=source,
        units=tuple(unit.name for unit in units or ()),
    )


def describe(task: seqio.Task, units: Sequence[Unit] | None) -> dict:
    """{'task', 'steps': [...], 'options': {...}, 'files': [{'path', 'size'}]}, plain JSON values.

    A source of ours tells its own `fingerprint`; of another, its shards that are files count.
    """
    source = task.source
    identity = {"task": task.name, "steps": [_step(step) for step in task.preprocessors]}
    if hasattr(source, "definition"):
        return _plain(
            identity | ({"options": source.definition()} if units is None else source.fingerprint())
        )
    paths = [unit.name.partition(":")[2] for unit in units or ()]
    files = [{"path": path, "size": size} for path in paths if (size := _size(path)) is not None]
    options = {"class": type(source).__name__, "splits": sorted(source.splits)}
    if isinstance(source, seqio.FileDataSource):
        return _plain(
            identity | {"options": options, **({} if units is None else {"files": files})}
        )
    return _plain(identity | {"options": {**options, "source": repr(source)}, "files": files})


def source_bytes(task: seqio.Task, units: Sequence[Unit]) -> int | None:
    """Bytes of the task's files as they lie there; None where they aren't known."""
    sizes = [file["size"] for file in describe(task, units)["files"]]
    return sum(sizes) if sizes else None


def check_features(task: seqio.Task, tokenizer: Tokenizer) -> None:
    """Refuses a task that isn't one sequence of tokens of `tokenizer`'s vocabulary."""
    if set(task.output_features) != {TEXT}:
        raise InputError(
            f"task {task.name!r} has the features {', '.join(task.output_features)}: a token store "
            f"holds {TEXT!r} alone; render them into one text first."
        )
    vocabulary = task.output_features[TEXT].vocabulary
    if isinstance(vocabulary, seqio.PassThroughVocabulary):
        return
    path = getattr(vocabulary, "sentencepiece_model_file", None)
    same = path is not None and not vocabulary.extra_ids and _is_same(path, tokenizer)
    if not same:
        raise InputError(
            f"task {task.name!r} tokenizes with {path or type(vocabulary).__name__}, which isn't "
            f"vocabulary = {tokenizer.path!r}: register it with that one."
        )


def _is_same(path: str, tokenizer: Tokenizer) -> bool:
    return str(path) == tokenizer.path or _fingerprint(str(path)) == tokenizer.fingerprint


@functools.cache
def _fingerprint(path: str) -> str:
    return Tokenizer.load(path).fingerprint


def _step(step: Callable) -> object:
    """A preprocessor's name and options."""
    if isinstance(step, functools.partial):
        return {"step": _step(step.func), "args": step.args, "options": step.keywords}
    if dataclasses.is_dataclass(step):
        options = {f.name: getattr(step, f.name) for f in dataclasses.fields(step)}
        return {"step": type(step).__name__, "options": options}
    name = getattr(step, "__qualname__", type(step).__name__)
    cells = [cell.cell_contents for cell in getattr(step, "__closure__", None) or ()]
    values = [cell for cell in cells if isinstance(cell, str | int | float | tuple)]
    return {"step": name, "values": values} if values else {"step": name}


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return _plain(sorted(value, key=str))
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _ADDRESS.sub("", getattr(value, "__qualname__", None) or repr(value))


def _size(path: str) -> int | None:
    if is_remote(path):
        try:
            return tf.io.gfile.stat(path).length
        except tf.errors.OpError:
            return None
    return os.path.getsize(path) if os.path.isfile(path) else None
