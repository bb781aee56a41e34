"""What a token store is made from, and the refusal of one that is made from something else."""

import copy
import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import json_hash

FORMAT_VERSION = 2


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a store is made from: two stores of equal fingerprint have equal tokens.

    `source` is {'task': its preprocessors and options, 'files': [{'path', 'size'}], ...}.
    """

    format_version: int
    task: str
    task_version: str
    vocabulary: str  # the path, for messages: the hash decides
    vocabulary_sha256: str
    vocab_size: int
    eos_id: int
    dtype: str
    source: dict
    units: tuple[str, ...]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides about the tokens."""
        deciding = [self.format_version, self.task_version, self.vocabulary_sha256, self.dtype]
        return json_hash([*deciding, len(self.units)])


def dtype_for(vocab_size: int) -> str:
    """The narrower of 'uint16' and 'uint32' that holds every token."""
    return "uint16" if vocab_size <= 2**16 else "uint32"


def portable(source: object) -> Any:
    """`source` without the folders of its files, so that data may move: files count by name and size."""
    if isinstance(source, Mapping):
        kept = {key: portable(value) for key, value in source.items() if key != "paths"}
        if "path" in kept and "size" in kept:
            kept["path"] = str(kept["path"]).rpartition("/")[2]
        return kept
    if isinstance(source, list | tuple):
        return [portable(value) for value in source]
    return copy.copy(source)


def version_of(source: Mapping) -> str:
    """The version of a task: SHA-256 of its source, without folders."""
    return json_hash(portable(source))


def readable(made: bytes) -> bool:
    """Whether a plan or a manifest says what its store is made from."""
    try:
        return {"format_version", "vocabulary_sha256", "source"} <= json.loads(made).keys()
    except (ValueError, AttributeError):
        return False


def refuse_other(path: str, made: bytes, wanted: Identity) -> None:
    """Raises InputError, naming what differs, unless the store at `path` has the identity `wanted`.

    Args:
      path: the store's folder.
      made: its plan or manifest, as JSON.
      wanted: what it would be made from now; files count only where it knows them.
    """
    fields = json.loads(made)
    remedy = "delete it, or give another cache_dir"
    if fields["format_version"] != wanted.format_version:
        raise InputError(
            f"token store {path!r} has format version {fields['format_version']}, this software "
            f"writes {wanted.format_version}: {remedy}."
        )
    if fields["vocabulary_sha256"] != wanted.vocabulary_sha256:
        raise InputError(
            f"token store {path!r} was made with another vocabulary ({fields['vocabulary']}, "
            f"sha256 {fields['vocabulary_sha256'][:12]}; now {wanted.vocabulary}, "
            f"{wanted.vocabulary_sha256[:12]}): give that one, or {remedy}."
        )
    old, new = portable(fields["source"]), portable(wanted.source)
    if "files" not in new:
        old.pop("files", None)
    if what := difference(old, new):
        raise InputError(
            f"token store {path!r} was made from another version of task {wanted.task!r} "
            f"({what}): {remedy}."
        )


def difference(made: Mapping, now: Mapping, where: str = "") -> str:
    """The first place where two nested JSON values differ: 'options.held_out: 0.01, now 0.02'."""
    for key in sorted({*made, *now}, key=str):
        old, new = made.get(key), now.get(key)
        if old == new:
            continue
        name = f"{where}.{key}" if where else str(key)
        if isinstance(old, list) and isinstance(new, list):
            old, new = dict(enumerate(old)), dict(enumerate(new))
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return difference(old, new, name)
        return f"{name}: {_shown(old)}, now {_shown(new)}"
    return ""


def _shown(value: object) -> str:
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
