"""JSON lines that a process may leave at any moment and another one goes on with.

One rule of durability. `write` hands a line to the operating system: it outlasts the process. `sync`
brings what was written to the disk: it outlasts the machine, and whoever lets something rest on lines
(a checkpoint, money, a line counted as done) calls it first. What a kill leaves of a last line is cut
off; lines that a crash of the machine left blank or full of NULs are passed over.
"""

import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

import orjson

from polylm_jax.runtime.text_lines import parse_json

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_EMPTY = b"\0 \t\r\n"  # what no object begins or ends with


class Line(NamedTuple):
    """A whole line: its number from 1, its bytes, and its object; None where it holds none."""

    number: int
    raw: bytes
    value: dict | None


def encoded(value: Mapping) -> bytes:
    """One line, UTF-8. What is no number (NaN, infinity) becomes null, as JSON has no word for it."""
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:  # half a surrogate pair, an integer above 64 bits
        return json.dumps(value).encode() + b"\n"


def lines(content: bytes) -> Iterator[Line]:
    """The whole lines that aren't blank; what a kill left of a last one isn't among them."""
    for number, raw in enumerate(content.split(b"\n")[:-1], 1):
        if text := raw.strip(_EMPTY):
            found = parse_json(text)
            yield Line(number, raw + b"\n", found if isinstance(found, dict) else None)


def objects(content: bytes | None) -> list[dict]:
    """The objects of a file, in order; what is damaged is left out."""
    return [line.value for line in lines(content or b"") if line.value is not None]


def mend(path: pathlib.Path, keep: Callable[[dict], bool] = lambda value: True) -> int:
    """Leaves in a file the objects that `keep` says (asked in order); how many lines were damaged.

    Blank lines, half a line at the end and damaged ones go. Nothing is written where nothing goes,
    and a crash meanwhile leaves the old file or the new one.
    """
    if not path.exists():
        return 0
    content = path.read_bytes()
    found = list(lines(content))
    damaged = sum(line.value is None for line in found)
    kept = b"".join(
        line.raw.strip(_EMPTY) + b"\n"
        for line in found
        if line.value is not None and keep(line.value)
    )
    if kept == content:
        return damaged
    if content.startswith(kept):
        os.truncate(path, len(kept))
        return damaged
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(new, "wb") as file:
        file.write(kept)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return damaged


class Appender:
    """Adds lines to a file, from any thread; see the module for what is where when it returns."""

    def __init__(self, file: BinaryIO):
        self._file, self._lock = file, threading.Lock()

    def write(self, value: Mapping) -> None:
        """The line, in the hands of the operating system when this returns."""
        with self._lock:
            self._file.write(encoded(value))
            self._file.flush()

    def sync(self) -> None:
        """What was written, on the disk when this returns."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
