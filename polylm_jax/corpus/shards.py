"""Documents between two stages: one JSONL.zst per shard, and the final ones per language."""

import io
import pathlib
from collections.abc import Iterator

import orjson
import zstandard
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter


def path_of(folder: str, rank: int) -> pathlib.Path:
    return pathlib.Path(folder) / f"{rank:05d}.jsonl.zst"


def documents(folder: str, rank: int) -> Iterator[Document]:
    """The documents that a stage left of one shard, in their order; none where all were refused."""
    path = path_of(folder, rank)
    if not path.is_file():
        return
    with (
        path.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream,
    ):
        for line in io.BufferedReader(stream, 1 << 20):
            record = orjson.loads(line)
            yield Document(record["text"], record["id"], metadata=record["metadata"])


class ReadDocuments(PipelineStep):
    """What the stage before left of this shard. Rank by rank, so that document numbers stay."""

    type, name = "READER", "documents"

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from documents(self.folder, rank)


class WriteDocuments(PipelineStep):
    """The documents of a shard for the next stage. A file cut short is never read: its shard is
    not marked complete, and runs again. Compressed lightly, since it is read soon: datatrove's own
    writer takes zstd's level 10, which was a twentieth of a run's time."""

    type, name = "WRITER", "documents"

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1):
        path = path_of(self.folder, rank)
        path.parent.mkdir(parents=True, exist_ok=True)
        compressor = zstandard.ZstdCompressor(level=1)
        with path.open("wb") as raw, compressor.stream_writer(raw, closefd=False) as stream:
            for document in data:
                about = {"text": document.text, "id": document.id, "metadata": document.metadata}
                stream.write(orjson.dumps(about, default=str, option=orjson.OPT_APPEND_NEWLINE))
                yield document


class WriteLanguages(JsonlWriter):
    """The cleaned documents of a shard, a file per language; of pairs a field per language.

    `cluster_size` is how many texts each stands for, exact copies and near-duplicates.
    """

    def __init__(self, folder: str):
        super().__init__(folder, "${language}/${rank}.jsonl.zst", compression="zstd")

    def _default_adapter(self, document: Document) -> dict:
        about = document.metadata
        if "pair" in about:
            text = dict(zip(about["language"].split("-"), document.text.split("\n")))
        else:
            text = {"text": document.text, "language": about["language"]}
        copies = about.get("duplicate_count", 0) + 1
        size = max(copies, about.get("minhash_cluster_size", 1))
        found = {"source": about["source"], "cluster_size": size}
        return {"id": document.id, **text, **found, **about["kept"]}
