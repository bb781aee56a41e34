"""Files of text: found by glob, on local disk, gs:// or any scheme that TensorFlow knows."""

import io
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import tensorflow as tf

from polylm_jax.errors import InputError
from polylm_jax.runtime import paths, text_files
from polylm_jax.runtime.storage import Folder

_REMOTE_BLOCK = 8 << 20  # bytes asked of a bucket at once


class File(NamedTuple):
    """A file of a source: where it is and its size in bytes as it lies there."""

    path: str
    size: int


def expand(patterns: str | Sequence[str], field: str, once: bool = True) -> tuple[File, ...]:
    """The files of one or more paths or globs, each pattern's in the order of their names.

    `once`: a file that several patterns or links name is taken once. See `paths.files`.

    Raises InputError when a pattern matches nothing, naming `field` (what the user set).
    """
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    if not patterns:
        raise InputError(f"{field} is empty: give the path of a file, or a glob such as 'text/*'.")
    found: dict[str, File] = {}
    for pattern in patterns:
        for file in _expand_one(str(pattern), field):
            key = paths.identity(file.path) if once else f"{len(found)}"
            found.setdefault(key, file)
    return tuple(found.values())


def one(path: str, field: str = "path") -> str:
    """The one file of a path or glob. Raises InputError when it is none, or several."""
    first, *others = expand(path, field)
    if others:
        raise InputError(
            f"{field}: {paths.written(path)!r} matches {1 + len(others)} files: name one of them."
        )
    return first.path


def _expand_one(pattern: str, field: str) -> list[File]:
    with text_files.naming(pattern, field, tf.errors.OpError):
        if not paths.is_remote(pattern):
            return [File(path, os.path.getsize(path)) for path in paths.files(pattern, field)]
        files = _remote_files(pattern, field)
    return files or paths.refuse_missing(pattern, field)


def _remote_files(pattern: str, field: str) -> list[File]:
    if pattern.startswith("gs://") and not _in_bucket(pattern, field):
        return []
    found = [(path, tf.io.gfile.stat(path)) for path in sorted(tf.io.gfile.glob(pattern))]
    return [File(path, info.length) for path, info in found if not info.is_directory]


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
