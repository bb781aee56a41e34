"""Reading raw text: JSONL, Parquet, a crawl's WET files and plain text, a bad record counted and passed.

datatrove's own readers leave broken lines out in silence and hold any line whole; here each has a
reason, and no line longer than `MAX_LINE` is ever in memory.
"""

import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence

import fsspec
import orjson
import zstandard
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from polylm_jax.corpus.sources import UNKNOWN, Unit, endings
from polylm_jax.corpus.tally import Tally
from polylm_jax.errors import InputError

MAX_LINE = 32 << 20  # bytes
_BLOCK = 1 << 20
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError)
_BLANK = re.compile(r"\n\s*\n")
STAGE = "reading"


class ReadShards(PipelineStep):
    """The documents of one shard after another; `rank` says which."""

    type, name = "READER", "raw text"

    def __init__(self, shards: Sequence[Sequence[Unit]], tally: Tally, max_line: int = MAX_LINE):
        super().__init__()
        self.shards, self.tally, self.max_line = shards, tally, max_line

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for unit in self.shards[rank]:
            try:
                for document in self.documents(unit):
                    language = document.metadata["language"]
                    self.tally.add("note read", unit.source.name, language, "read", document.text)
                    yield document
            except _BROKEN as error:
                raise InputError(
                    f"{unit.path!r} ends early or is broken ({error}): get it again."
                ) from error

    def documents(self, unit: Unit) -> Iterator[Document]:
        """What one unit holds; what is no document is refused."""
        for number, record in RECORDS[unit.format](self, unit):
            document = self._document(unit, number, record)
            if document is not None:
                yield document

    def _document(self, unit: Unit, number: int, record: dict) -> Document | None:
        source, pair = unit.source, unit.pair
        if pair:
            sides = [record.get(code) for code in pair]
            whole = all(isinstance(side, str) for side in sides)
            text = "\n".join(" ".join(side.split()) for side in sides) if whole else None
        else:
            text = record.get(source.text)
        if not isinstance(text, str) or not text.strip():
            self.refuse(unit, "no text", orjson.dumps(record, default=str)[:2000])
            return None
        identity = record.get(source.id)
        identity = f"{unit.path.rpartition('/')[2]}@{number}" if identity is None else str(identity)
        kept = {name: record[name] for name in source.keep if name in record}
        language = "-".join(pair) if pair else source.language or UNKNOWN
        about = {"source": source.name, "language": language, "kept": kept}
        return Document(text, identity, metadata=about | ({"pair": True} if pair else {}))

    def refuse(self, unit: Unit, reason: str, raw: bytes) -> None:
        """Counts what was no document."""
        text = raw.decode("utf-8", "replace")
        language = unit.source.language or UNKNOWN
        self.tally.add(STAGE, unit.source.name, language, reason, text)
        about = {"source": unit.source.name, "id": unit.path.rpartition("/")[2], "text": text}
        self.tally.sample(STAGE, language, reason, about)

    def lines(self, unit: Unit) -> Iterator[tuple[int, str]]:
        """(offset, line) of a range of bytes: the lines that begin in it, broken ones refused."""
        with fsspec.open(unit.path, "rb", compression=endings(unit.path)[1]) as raw:
            file = raw if hasattr(raw, "readline") else io.BufferedReader(raw, _BLOCK)
            place = unit.start
            if place:
                file.seek(place - 1)
                place += _skipped(file) - 1
            while unit.end < 0 or place < unit.end:
                line = file.readline(self.max_line + 1)
                if not line:
                    return
                start, place = place, place + len(line)
                if len(line) > self.max_line:
                    place += _skipped(file) if not line.endswith(b"\n") else 0
                    self.refuse(unit, f"line over {self.max_line >> 20} MiB", line[:2000])
                    continue
                try:
                    text = line.decode("utf-8-sig" if start == 0 else "utf-8")
                except UnicodeDecodeError:
                    self.refuse(unit, "not UTF-8", line[:2000])
                    continue
                yield start, text

    def jsonl(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        for place, line in self.lines(unit):
            if not line.strip():
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.refuse(unit, "not JSON", line[:2000].encode("utf-8", "replace"))
                continue
            if isinstance(record, dict):
                yield place, record
            else:
                self.refuse(unit, "not a JSON object", line[:2000].encode("utf-8", "replace"))

    def txt(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        if unit.source.documents == "line":
            for place, line in self.lines(unit):
                if line.strip():
                    yield place, {unit.source.text: line}
            return
        text = "".join(line for _, line in self.lines(unit))
        parts = [text] if unit.source.documents == "file" else _BLANK.split(text)
        for number, part in enumerate(parts):
            if part.strip():
                yield number, {unit.source.text: part}

    def parquet(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        import pyarrow.parquet

        source = unit.source
        with fsspec.open(unit.path, "rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
            wanted = [*(unit.pair or (source.text,)), source.id, *source.keep]
            columns = [name for name in file.schema_arrow.names if name in wanted]
            groups, number = list(range(unit.start, unit.end)), unit.start * 1_000_000_000
            for batch in file.iter_batches(256, row_groups=groups, columns=columns):
                for record in batch.to_pylist():
                    yield number, record
                    number += 1

    def wet(self, unit: Unit) -> Iterator[tuple[int, dict]]:
        from warcio.archiveiterator import ArchiveIterator

        with fsspec.open(unit.path, "rb") as raw:
            for number, record in enumerate(ArchiveIterator(raw)):
                if record.rec_type != "conversion":
                    continue
                content = record.content_stream().read(self.max_line + 1)
                headers = record.rec_headers
                if len(content) > self.max_line:
                    self.refuse(unit, f"line over {self.max_line >> 20} MiB", content[:2000])
                    continue
                try:
                    text = content.decode("utf-8")
                except UnicodeDecodeError:
                    self.refuse(unit, "not UTF-8", content[:2000])
                    continue
                url = headers.get_header("WARC-Target-URI")
                name = headers.get_header("WARC-Record-ID")
                yield number, {unit.source.text: text, unit.source.id: name, "url": url}


RECORDS = {
    "jsonl": ReadShards.jsonl,
    "txt": ReadShards.txt,
    "parquet": ReadShards.parquet,
    "wet": ReadShards.wet,
}


def _skipped(file: io.BufferedIOBase) -> int:
    """How many bytes there were to the end of this line, read block by block."""
    count = 0
    while block := file.readline(_BLOCK):
        count += len(block)
        if block.endswith(b"\n"):
            break
    return count
