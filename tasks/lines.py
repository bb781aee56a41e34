"""Lines of a byte range: how plain files are cut into units that any number of processes share.

A line belongs to the range in which its first byte lies, so ranges that cover a file give each
line exactly once, whatever their bounds. A document between blank lines belongs to the range in
which the last blank line before it begins (the file's first document: to the range with byte 0).
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tasks.files import File, count_lines, open_bytes, suffix

UNIT_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"


class Range(NamedTuple):
    """Bytes [start, stop) of a plain file, or the whole of a compressed one (stop: its size)."""

    path: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """What `list_shards` calls it."""
        return f"{self.path}#{self.start}-{self.stop}"


def ranges(file: File, unit_bytes: int) -> Iterator[Range]:
    """A file as ranges of `unit_bytes`; a compressed one as a single range, an empty one as none."""
    step = max(file.size, 1) if suffix(file.path) else unit_bytes
    for start in range(0, file.size, step):
        yield Range(file.path, start, min(start + step, file.size))


def read_lines(unit: Range) -> Iterator[bytes]:
    """The lines of a range with their newlines; the first line of a file without its BOM."""
    for _, line in _lines_with_offsets(unit):
        yield line


def read_paragraphs(unit: Range) -> Iterator[tuple[int, list[bytes]]]:
    """Documents separated by blank lines: (lines of the range before it, its lines)."""
    document: list[bytes] = []
    ours = unit.start == 0
    first = 0
    # A document that we began is read to its end, past the range's.
    for index, (offset, line) in enumerate(_lines_with_offsets(unit, past_end=True)):
        past_end = offset >= unit.stop and not suffix(unit.path)
        if ours and line.strip():
            first = first if document else index
            document.append(line)
            continue
        if document:
            yield first, document
            document = []
        if past_end:
            return
        ours = ours or not line.strip()
    if document:
        yield first, document


def first_line_number(unit: Range) -> Callable[[], int]:
    """A function for the number (from 1) of a range's first line, counted once and on demand.

    Only a bad line needs it, and it costs a pass over what stands before the range.
    """

    @functools.cache
    def number() -> int:
        if unit.start == 0:
            return 1
        return 1 + count_lines(unit.path, _first_offset(unit))

    return number


def _first_offset(unit: Range) -> int:
    """Where the first line that begins in a range begins (or where the range's last line ends)."""
    with open_bytes(unit.path) as file:
        file.seek(unit.start - 1)
        return unit.start - 1 + len(file.readline())


def _lines_with_offsets(unit: Range, past_end: bool = False) -> Iterator[tuple[int, bytes]]:
    with open_bytes(unit.path) as file:
        offset = 0
        if unit.start:
            file.seek(unit.start - 1)
            offset = unit.start - 1 + len(file.readline())
        whole = past_end or bool(suffix(unit.path))
        for line in file:
            if offset >= unit.stop and not whole:
                return
            yield offset, line.removeprefix(_BOM) if offset == 0 else line
            offset += len(line)
