"""A task's tokens on disk or gs://, a flat array per split that can be read at any row at once.

STORE/
  plan.json                   what the store is made from and how many units of work there are
  parts/00000-train.u16       the tokens of one unit, raw little-endian (.u32 over 65,536 pieces)
  parts/00000.json            written after them: the unit's counts and checksums
  store.json                  the manifest, last and once: orders the parts, holds their prefix sums
  quarantine/00000.jsonl      the lines of a unit that could not be read, if any

The parts of a split, one after the other, are the array; a row may span parts.
"""

import contextlib
import dataclasses
import functools
import json
import os
import re

import numpy as np

from polylm_jax.data.stores.manifest import MANIFEST, Manifest, read_manifest
from polylm_jax.errors import InputError
from polylm_jax.runtime import seals
from polylm_jax.runtime.storage import Folder

PLAN, PARTS, QUARANTINE = "plan.json", "parts/", "quarantine/"
DTYPES: dict[str, np.dtype] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
MARKS = ".marks"  # ends the name of the split that says of another's tokens what they are
# Bits of a mark: the first token of a conversation, a part of an answer that is learned, and of a
# pair all that belongs to the answer that is not preferred, its question included.
BEGINS, ANSWER, REJECTED = 1, 2, 4
CACHE_AGAIN = "delete the store and run `python run.py cache` again"
OPEN_FILES = 256  # parts kept open at once, over all stores of the process


@dataclasses.dataclass(frozen=True, eq=False)
class TokenStore:
    """A complete store, open for reading from any number of threads or processes."""

    folder: Folder
    manifest: Manifest

    @classmethod
    def open(cls, path: str, vocabulary_sha256: str | None = None) -> "TokenStore":
        """The store at `path`, local or gs://.

        Args:
          path: its folder.
          vocabulary_sha256: the fingerprint that its vocabulary must have, None for any.

        Raises:
          InputError: there is none, it is incomplete, or it's made with another vocabulary.
        """
        folder = Folder(path)
        text = folder.peek(MANIFEST)
        if text is None:
            raise InputError(_incomplete(folder))
        store = cls(folder, read_manifest(folder, text))
        made = store.manifest.vocabulary_sha256
        if vocabulary_sha256 not in (None, made):
            raise InputError(
                f"token store {path!r} was made with another vocabulary ({store.manifest.vocabulary}"
                f", sha256 {made[:12]}; now {vocabulary_sha256[:12]}): give that vocabulary, or "
                "another cache_dir."
            )
        store._check_parts()
        return store

    @property
    def language(self) -> str:
        """Its code, 'en-th' for pairs, 'mul' for several, 'und' where the task doesn't say."""
        return self.manifest.language

    @property
    def content_hash(self) -> str:
        """SHA-256 of every token of every split: equal for equal stores, however they were built."""
        return self.manifest.content_sha256

    def num_tokens(self, split: str) -> int:
        """Tokens of a split; 0 where the store hasn't got it."""
        return self.manifest.splits[split].tokens if split in self.manifest.splits else 0

    def num_rows(self, split: str, length: int) -> int:
        """Rows of length + 1 tokens, neighbours sharing one; a shorter tail is dropped."""
        return max(self.num_tokens(split) - 1, 0) // length

    def read_rows(self, split: str, rows: np.ndarray, length: int) -> np.ndarray:
        """Rows by number, in any order, repeats allowed.

        Args:
          split: 'train', 'validation'.
          rows: int64 [n].
          length: L. Row i is tokens [iL, iL + L], both ends included.

        Returns:
          int32 [n, L + 1].
        """
        rows = np.asarray(rows, np.int64)
        available = self.num_rows(split, length)
        if rows.size and (rows.min() < 0 or rows.max() >= available):
            raise IndexError(
                f"rows {rows.min()} to {rows.max()} of {available} in {self.folder.path} ({split})"
            )
        out = np.empty((len(rows), length + 1), DTYPES[self.manifest.dtype])
        if rows.size:
            self._fill(out, self._pieces(split, rows * length, length + 1))
            self._check_ids(split, rows * length, out)
        return out.astype(np.int32)

    def _check_ids(self, split: str, starts: np.ndarray, tokens: np.ndarray) -> None:
        """InputError for a token that the vocabulary doesn't have; one pass (benchmarks/digests.py)."""
        limit = 2 * REJECTED if split.endswith(MARKS) else self.manifest.vocab_size
        if tokens.max() >= limit:
            raise InputError(self._unknown(split, starts, tokens, limit))

    def _unknown(self, split: str, starts: np.ndarray, tokens: np.ndarray, limit: int) -> str:
        """The first token that isn't below `limit`, with its part and its place there."""
        row, column = np.argwhere(tokens >= limit)[0].tolist()
        parts, offsets = self._layout[split]
        place = int(starts[row]) + column
        part = int(np.searchsorted(offsets, place, "right")) - 1
        return (
            f"token store {self.folder.path!r} is damaged: {parts[part]} has {tokens[row, column]} at "
            f"token {place - int(offsets[part]):,}, and the vocabulary has {limit:,}; restore the file, "
            f"or {CACHE_AGAIN}."
        )

    def _pieces(self, split: str, starts: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
        """Where `width` tokens from each start lie: (row, column, part, begin, end), one per piece."""
        parts, offsets = self._layout[split]
        first = np.searchsorted(offsets, starts, "right") - 1
        last = np.searchsorted(offsets, starts + width - 1, "right") - 1
        count = last - first + 1
        row = np.repeat(np.arange(len(starts)), count)
        part = first[row] + np.arange(len(row)) - (np.cumsum(count) - count)[row]
        begin = np.maximum(starts[row], offsets[part])
        end = np.minimum(starts[row] + width, offsets[part + 1])
        return row, begin - starts[row], parts[part], begin - offsets[part], end - offsets[part]

    @functools.cached_property
    def _layout(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per split, the names of its parts and their prefix sums."""
        return {
            name: (np.array(split.parts, object), np.array(split.offsets, np.int64))
            for name, split in self.manifest.splits.items()
        }

    def _fill(self, out: np.ndarray, pieces: tuple[np.ndarray, ...]) -> None:
        size = out.itemsize
        row, column, names, begin, end = pieces
        target = ((row * out.shape[1] + column) * size).tolist()
        ranges = list(zip(names, (begin * size).tolist(), (end * size).tolist()))
        view = out.data.cast("B")
        if self.folder.local is not None:
            self._read_local(view, target, ranges)
        else:
            for at, value in zip(target, self.folder.read_ranges(ranges)):
                view[at : at + len(value)] = value

    def _read_local(self, view: memoryview, target: list[int], ranges: list[tuple]) -> None:
        """By pread: it lets other threads run, where a page fault of a memory map holds Python.

        The kernel hears of all rows first, so a disk works on them together: 68,000 cold rows of
        2,049 tokens a second against 15,000 by pread alone and 9,000 by a memory map.
        """
        files = {name: _open_part(*self._file(name)) for name in {name for name, _, _ in ranges}}
        if hasattr(os, "posix_fadvise"):
            for name, begin, end in ranges:
                os.posix_fadvise(files[name].fd, begin, end - begin, os.POSIX_FADV_WILLNEED)
        for at, (name, begin, end) in zip(target, ranges):
            want = end - begin
            if os.preadv(files[name].fd, [view[at : at + want]], begin) != want:
                raise InputError(self._short(name))

    def _file(self, name: str) -> tuple[str, str]:
        assert self.folder.local is not None  # of a bucket ranges are read
        return str(self.folder.local / name), self.content_hash

    def _check_parts(self) -> None:
        """Every part is there; on local disk, of the right size."""
        there = set(self.folder.list(PARTS))
        for split in self.manifest.splits.values():
            sizes = np.diff(split.offsets) * DTYPES[self.manifest.dtype].itemsize
            for name, size in zip(split.parts, sizes.tolist()):
                if name not in there:
                    raise InputError(
                        f"token store {self.folder.path!r} lacks {name}: restore the file, or "
                        "delete the store and run `python run.py cache` again."
                    )
                if self.folder.local and (self.folder.local / name).stat().st_size != size:
                    raise InputError(self._short(name))

    def _short(self, name: str) -> str:
        return (
            f"token store {self.folder.path!r} has {name} in another length than its manifest "
            f"says: {CACHE_AGAIN}."
        )


class _OpenPart:
    """A file descriptor that closes when its last reader lets go."""

    def __init__(self, path: str):
        self.fd = os.open(path, os.O_RDONLY)

    def __del__(self):
        if hasattr(self, "fd"):
            os.close(self.fd)


@functools.lru_cache(OPEN_FILES)
def _open_part(path: str, content_hash: str) -> _OpenPart:
    del content_hash  # part of the key: a store deleted and built anew at a path is another one
    return _OpenPart(path)


def store_path(cache_dir: str, task: str) -> str:
    """The folder of a task's store."""
    return f"{cache_dir.rstrip('/')}/{task}"


def committed_units(folder: Folder) -> dict[int, dict]:
    """The finished units: number -> record. One whose record is damaged isn't among them."""
    keys = [key for key in folder.list(PARTS) if re.fullmatch(rf"{PARTS}\d+\.json", key)]
    found = {}
    for key, text in zip(keys, folder.read_all(keys), strict=True):
        with contextlib.suppress(ValueError, TypeError):
            record = seals.opened(text or b"")
            if {"identity", "splits"} <= record.keys():
                found[int(key.removeprefix(PARTS).removesuffix(".json"))] = record
    return found


def _incomplete(folder: Folder) -> str:
    plan = folder.peek(PLAN)
    if plan is None:
        return f"there is no token store at {folder.path!r}: make it with `python run.py cache`."
    try:
        units = json.loads(plan)["units"]
    except (ValueError, TypeError, KeyError):
        return (
            f"token store {folder.path!r} has a damaged {PLAN}: go on with `python run.py cache`."
        )
    missing = sorted(set(range(len(units))) - committed_units(folder).keys())
    what = (
        f"{len(missing)} of its {len(units)} units are missing, first {units[missing[0]]!r}"
        if missing
        else "its manifest is missing"
    )
    return (
        f"token store {folder.path!r} is incomplete ({what}): finish it with "
        "`python run.py cache`, which goes on where it stopped."
    )
