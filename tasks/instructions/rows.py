"""Files of instruction data as objects, whatever their format: JSON lines or an array, Parquet, CSV, TSV.

A unit of work is a range of bytes of JSON lines, a row group of Parquet, or a whole table of text.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from polylm_jax.errors import InputError, one_of
from polylm_jax.runtime.text_files import MARK, suffix
from polylm_jax.runtime.text_lines import NOT_UTF8, parse_json
from tasks.sources import files, lines, parquet

JSON, PARQUET = "jsonl", "parquet"
TABLES: dict[str, dict[str, Any]] = {
    "csv": {"dialect": "excel"},
    "tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
FORMATS = (JSON, PARQUET, *TABLES)
MAX_CELL = 64 << 20  # characters

# Line or row from 1, its bytes, the object or what is wrong with it.
Row = tuple[int, bytes, dict | str]


class Table(NamedTuple):
    """A file of CSV or TSV, read whole: a quoted cell may hold line ends."""

    path: str
    format: str


def format_of(paths: Any, given: str = "") -> str:
    """The format that was given, or that the first path's ending says; anything unknown is JSON."""
    if given:
        return one_of("format", given, FORMATS)
    first = paths if isinstance(paths, str) else next(iter(paths), "")
    plain = first.removesuffix(suffix(first)) if suffix(first) else first
    ending = plain.rpartition(".")[2].lower()
    return ending if ending in FORMATS else JSON


def units(format: str, inputs: Sequence[files.File], unit_bytes: int) -> dict[str, Any]:
    """Name of a unit -> what `objects` needs for it."""
    if format == PARQUET:
        return {unit.name: unit for file in inputs for unit in parquet.row_groups(file.path)}
    if format in TABLES:
        return {f"{f.path}#0-{f.size}": Table(f.path, format) for f in inputs if f.size}
    return {unit.name: unit for file in inputs for unit in lines.ranges(file, unit_bytes)}


def objects(unit: parquet.RowGroups | Table | lines.Range) -> Iterator[Row]:
    """The objects of a unit, in their order."""
    if isinstance(unit, parquet.RowGroups):
        for number, row in parquet.read_rows(unit):
            yield number, repr(row).encode("utf-8", "replace"), row
    elif isinstance(unit, Table):
        yield from _cells(unit)
    elif unit.start == 0 and _is_array(unit.path):
        yield from _items(unit.path)
    else:
        first = lines.first_line_number(unit)
        for index, raw in enumerate(lines.read_lines(unit)):
            if raw.strip() and not (unit.start and _is_array(unit.path)):
                yield first() + index, raw, parse_json(raw)


def _cells(table: Table) -> Iterator[Row]:
    """Rows by the names in the first line; a row of other cells is bad."""
    csv.field_size_limit(MAX_CELL)
    with files.open_text(table.path) as raw:
        text = io.TextIOWrapper(raw, "utf-8-sig", newline="")
        try:
            reader = csv.reader(text, **TABLES[table.format], strict=True)
            header = next(reader, [])
            for cells in reader:
                if cells:
                    yield _row(reader.line_num, header, cells)
        except (UnicodeDecodeError, csv.Error) as error:
            why = NOT_UTF8 if isinstance(error, UnicodeDecodeError) else str(error)
            raise InputError(
                f"file {table.path!r}: {why} after line {reader.line_num}: mend it there."
            ) from error
        finally:
            text.detach()


def _row(number: int, header: list[str], cells: list[str]) -> Row:
    raw = "\t".join(cells).encode("utf-8", "backslashreplace")
    if len(cells) != len(header):
        return number, raw, f"{len(cells)} cells, and the first line has {len(header)}"
    return number, raw, dict(zip(header, cells))


def _is_array(path: str) -> bool:
    with files.open_text(path) as file:
        return file.read(64).removeprefix(MARK).lstrip()[:1] == b"["


def _items(path: str) -> Iterator[Row]:
    with files.open_bytes(path) as file:
        raw = file.read().replace(MARK, b"")
    try:
        found = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise InputError(f"file {path!r} is {NOT_UTF8}: write it in UTF-8.") from error
    except ValueError as error:
        raise InputError(
            f"file {path!r} is not a JSON array ({error}): mend it, or give one object a line."
        ) from error
    for number, item in enumerate(found, 1):
        shown = json.dumps(item, ensure_ascii=False).encode("utf-8", "backslashreplace")
        yield number, shown, item if isinstance(item, dict) else "not a JSON object"
