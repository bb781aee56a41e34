"""Files of text: found by glob and read as bytes, on local disk, gs:// or any scheme TF knows."""

import bz2
import glob
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import tensorflow as tf
import zstandard

from polylm_jax.errors import InputError
from polylm_jax.storage import Folder

_REMOTE_BLOCK = 8 << 20  # bytes asked of a bucket at once
_LOCAL_BLOCK = 1 << 20
_ZSTD_BLOCK = 128 << 10
_MAGIC = "*?["

COMPRESSED = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": lambda raw: io.BufferedReader(_Zstd(raw), _LOCAL_BLOCK),
}
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError)


class File(NamedTuple):
    """A file of a source: where it is and its size in bytes as it lies there."""

    path: str
    size: int


def is_remote(path: str) -> bool:
    """Whether a path names a scheme ('gs://...') and not the local disk."""
    return "://" in path


def join(folder: str, path: str) -> str:
    """`path` under `folder`, unless it stands by itself (absolute or with a scheme)."""
    return path if not folder or is_remote(path) else os.path.join(str(folder), path)


def suffix(path: str) -> str:
    """The ending that says how a file is compressed ('.gz'), or ''."""
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in COMPRESSED else ""


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
    with _naming(pattern, field):
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


@contextmanager
def open_bytes(path: str) -> Iterator[io.BufferedIOBase]:
    """A file's bytes, decompressed as its ending says; seekable when it isn't compressed.

    Raises InputError when it isn't there or its compressed data is cut short or broken.
    """
    with _naming(path, "path"):
        raw = _open_remote(path) if is_remote(path) else _open_local(path)
    with raw:
        if not suffix(path):
            yield raw
            return
        try:
            with io.BufferedReader(COMPRESSED[suffix(path)](raw), _LOCAL_BLOCK) as plain:
                yield plain
        except _BROKEN as error:
            raise InputError(
                f"path: {path!r} ends early or isn't {suffix(path)} data ({error}); get it again."
            ) from error


def count_lines(path: str, stop: int | None = None) -> int:
    """How many newlines stand in the first `stop` bytes of a file (None: in all of it)."""
    with open_bytes(path) as file:
        return sum(block.count(b"\n") for block in _blocks(file, stop))


def _blocks(file: io.BufferedIOBase, stop: int | None) -> Iterable[bytes]:
    left = stop
    while block := file.read(_LOCAL_BLOCK if left is None else min(_LOCAL_BLOCK, left)):
        left = None if left is None else left - len(block)
        yield block


def _open_local(path: str) -> io.BufferedReader:
    return io.BufferedReader(io.FileIO(path), _LOCAL_BLOCK)


def _open_remote(path: str) -> io.BufferedReader:
    file = tf.io.gfile.GFile(path, "rb")
    return io.BufferedReader(_Remote(file, file.size()), _REMOTE_BLOCK)


@contextmanager
def _naming(path: str, field: str) -> Iterator[None]:
    """Turns what the file system says into one sentence that names the field and the path."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        said = getattr(error, "strerror", None) or str(error)
        reason = " ".join(said.split())[:200]
        raise InputError(
            f"{field}: {path!r} can't be read ({reason}); check the path and its permissions."
        ) from error


class _Zstd(io.RawIOBase):
    """Decompressed zstd frames; zstandard's own reader takes a file that is cut short for whole."""

    def __init__(self, raw: io.BufferedIOBase):
        self._raw, self._frame, self._waiting, self._ready = raw, None, b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._ready and self._decompress():
            pass
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _decompress(self) -> bool:
        """Decompresses one more block; False at the end. Raises EOFError inside a frame."""
        block = self._waiting or self._raw.read(_ZSTD_BLOCK)
        if not block:
            if self._frame is not None:
                raise EOFError("the last frame isn't complete")
            return False
        self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        self._ready = memoryview(self._frame.decompress(block))
        self._waiting = b""
        if self._frame.eof:
            self._waiting, self._frame = self._frame.unused_data, None
        return True


class _Remote(io.RawIOBase):
    """TF's GFile as Python's raw file, so that buffering and decompression are the usual ones."""

    def __init__(self, file, size: int):
        self._file, self._size = file, size

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
        data = self._file.read(min(len(buffer), max(0, self._size - self.tell())))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
