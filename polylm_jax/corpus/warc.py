"""Records of WARC files, WET among them: what is whole is given, what is broken is told and passed.

Written for files as they come: a record per gzip member, one member for all, members without regard
to records, zstd frames, zeros at the end, a byte flipped, a length that is wrong, an end cut off.
A record is given once its member's checksum was right, or another record followed it whole.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from polylm_jax.corpus.members import CUT, DATA, END, Piece

HEAD = 64 << 10  # bytes that the headers of a record may take
_VERSION = b"WARC/"
_NEXT = re.compile(rb"(?<=\n)WARC/\d\.\d\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_BLANK = b"\r\n"
_AFTER = 4 + len(_VERSION)  # bytes behind a record that show that it ends there


class Record(NamedTuple):
    """One record: its headers with names in small letters, and the bytes of its block."""

    headers: dict[str, str]
    block: bytes
    raw: bytes  # the headers as they stand

    @property
    def type(self) -> str:
        return self.headers.get("warc-type", "")


class Fault(NamedTuple):
    """Something that was no record: 'broken record', 'ends early', 'record over the limit'."""

    reason: str
    raw: bytes


BROKEN, EARLY, LONG = "broken record", "ends early", "record over the limit"


class _Reader:
    """The records in a growing buffer. Offsets are of the decompressed bytes."""

    def __init__(self, most: int):
        self.buffer, self.start, self.verified, self.most = bytearray(), 0, 0, most
        self.lost = False  # between a broken record and the next one
        self.skip = 0  # bytes of a record over the limit that are still to come
        self.waiting: list[tuple[int, Record]] = []  # (where it ends, record) until it's verified

    def end(self) -> int:
        return self.start + len(self.buffer)

    def add(self, data: bytes) -> None:
        gone = min(self.skip, len(data))
        self.skip, self.start = self.skip - gone, self.start + gone
        self.buffer += memoryview(data)[gone:]

    def drop(self, count: int) -> None:
        del self.buffer[:count]
        self.start += count

    def released(self) -> Iterator[Record]:
        """Records whose bytes were checked, or that another record followed."""
        while self.waiting and (self.waiting[0][0] <= self.verified or len(self.waiting) > 1):
            yield self.waiting.pop(0)[1]

    def found(self, last: bool = False) -> Iterator[Record | Fault]:
        """The records that are whole in the buffer; `last`: nothing comes after it."""
        while True:
            if self.lost and not self._next():
                return
            blank = len(self.buffer) - len(self.buffer.lstrip(_BLANK))
            self.drop(blank)
            if not self.buffer or (len(self.buffer) < _AFTER and not last):
                return
            taken = self._take(last)
            if taken is None:
                return
            if isinstance(taken, Fault):
                yield taken
            yield from self.released()

    def _next(self) -> bool:
        """Goes to the next record behind a broken one; whether there is one yet."""
        place = _NEXT.search(self.buffer)
        self.lost = place is None
        self.drop(place.start() if place else max(0, len(self.buffer) - 16))
        return not self.lost

    def _take(self, last: bool) -> Record | Fault | None:
        """Takes the record at the buffer's start; None where more bytes are needed."""
        if not self.buffer.startswith(_VERSION):
            return None if _VERSION.startswith(self.buffer) else self._broken()
        head = _HEAD_END.search(self.buffer, 0, HEAD)
        if head is None:
            return self._broken() if len(self.buffer) >= HEAD else None
        headers = parsed(bytes(self.buffer[: head.start()]))
        size = headers.get("content-length", "")
        if not (size.isascii() and size.isdecimal()):
            return self._broken()
        stop = head.end() + int(size)
        if int(size) > self.most:
            return self._long(stop)
        if len(self.buffer) < stop + (0 if last else _AFTER):
            if last and _NEXT.search(self.buffer, 1):
                return self._broken()  # its length reaches beyond the records that follow
            return None
        if not self._ends(stop):
            return self._broken()
        raw, block = bytes(self.buffer[: head.end()]), bytes(self.buffer[head.end() : stop])
        record = Record(headers, block, raw)
        self.drop(stop)
        self.waiting.append((self.start, record))
        return record

    def _ends(self, stop: int) -> bool:
        """Whether blank lines and another record stand behind a record, or nothing."""
        after = bytes(self.buffer[stop : stop + _AFTER])
        rest = after.lstrip(_BLANK)
        blank = len(rest) < len(after)
        next_one = blank and _VERSION.startswith(rest[: len(_VERSION)])
        return not after or next_one or after.startswith(2 * _BLANK)

    def _broken(self) -> Fault:
        fault = Fault(BROKEN, bytes(self.buffer[:2000]))
        self.drop(1)
        self.lost = True
        return fault

    def _long(self, stop: int) -> Fault:
        fault = Fault(LONG, bytes(self.buffer[:2000]))
        self.skip = max(0, stop - len(self.buffer))
        self.drop(min(stop, len(self.buffer)))
        return fault

    def forget(self, cut: bool) -> Iterator[Record | Fault]:
        """What was whole before a member that turned out broken or `cut`; the rest goes.

        Behind a cut no byte is wrong, so that a record that others follow is whole; before a broken
        place one of its bytes may be.
        """
        self.skip = 0
        if cut:
            self.verified = max([self.verified, *(end for end, _ in self.waiting)])
            yield from self.released()
        del self.buffer[max(0, self.verified - self.start) :]
        yield from self.found(last=True)
        yield from self.released()
        self.waiting.clear()
        self.drop(len(self.buffer))
        self.start = self.verified
        self.lost = False


def records(pieces: Iterable[Piece], most: int) -> Iterator[Record | Fault]:
    """The records of a file and what is wrong with it, in order.

    pieces: the decompressed file. most: bytes of the longest block.
    """
    reader = _Reader(most)
    for kind, data in pieces:
        if kind == DATA:
            reader.add(data)
            yield from reader.found()
        elif kind == END:
            reader.verified = reader.end()
            yield from reader.released()
        else:
            yield from reader.forget(kind == CUT)
            yield Fault(EARLY if kind == CUT else BROKEN, b"")
            if kind == CUT:
                return
    reader.verified = reader.end()
    whole = not reader.skip
    yield from reader.found(last=True)
    yield from reader.released()
    if not whole or (reader.buffer and not reader.lost):
        yield Fault(EARLY, bytes(reader.buffer[:2000]))


def parsed(head: bytes) -> dict[str, str]:
    """b'WARC/1.0\\r\\nWARC-Type: conversion' -> {'warc-type': 'conversion'}."""
    lines = head.decode("utf-8", "replace").splitlines()[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
