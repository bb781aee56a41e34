"""Lines of a byte range: how plain files are cut into units that any number of processes share.

A line belongs to the range in which its first byte lies, so ranges that cover a file give each
line exactly once, whatever their bounds. A document between blank lines belongs to the range in
which the last blank line before it begins (the file's first document: to the range with byte 0).
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from polylm_jax.runtime import text_lines
from polylm_jax.runtime.text_files import suffix
from tasks.sources.files import File, open_scheme

UNIT_BYTES = 64 << 20


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
    """The lines of a range with their newlines, without byte order marks."""
    for _, line in text_lines.read_lines(*unit, opener=open_scheme):
        yield line


def read_paragraphs(unit: Range) -> Iterator[tuple[int, list[bytes]]]:
    """Documents separated by blank lines: (lines of the range before it, its lines)."""
    document: list[bytes] = []
    ours = unit.start == 0
    first = 0
    # A document that we began is read to its end, past the range's.
    lines = text_lines.read_lines(*unit, past_end=True, opener=open_scheme)
    for index, (offset, line) in enumerate(lines):
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
    return functools.cache(lambda: text_lines.line_number(unit.path, unit.start, open_scheme))
