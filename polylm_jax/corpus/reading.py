"""Reading raw text: JSONL, Parquet, WARC and WET files, plain text; what is broken is counted and passed.

datatrove's own readers leave broken lines out in silence and hold any line whole; here each has a
reason, no line longer than `MAX_LINE` is ever in memory, and a file that ends early is named, its
whole documents kept.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import fsspec
import orjson
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from polylm_jax.corpus import members, pages, warc
from polylm_jax.corpus.broken_files import (
    BROKEN_FILE,
    BROKEN_GROUP,
    FEW_IN_SHARD,
    NO_TEXT,
    REFUSED,
    check,
    over,
)
from polylm_jax.corpus.sources import UNKNOWN, Unit
from polylm_jax.corpus.tally import Tally
from polylm_jax.errors import InputError
from polylm_jax.runtime import text_files, text_lines

MAX_LINE = 32 << 20  # bytes
_FIELD = "SOURCES"


class ReadShards(PipelineStep):
    """The documents of one shard after another; `rank` says which."""

    type, name = "READER", "raw text"

    def __init__(
        self,
        shards: Sequence[Sequence[Unit]],
        tally: Tally,
        max_line: int = MAX_LINE,
        max_broken: float = 1.0,
    ):
        super().__init__()
        self.shards, self.tally = shards, tally
        self.max_line, self.max_broken = max_line, max_broken

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for unit in self.shards[rank]:
            try:
                for document in self.documents(unit):
                    language = document.metadata["language"]
                    self.tally.add("note read", unit.source.name, language, "read", document.text)
                    yield document
            except pages.NotInstalled:
                raise
            except InputError as error:
                self.refuse(unit, BROKEN_FILE, str(error).encode())
            # Where too much of a shard is broken it ends here, before all others are read.
            check(self.tally.counts, unit.source.name, self.max_broken, FEW_IN_SHARD)

    def documents(self, unit: Unit) -> Iterator[Document]:
        """What one unit holds; what is no document is refused. InputError where its file breaks off."""
        for number, record in RECORDS[unit.format](self, unit):
            document = self._document(unit, number, record)
            if document is not None:
                yield document

    def _document(self, unit: Unit, number: int, record: Mapping) -> Document | None:
        source, pair = unit.source, unit.pair
        if pair:
            sides = [_text_of(record, code) for code in pair]
            text = "\n".join(" ".join(side.split()) for side in sides) if all(sides) else ""
        else:
            text = _text_of(record, source.text)
        if not text.strip():
            self.refuse(unit, NO_TEXT, orjson.dumps(dict(record), default=str)[:2000])
            return None
        if not (text.isascii() or text_lines.encodable(text)):
            self.refuse(unit, text_lines.HALF_PAIR, text[:2000].encode("utf-8", "replace"))
            return None
        identity = _identity(record.get(source.id)) or f"{_name(unit)}@{number}"
        kept = {name: record[name] for name in source.keep if name in record}
        language = "-".join(pair) if pair else source.language or UNKNOWN
        about = {"source": source.name, "language": language, "kept": kept}
        return Document(text, identity, metadata=about | ({"pair": True} if pair else {}))

    def refuse(self, unit: Unit, reason: str, raw: bytes) -> None:
        """Counts what was no document, and names the file where that is broken."""
        text = raw.decode("utf-8", "replace")
        language = unit.source.language or UNKNOWN
        self.tally.add(REFUSED, unit.source.name, language, reason, text)
        self.tally.file(unit.source.name, unit.path, reason)
        about = {"source": unit.source.name, "id": _name(unit), "text": text}
        self.tally.sample(REFUSED, language, reason, about)

    def _lines(self, unit: Unit) -> Iterator[tuple[int, bytes]]:
        """(offset, line) of a range of bytes: the lines that begin in it, too long ones refused."""
        stop = unit.end if unit.end >= 0 else None
        for place, line in text_lines.read_lines(
            unit.path, unit.start, stop, self.max_line, field=_FIELD
        ):
            if len(line) > self.max_line:
                self.refuse(unit, over(self.max_line), line[:2000])
            else:
                yield place, line

    def lines(self, unit: Unit) -> Iterator[tuple[int, str]]:
        """The lines of a range as text, broken ones refused."""
        for place, line in self._lines(unit):
            try:
                yield place, line.decode("utf-8")
            except UnicodeDecodeError:
                self.refuse(unit, text_lines.NOT_UTF8, line[:2000])

    def jsonl(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        for place, line in self._lines(unit):
            if line.strip():
                record = text_lines.parse_json(line)
                if isinstance(record, str):
                    self.refuse(unit, record, line[:2000])
                else:
                    yield place, record

    def txt(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        name = unit.source.text
        if unit.source.documents == "line":
            yield from ((place, {name: line}) for place, line in self.lines(unit) if line.strip())
            return
        parts: list[str] = []
        number, size = 0, 0
        for _, line in self.lines(unit):
            blank = not line.strip() and unit.source.documents == "blank_lines"
            if blank and parts:
                yield number, {name: "".join(parts)}
                parts, number, size = [], number + 1, 0
            elif not blank:
                parts.append(line)
                size += len(line)
                if size > self.max_line:
                    self.refuse(unit, over(self.max_line), "".join(parts)[:2000].encode())
                    parts, size = [], 0
                    if unit.source.documents == "file":
                        return
        if parts:
            yield number, {name: "".join(parts)}

    def parquet(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        import pyarrow
        import pyarrow.parquet

        source, number = unit.source, unit.start * 1_000_000_000
        with (
            text_files.naming(unit.path, _FIELD, pyarrow.ArrowException),
            fsspec.open(unit.path, "rb") as raw,
            pyarrow.parquet.ParquetFile(raw) as file,
        ):
            wanted = [*(unit.pair or (source.text,)), source.id, *source.keep]
            columns = [name for name in file.schema_arrow.names if name in wanted]
            last = unit.end if unit.end >= 0 else file.num_row_groups
            groups = list(range(unit.start, last))
            try:
                for batch in file.iter_batches(256, row_groups=groups, columns=columns):
                    for record in batch.to_pylist():
                        yield number, record
                        number += 1
            except (pyarrow.ArrowException, OSError) as error:
                self.refuse(unit, BROKEN_GROUP, str(error).encode())

    def crawl(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        """The texts of WET files' conversions, the pages of WARC files' responses."""
        for number, found in enumerate(warc.records(_pieces(unit.path), self.max_line)):
            if isinstance(found, warc.Fault):
                long = found.reason == warc.LONG
                self.refuse(unit, over(self.max_line) if long else found.reason, found.raw)
                continue
            if found.type not in ("conversion", "response"):
                continue
            text, reason = _text_in(found, unit.source.html)
            if reason:
                self.refuse(unit, reason, found.block[:2000])
                continue
            about = {"url": found.headers.get("warc-target-uri")}
            name = found.headers.get("warc-record-id")
            yield number, {unit.source.text: text, unit.source.id: name, **about}


RECORDS = {
    "jsonl": ReadShards.jsonl,
    "txt": ReadShards.txt,
    "parquet": ReadShards.parquet,
    "warc": ReadShards.crawl,
    "wet": ReadShards.crawl,
}


def _text_in(record: warc.Record, extractor: str) -> tuple[str, str]:
    """(the text of a crawl's record, '' or why there is none)."""
    if record.type == "response":
        return pages.page(record, extractor)
    try:
        return record.block.decode("utf-8"), ""
    except UnicodeDecodeError:
        return "", text_lines.NOT_UTF8


def _name(unit: Unit) -> str:
    return unit.path.rpartition("/")[2]


def _text_of(record: Mapping, field: str) -> str:
    """The text of a field, 'meta.text' inside another one; '' where there is none."""
    found = record.get(field)
    if found is None and "." in field:
        outer, _, inner = field.partition(".")
        within = record.get(outer)
        return _text_of(within, inner) if isinstance(within, Mapping) else ""
    if isinstance(found, bytes):  # a Parquet column of bytes
        try:
            return found.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    return found if isinstance(found, str) else ""


def _identity(found: object) -> str:
    """What names a document; '' for what names none: nothing, an empty text, a number that is none."""
    if found is None or (isinstance(found, float) and not math.isfinite(found)):
        return ""
    return str(found).strip()


def _pieces(path: str) -> Iterator[members.Piece]:
    """The bytes of a file as its first ones say, not as its name does; a cut one is told, not raised."""
    with text_files.naming(path, _FIELD), fsspec.open(path, "rb") as raw:
        ending = text_files.COMPRESSED.get(text_files.suffix(path), ("",))[0]
        kind = members.kind_of(raw.read(8), ending)
        raw.seek(0)
        if kind in ("bzip2", "xz"):
            opened = text_files.COMPRESSED[".xz" if kind == "xz" else ".bz2"][1](raw)
            yield from members.plain(opened)
        else:
            yield from members.READERS[kind](raw)
