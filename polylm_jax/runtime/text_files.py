"""Files of text as bytes: opened, decompressed, and whatever is broken in them said in one sentence.

The one reader beneath SeqIO's sources and the cleaner. A scheme's files ('gs://...') are opened by
whoever calls: SeqIO's sources have TensorFlow's file systems, the cleaner fsspec's.
"""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import zstandard

from polylm_jax.errors import InputError
from polylm_jax.runtime.paths import is_remote

Raw = io.RawIOBase | io.BufferedIOBase  # a file of bytes, or its decompressor
Opener = Callable[[str], Raw]  # opens what a scheme names ('gs://...'), seekable

BLOCK = 1 << 20
# What `zstd --long=31 --ultra -22` writes at most; zstandard alone refuses windows above 128 MiB.
MAX_WINDOW = 1 << 31
_ZSTD_BLOCK = 128 << 10
_HEAD = 4096  # bytes that tell UTF-16 from UTF-8
MARK = b"\xef\xbb\xbf"  # the byte order mark in UTF-8
_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32LE"),
    (b"\0\0\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16LE"),
    (b"\xfe\xff", "UTF-16BE"),
)
_WHITE = b"\t\n\r"
_CONTROLS = bytes(range(32))

# Ending -> (what it is called, its decompressor of an open file).
COMPRESSED: dict[str, tuple[str, Callable[[io.BufferedReader], Raw]]] = {
    ".gz": ("gzip", lambda raw: gzip.GzipFile(fileobj=raw)),
    ".xz": ("xz", lzma.LZMAFile),
    ".bz2": ("bzip2", bz2.BZ2File),
    ".zst": ("zstd", lambda raw: _Zstd(raw)),
}
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError)


def suffix(path: str) -> str:
    """The ending that says how a file is compressed ('.gz'), or ''."""
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in COMPRESSED else ""


def shown(path: str) -> str:
    r"""A path for a sentence: quoted, on one line, a name that isn't UTF-8 with its bytes (\xff)."""
    return repr(os.fsencode(path).decode("utf-8", "backslashreplace"))


def with_fsspec(path: str) -> Raw:
    """A scheme's file by fsspec, which names the package that it lacks (gcsfs, s3fs)."""
    import fsspec

    return fsspec.open(path, "rb").open()


@contextmanager
def open_bytes(
    path: str, field: str = "path", opener: Opener = with_fsspec
) -> Iterator[io.BufferedReader]:
    """A file's bytes, decompressed as its ending says; seekable when it isn't compressed.

    Args:
        path: local, or with a scheme.
        field: what sentences call it.
        opener: opens a path with a scheme.

    Raises:
        InputError: it isn't there or can't be read, or, while reading, its compressed data are cut
            short or broken.
    """
    with naming(path, field):
        raw = opener(path) if is_remote(path) else io.FileIO(path)
    with raw, _buffered(_Named(raw, path, field, "")) as plain:
        if not suffix(path):
            yield plain
            return
        kind, decompress = COMPRESSED[suffix(path)]
        with _buffered(_Named(decompress(plain), path, field, kind)) as found:
            yield found


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, BLOCK)


@contextmanager
def open_text(
    path: str, field: str = "path", opener: Opener = with_fsspec
) -> Iterator[io.BufferedReader]:
    """`open_bytes` of a file that should be UTF-8. Raises InputError where it begins as UTF-16."""
    with open_bytes(path, field, opener) as file:
        if encoding := utf16(file.peek(_HEAD)[:_HEAD]):
            raise InputError(
                f"{field}: {shown(path)} is {encoding}, not UTF-8: "
                f"iconv -f {encoding} -t UTF-8 FILE > NEW makes it UTF-8."
            )
        yield file


def utf16(head: bytes) -> str:
    """'UTF-16LE' for bytes that begin a file in it, with or without a mark; '' for others.

    Text has no control characters but white space. In UTF-16 every other byte says the script, and
    for all scripts of the alphabets that is a control character: 0 Latin, 4 Cyrillic, 14 Thai. In
    Devanagari and its neighbours it is white space (9, 10, 13), where spaces or line ends give zeros.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    for encoding, high in (("UTF-16LE", head[1::2]), ("UTF-16BE", head[0::2])):
        controls = len(high) - len(high.translate(None, _CONTROLS))
        white = len(high) - len(high.translate(None, _WHITE))
        most = controls - white > 0.3 * len(high) or (b"\0" in high and controls > 0.5 * len(high))
        if most and len(high) >= 4:  # one zero byte among three isn't UTF-16
            return encoding
    return ""


def blocks(file: io.BufferedIOBase, stop: int | None = None) -> Iterable[bytes]:
    """The first `stop` bytes of an open file (None: all) block by block."""
    left = stop
    while block := file.read(BLOCK if left is None else min(BLOCK, left)):
        left = None if left is None else left - len(block)
        yield block


@contextmanager
def naming(path: str, field: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns what a file system says into one sentence that names the field and the path."""
    kinds: tuple[type[Exception], ...] = (OSError, ImportError, ValueError, *errors)
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise _unreadable(path, field, error) from error


def _unreadable(path: str, field: str, error: Exception) -> InputError:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = " ".join(said.split())[:200]
    return InputError(
        f"{field}: {shown(path)} can't be read ({reason}); check the path and its permissions."
    )


class _Named(io.RawIOBase):
    """A raw file whose failures while reading are sentences; `kind`: 'gzip', '' for plain bytes."""

    def __init__(self, inner: Raw, path: str, field: str, kind: str):
        self._inner, self._path, self._field, self._kind = inner, path, field, kind

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return not self._kind and self._inner.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def readinto(self, buffer) -> int:
        # As far as it goes at once: `readinto` of a decompressor goes on until the buffer is full, and
        # where a file is cut the megabyte before it would be lost with the error.
        once = getattr(self._inner, "readinto1", self._inner.readinto)
        try:
            return once(buffer)
        except InputError:
            raise
        except _BROKEN as error:
            if not self._kind:
                raise _unreadable(self._path, self._field, error) from error
            raise InputError(
                f"{self._field}: {shown(self._path)} ends early or isn't {self._kind} data "
                f"({str(error) or type(error).__name__}): get it again."
            ) from error


class _Zstd(io.RawIOBase):
    """Decompressed zstd frames; zstandard's own reader takes a file that is cut short for whole."""

    def __init__(self, raw: io.BufferedReader):
        self._raw, self._waiting = raw, b""
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready: bytes | memoryview = b""

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
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        self._ready = memoryview(self._frame.decompress(block))
        self._waiting = b""
        if self._frame.eof:
            self._waiting, self._frame = self._frame.unused_data, None
        return True
