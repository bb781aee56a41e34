"""Files of text: found by glob, on local disk, gs:// or any scheme that TensorFlow knows."""

import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import tensorflow as tf

from polylm_jax.errors import InputError
from polylm_jax.runtime import text_files
from polylm_jax.runtime.storage import Folder
from polylm_jax.runtime.text_files import is_remote

_REMOTE_BLOCK = 8 << 20  # bytes asked of a bucket at once
_MAGIC = "*?["


class File(NamedTuple):
    """A file of a source: where it is and its size in bytes as it lies there."""

    path: str
    size: int


def join(folder: str, path: str) -> str:
    """`path` under `folder`, unless it stands by itself (absolute or with a scheme)."""
    return path if not folder or is_remote(path) else os.path.join(str(folder), path)


def expand(patterns: str | Sequence[str], field: str) -> tuple[File, ...]:
    """The files of one or more paths or globs, each pattern's in the order of their names.

    Raises InputError when a pattern matches nothing, naming `field` (what the user set).
    """
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    if not patterns:
        raise InputError(f"{field} is empty: give the path of a file, or a glob such as 'text/*'.")
    return tuple(file for pattern in patterns for file in _expand_one(str(pattern), field))


def _expand_one(pattern: str, field: str) -> Iterator[File]:
    files = []
    with text_files.naming(pattern, field, tf.errors.OpError):
        if pattern.startswith("gs://") and not _in_bucket(pattern, field):
            pass
        elif is_remote(pattern):
            paths = tf.io.gfile.glob(pattern)
            found = [(p, tf.io.gfile.stat(p)) for p in sorted(paths)]
            files = [File(p, info.length) for p, info in found if not info.is_directory]
        else:
            paths = sorted(glob.glob(pattern, recursive=True)) or [pattern]
            files = [File(p, os.path.getsize(p)) for p in paths if os.path.isfile(p)]
    if not files:
        kind = "matches no file" if any(c in pattern for c in _MAGIC) else "isn't there"
        raise InputError(
            f"{field}: {pattern!r} {kind}; give a file's path, or a glob that matches files."
        )
    yield from files


def _in_bucket(pattern: str, field: str) -> bool:
    """Whether a bucket may have files of a pattern; InputError where it refuses, in seconds.

    TF asks a bucket that is shut, or isn't there, again and again for minutes.
    """
    fixed = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    folder, _, name = fixed.rpartition("/")
    place = Folder(folder, field)
    there = place.has(name or "*")
    return there if fixed == pattern else bool(place.list(name))


def open_bytes(path: str) -> AbstractContextManager[io.BufferedReader]:
    """`text_files.open_bytes` of any scheme that TensorFlow knows."""
    return text_files.open_bytes(path, opener=open_scheme)


def open_text(path: str) -> AbstractContextManager[io.BufferedReader]:
    """`text_files.open_text` of any scheme that TensorFlow knows."""
    return text_files.open_text(path, opener=open_scheme)


def open_scheme(path: str) -> io.BufferedReader:
    """A file of a scheme, by TensorFlow's file systems. Raises InputError where it can't be read."""
    with text_files.naming(path, "path", tf.errors.OpError):
        file = tf.io.gfile.GFile(path, "rb")
        return io.BufferedReader(_Remote(path, file, file.size()), _REMOTE_BLOCK)


class _Remote(io.RawIOBase):
    """TF's GFile as Python's raw file, so that buffering and decompression are the usual ones."""

    def __init__(self, path: str, file: tf.io.gfile.GFile, size: int):
        self._path, self._file, self._size = path, file, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._file.seek(base + offset)
        return base + offset

    def readinto(self, buffer) -> int:
        with text_files.naming(self._path, "path", tf.errors.OpError):
            data = self._file.read(min(len(buffer), max(0, self._size - self.tell())))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
