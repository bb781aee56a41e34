"""A compressed file member by member: where each ends well, and where to go on behind a broken one.

What the WARC reader stands on; text by lines is read by `text_files`, which stops where a file is
broken.
"""

import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import zstandard

from polylm_jax.runtime.text_files import MAX_WINDOW, Raw

DATA, END, BROKEN, CUT = "data", "end", "broken", "cut"
Piece = tuple[str, bytes]  # what happened, and the bytes of DATA
_BLOCK = 64 << 10
_STEP = 4 << 10  # bytes decompressed at once: a thousand times as many are 4 MB
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_DICTIONARY = b"\x5d\x2a\x4d\x18"  # a frame that holds the dictionary of all others, in .warc.zst
_MAGIC = {_GZIP: "gzip", _ZSTD: "zstd", _DICTIONARY: "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def kind_of(head: bytes, ending: str) -> str:
    """How bytes are compressed, by how they begin; by the ending where that says nothing."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return "" if head.startswith(b"WARC/") else ending


def plain(file: BinaryIO | Raw) -> Iterator[Piece]:
    """A file whose bytes come as they are, decompressed by another reader or never compressed."""
    try:
        while block := file.read(_BLOCK):
            yield DATA, block
    except (EOFError, lzma.LZMAError, OSError, ValueError):
        yield CUT, b""
        return
    yield END, b""


def gzip_members(file: BinaryIO) -> Iterator[Piece]:
    """The members of a gzip file; zeros between and behind them are padding."""
    return _members(file, _GZIP, lambda: _Member(zlib.decompressobj(31)), zlib.error)


def zstd_frames(file: BinaryIO) -> Iterator[Piece]:
    """The frames of a zstd file, with the dictionary that its first frame may hold."""
    dictionary, first = _dictionary(file)

    def frame() -> _Member:
        reader = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_WINDOW)
        return _Member(reader.decompressobj())

    return _members(file, _ZSTD, frame, zstandard.ZstdError, first)


class _Member:
    """A decompressor whose output comes in pieces; `inner`: zlib's or zstandard's object."""

    def __init__(self, inner):
        self._inner = inner

    def decompress(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _STEP):
            yield self._inner.decompress(data[start : start + _STEP])
            if self._inner.eof:
                self._rest = self._inner.unused_data + data[start + _STEP :]
                return

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._rest


def _dictionary(file: BinaryIO) -> tuple[zstandard.ZstdCompressionDict | None, bytes]:
    """(the dictionary, bytes of the file read beside it)."""
    head = file.read(8)
    if not head.startswith(_DICTIONARY):
        return None, head
    data = file.read(int.from_bytes(head[4:8], "little"))
    if data.startswith(_ZSTD):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return zstandard.ZstdCompressionDict(data), b""


def _members(
    file: BinaryIO, magic: bytes, make: Callable, error: type[Exception], first: bytes = b""
) -> Iterator[Piece]:
    """`first` stands before what the file still has. Behind a break the next magic is looked for."""
    member, waiting, lost = None, first, False
    while block := waiting or file.read(_BLOCK):
        waiting = b""
        if member is None:
            block = block if lost else block.lstrip(b"\0")
            block += file.read(_BLOCK) if len(block) < len(magic) else b""
            if block and len(block) < len(magic) and magic.startswith(block):
                yield CUT, b""
                return
            if block.strip(b"\0") and not lost and not block.startswith(magic):
                yield BROKEN, b""
                lost = True
            place = block.find(magic)
            if place < 0:
                more = file.read(_BLOCK)
                waiting = block[1 - len(magic) :] + more if more else b""
                continue
            block, lost, member = block[place:], False, make()
        try:
            for data in member.decompress(block):
                yield DATA, data
        except error:
            yield BROKEN, b""
            member, lost, waiting = None, True, block[1:]
            continue
        if member.eof:
            waiting, member = member.unused_data, None
            yield END, b""
    if member is not None:
        yield CUT, b""


READERS = {"": plain, "gzip": gzip_members, "zstd": zstd_frames}
