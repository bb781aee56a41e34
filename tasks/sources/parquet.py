"""Parquet: a record per row, the row groups of a file as units."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.text_lines import NOT_UTF8
from tasks.sources import files
from tasks.sources.reader import BadLine, Reader, Record, lookup

_ROWS = 1024
# Row groups of a few rows are read together up to so much: each unit of a store is a file of its own.
_UNIT_BYTES = 8 << 20
# What pyarrow raises over a footer or a page with changed bytes; UnicodeDecodeError is a ValueError.
_BROKEN = (pyarrow.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError)


class RowGroups(NamedTuple):
    """Row groups [first, stop) of a file, and how many rows stand before them."""

    path: str
    first: int
    stop: int
    rows_before: int

    @property
    def name(self) -> str:
        """What `list_shards` calls it."""
        return f"{self.path}#{self.first}-{self.stop}"


class _NotUtf8:
    """Stands for text that isn't UTF-8."""


@dataclass(frozen=True)
class Parquet(Reader):
    """Rows of Parquet files: {"text": "Hello.", "id": 7} -> {"text": "Hello.", "group": "7"}.

    Fields of structs are named by dots ('meta.lang'), as are columns with a dot in their name. Text
    may be a string or, as many writers have it, binary. A bad line's number is its row's, from 1.
    """

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        units = [unit for file in self.inputs for unit in self._units_of(file.path)]
        if not units:
            raise InputError(f"paths: {self.paths!r} holds no rows; give files with text.")
        return {unit.name: unit for unit in units}

    def read(self, unit: RowGroups, bad: BadLine) -> Iterator[Record]:
        names = [*self.columns.values(), *(self.where or {}), *(self.where_not or {}), self.id]
        for number, row in read_rows(unit, [str(name) for name in names if name is not None]):
            if not self.wanted(row):
                continue
            record = self.record(row)
            if not isinstance(record, str):
                yield record
                continue
            broken = any(isinstance(lookup(row, c), _NotUtf8) for c in self.columns.values())
            shown = repr(row).encode("utf-8", "replace")
            bad(unit.path, number, NOT_UTF8 if broken else record, shown)

    def sample(self, size: int) -> Iterator[Mapping]:
        rows = read_rows(next(iter(self.units.values())))
        return (row for _, row in itertools.islice(rows, size))

    def _units_of(self, path: str) -> list[RowGroups]:
        units, found = _look(path)
        for name in self.columns.values():
            if _root_in(found)(str(name)) is None:
                raise InputError(
                    f"column {name!r} isn't in {path!r}.{nearest(str(name), found)} "
                    f"It has {', '.join(found)}: say which with 'text' or 'columns'."
                )
        return units


def row_groups(path: str) -> list[RowGroups]:
    """The units of a file."""
    return _look(path)[0]


def read_rows(unit: RowGroups, fields: Sequence[str] | None = None) -> Iterator[tuple[int, dict]]:
    """(its number in the file, from 1, and its values) of each row of a unit.

    fields: only the columns that hold them are read; all by default.
    """
    number = unit.rows_before
    with files.open_bytes(unit.path) as opened, _whole(unit.path):
        parquet = pyarrow.parquet.ParquetFile(opened, page_checksum_verification=True)
        names = parquet.schema_arrow.names
        roots = map(_root_in(names), names if fields is None else fields)
        columns = sorted({root for root in roots if root is not None})
        groups = range(unit.first, unit.stop)
        for batch in parquet.iter_batches(_ROWS, row_groups=groups, columns=columns):
            for row in _dicts(batch):
                number += 1
                yield number, row


def _look(path: str) -> tuple[list[RowGroups], list[str]]:
    """(units, names of the columns) of a file."""
    with files.open_bytes(path) as opened, _whole(path):
        metadata = pyarrow.parquet.ParquetFile(opened).metadata
        names = metadata.schema.to_arrow_schema().names
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
    units, first, before, rows, size = [], 0, 0, 0, 0
    for index, (count, length) in enumerate(sizes):
        if rows and size + length > _UNIT_BYTES:
            units.append(RowGroups(path, first, index, before))
            first, before, rows, size = index, before + rows, 0, 0
        rows, size = rows + count, size + length
    return [*units, *([RowGroups(path, first, len(sizes), before)] if rows else [])], names


def _root_in(columns: Sequence[str]) -> Callable[[str], str | None]:
    """Field -> the column that holds it: itself, or the one that its first part names; None for none."""
    known = set(columns)

    def root(name: str) -> str | None:
        return next((one for one in (name, name.split(".")[0]) if one in known), None)

    return root


def _dicts(batch: pyarrow.RecordBatch) -> Iterator[dict]:
    """The rows of a batch as dicts, binary as text; `_NotUtf8` for bytes that aren't."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        names = batch.schema.names
        rows = [{n: _value(batch.column(n)[row]) for n in names} for row in range(batch.num_rows)]
    return ({name: _text(value) for name, value in row.items()} for row in rows)


def _value(scalar: pyarrow.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _NotUtf8()


def _text(value: object) -> object:
    if isinstance(value, dict):
        return {name: _text(one) for name, one in value.items()}
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _NotUtf8()


@contextlib.contextmanager
def _whole(path: str) -> Iterator[None]:
    """Turns what pyarrow says of a broken file into one sentence."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"path: {path!r} isn't Parquet or is broken ({reason}); get it again."
        ) from error
