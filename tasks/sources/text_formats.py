"""Formats of text by lines: JSONL, TSV and plain text, each a list of units and a way to read one."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylm_jax.errors import InputError, nearest, one_of
from polylm_jax.runtime.text_files import MARK
from polylm_jax.runtime.text_lines import NOT_UTF8, parse_json
from tasks.sources import files, lines
from tasks.sources.reader import BadLine, Reader, Reason, Record, encodable, plain_text

MAX_TEXT_FILE = 64 << 20  # bytes of a file that `documents="file"` takes for one document
DOCUMENTS = ("file", "line", "blank_lines")


@dataclass(frozen=True)
class Jsonl(Reader):
    """One JSON object per line: {"id": "7", "text": "Hello."} -> {"text": "Hello.", "group": "7"}."""

    def read(self, unit: lines.Range, bad: BadLine) -> Iterator[Record]:
        first = lines.first_line_number(unit)
        filtered = self.where or self.where_not
        for index, raw in enumerate(lines.read_lines(unit)):
            record = parse_json(raw)
            if isinstance(record, dict):
                if filtered and not self.wanted(record):
                    continue
                record = self.record(record)
                # JSON escapes can write half a surrogate pair, which UTF-8 can't.
                if isinstance(record, dict) and b"\\u" in raw and not encodable(record):
                    record = NOT_UTF8
            if isinstance(record, dict):
                yield record
            elif raw.strip():
                bad(unit.path, first() + index, record, raw)

    def sample(self, size: int) -> Iterator[Mapping]:
        raws = lines.read_lines(next(iter(self.units.values())))
        parsed = map(parse_json, itertools.islice(raws, size))
        return (record for record in parsed if isinstance(record, dict))


@dataclass(frozen=True)
class Tsv(Reader):
    """Columns between tabs, without quoting.

    Columns are named as in the first line, or numbered from 1 (as `cut -f` does): with
    columns={"en": 1, "th": 2} and id=None, "Hello.\\tสวัสดี" -> {"en": "Hello.", "th": "สวัสดี"}.
    The first line is a header when any column is given by name.
    """

    id: str | int | None = None

    def read(self, unit: lines.Range, bad: BadLine) -> Iterator[Record]:
        first = lines.first_line_number(unit)
        header = self._header(unit.path)
        for index, raw in enumerate(lines.read_lines(unit)):
            if (header and unit.start == 0 and index == 0) or not raw.strip():
                continue
            line = plain_text(raw)
            if isinstance(line, Reason):
                bad(unit.path, first() + index, line, raw)
                continue
            cells = line.rstrip("\r\n").split("\t")
            parsed: dict[str | int, str] = dict(enumerate(cells, 1))
            parsed.update(zip(header, cells))
            if not self.wanted(parsed):
                continue
            record = self.record(parsed)
            if isinstance(record, str):
                bad(unit.path, first() + index, record, raw)
            else:
                yield record

    def sample(self, size: int) -> Iterator[Mapping]:
        for raw in itertools.islice(lines.read_lines(next(iter(self.units.values()))), size):
            cells = raw.decode("utf-8", "replace").rstrip("\r\n").split("\t")
            header = self._header(self.inputs[0].path)
            yield {**dict(enumerate(cells, 1)), **dict(zip(header, cells))}

    def _header(self, path: str) -> list[str]:
        named = [c for c in (*self.columns.values(), self.id) if isinstance(c, str)]
        if not named:
            return []
        with files.open_text(path) as file:
            first = file.readline().replace(MARK, b"").decode("utf-8", "replace")
        header = first.rstrip("\r\n").split("\t")
        for name in named:
            if name not in header:
                raise InputError(
                    f"column {name!r} isn't in the first line of {path!r}."
                    f"{nearest(name, header)} It has {header}; or give columns by number, from 1."
                )
        return header


@dataclass(frozen=True)
class Text(Reader):
    """Plain text, of which a document is a file, a line, or what stands between blank lines.

    Files that are documents are read many to a unit, up to `unit_bytes`.
    """

    documents: str = "file"
    id: str | None = None

    def __post_init__(self):
        self.refuse_filters()
        one_of("documents", self.documents, DOCUMENTS)

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        if self.documents != "file":
            return super().units
        return _packed(self.inputs, self.unit_bytes)

    def read(self, unit: Any, bad: BadLine) -> Iterator[Record]:
        (name,) = self.columns
        for path, number, raw in self._documents(unit):
            text = plain_text(raw)
            if isinstance(text, Reason):
                bad(path, number(), text, raw)
            elif text.strip():
                yield {name: text.replace("\r\n", "\n").strip("\n"), "group": ""}

    def _documents(self, unit: Any) -> Iterator[tuple[str, Callable[[], int], bytes]]:
        if self.documents == "file":
            for file in unit:
                yield file.path, lambda: 1, _whole(file)
            return
        first = lines.first_line_number(unit)
        if self.documents == "line":
            for index, raw in enumerate(lines.read_lines(unit)):
                yield unit.path, _later(first, index), raw
        else:
            for index, parts in lines.read_paragraphs(unit):
                yield unit.path, _later(first, index), b"".join(parts)


def _later(first: Callable[[], int], index: int) -> Callable[[], int]:
    return lambda: first() + index


def _packed(found: Sequence[files.File], unit_bytes: int) -> dict[str, list[files.File]]:
    """Files packed in order into units: {'a.txt#0-3': [three files]}."""
    packs: list[list[files.File]] = []
    left = 0
    for file in found:
        if not packs or file.size > left:
            packs.append([])
            left = unit_bytes
        packs[-1].append(file)
        left -= file.size
    return {f"{pack[0].path}#0-{len(pack)}": pack for pack in packs}


def _whole(file: files.File) -> bytes:
    with files.open_text(file.path) as opened:
        raw = opened.read(MAX_TEXT_FILE + 1)
    if len(raw) > MAX_TEXT_FILE:
        raise InputError(
            f"documents is 'file', but {file.path!r} has more than {MAX_TEXT_FILE >> 20} MiB of "
            "text: say documents='blank_lines' (as CC-100 comes) or documents='line'."
        )
    return raw.replace(MARK, b"")
