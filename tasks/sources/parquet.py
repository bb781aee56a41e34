"""Parquet: a record per row, the row groups of a file as units."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow
import pyarrow.parquet

from polylm_jax.errors import InputError, nearest
from tasks.sources import files
from tasks.sources.text_formats import BadLine, Reader, Record

_ROWS = 1024


class RowGroup(NamedTuple):
    """Row group `index` of a file, and how many rows stand before it."""

    path: str
    index: int
    rows_before: int


@dataclass(frozen=True)
class Parquet(Reader):
    """Rows of Parquet files: {"text": "Hello.", "id": 7} -> {"text": "Hello.", "group": "7"}.

    Fields of structs are named by dots ('meta.lang'). A bad line's number is its row's, from 1.
    """

    @functools.cached_property
    def units(self) -> dict[str, object]:
        units = [group for file in self.inputs for group in self._row_groups(file.path)]
        if not units:
            raise InputError(f"paths: {self.paths!r} holds no rows; give files with text.")
        return {f"{unit.path}#{unit.index}-{unit.index + 1}": unit for unit in units}

    def read(self, unit: RowGroup, bad: BadLine) -> Iterator[Record]:
        for number, row in read_rows(unit, self._roots()):
            if not self.wanted(row):
                continue
            record = self.record(row)
            if isinstance(record, str):
                bad(unit.path, number, record, repr(row).encode("utf-8", "replace"))
            else:
                yield record

    def _roots(self) -> set[str]:
        """The columns of the file that anything here reads."""
        names = [*self.columns.values(), *(self.where or {}), *(self.where_not or {})]
        return {str(name).split(".")[0] for name in (*names, self.id or "")}

    def _row_groups(self, path: str) -> Iterator[RowGroup]:
        groups, found = _look(path)
        for name in self.columns.values():
            if str(name).split(".")[0] not in found:
                raise InputError(
                    f"column {name!r} isn't in {path!r}.{nearest(str(name), found)} "
                    f"It has {', '.join(found)}: say which with 'text' or 'columns'."
                )
        yield from groups


def row_groups(path: str) -> list[RowGroup]:
    """The row groups of a file."""
    return _look(path)[0]


def _look(path: str) -> tuple[list[RowGroup], list[str]]:
    """(row groups, names of the columns) of a file."""
    with files.open_bytes(path) as opened:
        try:
            metadata = pyarrow.parquet.ParquetFile(opened).metadata
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"path: {path!r} isn't Parquet ({error}); get it again.") from error
    groups, rows = [], 0
    for index in range(metadata.num_row_groups):
        groups.append(RowGroup(path, index, rows))
        rows += metadata.row_group(index).num_rows
    return groups, metadata.schema.to_arrow_schema().names


def read_rows(unit: RowGroup, columns: set[str] | None = None) -> Iterator[tuple[int, dict]]:
    """(its number in the file, from 1, and its values) of each row of a group; all columns by default."""
    number = unit.rows_before
    with files.open_bytes(unit.path) as opened:
        parquet = pyarrow.parquet.ParquetFile(opened)
        names = parquet.schema_arrow.names
        chosen = names if columns is None else sorted(columns & set(names))
        for batch in parquet.iter_batches(_ROWS, row_groups=[unit.index], columns=chosen):
            for row in _rows(batch):
                number += 1
                yield number, row


def _rows(batch: pyarrow.RecordBatch) -> Iterator[dict]:
    """The rows of a batch as dicts; bytes that aren't UTF-8 give a row without that text."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            yield {name: _value(batch.column(name)[index]) for name in batch.schema.names}


def _value(scalar: pyarrow.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return None
