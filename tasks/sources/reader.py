"""What all readers of text share: records of columns and a group, filters, and what isn't text.

A reader gives records: a dict of its `columns` (name in the record -> where it stands in the
input; none is empty) and `group`, the value of its `id` field ('' where there is none), all of
them str. A line that gives no record goes to `bad(path, line_number, reason, raw)` instead.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.text_lines import NOT_UTF8
from polylm_jax.text.held_out import identifier
from tasks.sources import files, lines

BadLine = Callable[[str, int, str, bytes], None]  # path, line number from 1, reason, raw bytes
Record = dict[str, str]
Columns = Mapping[str, str | int]

_SAMPLE = 1000  # records that are looked at for the fields of a filter


@dataclass(frozen=True)
class Reader:
    """What all readers share: the files and the list of units, made once and only when asked for.

    Attributes:
        paths: one or more files or globs.
        columns: name in the record -> field of the input: a name ('text', nested 'meta.text').
        id: the field that names a document's group, or None.
        where: {field: value or values}: only records that have one of them are read.
        where_not: {field: value or values}: records that have one of them aren't read.
        unit_bytes: plain files are read in units of so many bytes.
    """

    paths: str | Sequence[str] | Mapping[str, str]
    columns: Columns = field(default_factory=lambda: {"text": "text"})
    id: str | int | None = "id"
    where: Mapping[str, object] | None = None
    where_not: Mapping[str, object] | None = None
    unit_bytes: int = lines.UNIT_BYTES

    @functools.cached_property
    def inputs(self) -> tuple[files.File, ...]:
        """The files, in order. Raises InputError when there are none."""
        assert not isinstance(self.paths, Mapping), (
            "a format of aligned files has inputs of its own"
        )
        return files.expand(self.paths, "paths")

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        """Name of a unit -> what `read` needs for it; the same for any number of processes."""
        units = [r for file in self.inputs for r in lines.ranges(file, self.unit_bytes)]
        if not units:
            raise InputError(f"paths: {self.paths!r} holds empty files only; give files with text.")
        return {unit.name: unit for unit in units}

    def read(self, unit: Any, bad: BadLine) -> Iterator[Record]:
        """The records of one unit, in the order of the file."""
        raise NotImplementedError

    def sample(self, size: int) -> Iterator[Mapping]:
        """The first `size` parsed records, before any filter; none where a format has no fields."""
        return iter(())

    def unknown_filters(self) -> list[str]:
        """A sentence for each field of `where` and `where_not` that none of many records has."""
        names = [("where", n) for n in self.where or {}]
        names += [("where_not", n) for n in self.where_not or {}]
        records = list(self.sample(_SAMPLE)) if names else []
        known = sorted({str(field) for record in records for field in record})
        return [
            f"{option}: no record has the field {name!r} (of the first {len(records):,})."
            f"{nearest(str(name), known)}"
            for option, name in names
            if records and not any(_has(record, name) for record in records)
        ]

    def refuse_filters(self) -> None:
        """Raises InputError when a filter is set on a format that has no fields to filter by."""
        if self.where or self.where_not:
            raise InputError(
                f"where is {self.where or self.where_not!r}, but {type(self).__name__} has no "
                "fields to filter by: leave it out, or give the text as jsonl, tsv or parquet."
            )

    def options(self) -> dict[str, object]:
        """Everything that decides what is read, without the files' names."""
        given = asdict(self)
        del given["paths"]
        return {"format": type(self).__name__, **given}

    @functools.cached_property
    def wanted(self) -> Callable[[Mapping], bool]:
        """Whether a parsed record passes `where` and `where_not`."""
        return _filter(self.where or {}, self.where_not or {})

    @functools.cached_property
    def identified(self) -> bool:
        """Whether there is an `id` to read."""
        return self.id is not None and not self.displaced

    @property
    def displaced(self) -> bool:
        """Whether a text stands where the `id` would.

        A pair of English and Indonesian written {"id", "en", "id"} keeps only the text under "id".
        """
        return self.id in self.columns.values()

    def record(self, parsed: Mapping) -> Record | str:
        """The record of a parsed object, or the reason why there is none."""
        record = {}
        for name, where in self.columns.items():
            text = lookup(parsed, where)
            if not isinstance(text, str) or not text.strip():
                return f"no text in field {where!r}"
            if "\0" in text:
                return f"NUL in field {where!r}"
            record[name] = text.replace("\ufeff", "") if "\ufeff" in text else text
        if self.id is not None and self.identified:
            record["group"] = identifier(lookup(parsed, self.id))
        else:
            record["group"] = ""
        return record


class Reason(str):
    """Why there is no text."""

    __slots__ = ()


def plain_text(raw: bytes) -> str | Reason:
    """Bytes of plain text, or why they are none: text has no NUL, UTF-16 read as UTF-8 does."""
    if b"\0" in raw:
        return Reason("NUL bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Reason(NOT_UTF8)


def lookup(parsed: Mapping, where: str | int) -> object:
    """The value of a field, nested ones by dots ('meta.pile_set_name'); None where there is none."""
    if where in parsed or not isinstance(where, str):
        return parsed.get(where)
    value: object = parsed
    for part in where.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def encodable(record: Record) -> bool:
    """Whether all texts of a record can be UTF-8, which half a surrogate pair can't."""
    try:
        "".join(record.values()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _has(parsed: Mapping, where: str | int) -> bool:
    """Whether a record has a field, be it null."""
    if where in parsed or not isinstance(where, str):
        return where in parsed
    *before, last = where.split(".")
    value: object = parsed
    for part in before:
        value = value.get(part) if isinstance(value, Mapping) else None
    return isinstance(value, Mapping) and last in value


def _filter(where: Mapping, where_not: Mapping) -> Callable[[Mapping], bool]:
    keep = [(name, _values(value)) for name, value in where.items()]
    drop = [(name, _values(value)) for name, value in where_not.items()]

    def wanted(parsed: Mapping) -> bool:
        return all(lookup(parsed, n) in v for n, v in keep) and not any(
            lookup(parsed, n) in v for n, v in drop
        )

    return wanted


def _values(value: object) -> tuple:
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
