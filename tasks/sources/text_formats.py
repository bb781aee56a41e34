"""Formats of text by lines: JSONL, TSV and plain text, each a list of units and a way to read one.

A reader gives records: a dict of its `columns` (name in the record -> where it stands in the
input; none is empty) and `group`, the value of its `id` field ('' where there is none), all of
them str. A line that gives no record goes to `bad(path, line_number, reason, raw)` instead.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.text_files import MARK
from polylm_jax.runtime.text_lines import NOT_UTF8, parse_json
from tasks.sources import files, lines

BadLine = Callable[[str, int, str, bytes], None]  # path, line number from 1, reason, raw bytes
Record = dict[str, str]
Columns = Mapping[str, str | int]

MAX_TEXT_FILE = 64 << 20  # bytes of a file that `documents="file"` takes for one document
DOCUMENTS = ("file", "line", "blank_lines")


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

    paths: str | Sequence[str]
    columns: Columns = field(default_factory=lambda: {"text": "text"})
    id: str | int | None = "id"
    where: Mapping[str, object] | None = None
    where_not: Mapping[str, object] | None = None
    unit_bytes: int = lines.UNIT_BYTES

    @functools.cached_property
    def inputs(self) -> tuple[files.File, ...]:
        """The files, in order. Raises InputError when there are none."""
        return files.expand(self.paths, "paths")

    @functools.cached_property
    def units(self) -> dict[str, object]:
        """Name of a unit -> what `read` needs for it; the same for any number of processes."""
        units = [r for file in self.inputs for r in lines.ranges(file, self.unit_bytes)]
        if not units:
            raise InputError(f"paths: {self.paths!r} holds empty files only; give files with text.")
        return {unit.name: unit for unit in units}

    def read(self, unit: object, bad: BadLine) -> Iterator[Record]:
        """The records of one unit, in the order of the file."""
        raise NotImplementedError

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
            record[name] = text
        record["group"] = _identifier(lookup(parsed, self.id)) if self.identified else ""
        return record


@dataclass(frozen=True)
class Jsonl(Reader):
    """One JSON object per line: {"id": "7", "text": "Hello."} -> {"text": "Hello.", "group": "7"}."""

    def read(self, unit: lines.Range, bad: BadLine) -> Iterator[Record]:
        first = lines.first_line_number(unit)
        filtered = self.where or self.where_not
        for index, raw in enumerate(lines.read_lines(unit)):
            record = parse_json(raw)
            if type(record) is dict:
                if filtered and not self.wanted(record):
                    continue
                record = self.record(record)
                # JSON escapes can write half a surrogate pair, which UTF-8 can't.
                if type(record) is dict and b"\\u" in raw and not _encodable(record):
                    record = NOT_UTF8
            if type(record) is dict:
                yield record
            elif raw.strip():
                bad(unit.path, first() + index, record, raw)


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
            try:
                cells = raw.decode().rstrip("\r\n").split("\t")
            except UnicodeDecodeError:
                bad(unit.path, first() + index, NOT_UTF8, raw)
                continue
            parsed = {**dict(enumerate(cells, 1)), **dict(zip(header, cells))}
            if not self.wanted(parsed):
                continue
            record = self.record(parsed)
            if isinstance(record, str):
                bad(unit.path, first() + index, record, raw)
            else:
                yield record

    def _header(self, path: str) -> list[str]:
        named = [c for c in (*self.columns.values(), self.id) if isinstance(c, str)]
        if not named:
            return []
        with files.open_text(path) as file:
            header = file.readline().replace(MARK, b"").decode("utf-8", "replace")
        header = header.rstrip("\r\n").split("\t")
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
        if self.documents not in DOCUMENTS:
            raise InputError(
                f"documents is {self.documents!r}.{nearest(self.documents, DOCUMENTS)} "
                f"Give one of {', '.join(DOCUMENTS)}."
            )

    @functools.cached_property
    def units(self) -> dict[str, object]:
        if self.documents != "file":
            return super().units
        return _packed(self.inputs, self.unit_bytes)

    def read(self, unit: object, bad: BadLine) -> Iterator[Record]:
        (name,) = self.columns
        for path, number, raw in self._documents(unit):
            try:
                text = raw.decode().replace("\r\n", "\n").strip("\n")
            except UnicodeDecodeError:
                bad(path, number(), NOT_UTF8, raw)
                continue
            if text.strip():
                yield {name: text, "group": ""}

    def _documents(self, unit: object) -> Iterator[tuple[str, Callable[[], int], bytes]]:
        if self.documents == "file":
            for file in unit:
                yield file.path, lambda: 1, _whole(file)
            return
        first = lines.first_line_number(unit)
        if self.documents == "line":
            for index, raw in enumerate(lines.read_lines(unit)):
                yield unit.path, lambda index=index: first() + index, raw
        else:
            for index, parts in lines.read_paragraphs(unit):
                yield unit.path, lambda index=index: first() + index, b"".join(parts)


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


def _encodable(record: Record) -> bool:
    try:
        "".join(record.values()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _identifier(value: object) -> str:
    return "" if value is None or isinstance(value, bool | Mapping | list) else str(value)


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
