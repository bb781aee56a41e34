"""What each stage refused, why, and how much of it, with samples to read; a file per shard and stage.

A refusal is counted where it happens, in memory, and written when the shard is through: a shard
that is run again writes its file again, so nothing is counted twice.
"""

import json
import os
import pathlib
from collections import defaultdict
from collections.abc import Iterator

import regex

SAMPLES = 3  # kept of each (stage, language, reason) in one shard
SAMPLE_GRAPHEMES = 400

Key = tuple[str, str, str, str]  # stage, source, language, what happened


def excerpt(text: str, graphemes: int = SAMPLE_GRAPHEMES) -> str:
    """The beginning of a text, no grapheme cut."""
    found = regex.findall(r"\X", text[: 8 * graphemes])
    return text if len(text) <= graphemes else "".join(found[:graphemes]) + "…"


def written(path: pathlib.Path, data: bytes) -> None:
    """A small file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Tally:
    """The counts of one stage of the pipeline, for one shard at a time.

    Attributes:
        counts: (stage, source, language, outcome) -> [documents, UTF-8 bytes].
        samples: (stage, language, reason) -> excerpts.
        files: (source, path, reason) -> how often a file of raw text was at fault.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self.counts: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        self.samples: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
        self.files: dict[tuple[str, str, str], int] = defaultdict(int)

    def __getstate__(self) -> dict:
        return {"folder": self.folder}

    def __setstate__(self, state: dict) -> None:
        Tally.__init__(self, state["folder"])

    def __deepcopy__(self, memo: dict) -> "Tally":
        memo[id(self)] = copy = Tally(self.folder)
        return copy

    def add(self, stage: str, source: str, language: str, outcome: str, text: str, n: int = 1):
        """Counts `n` things that happened to a text of a source in a language."""
        entry = self.counts[stage, source, language, outcome]
        entry[0] += n
        entry[1] += len(text.encode("utf-8", "surrogatepass"))

    def note(self, stage: str, document, what: str, n: int = 1) -> None:
        """Counts something that happened to a document that stays."""
        source, language = document.metadata["source"], document.metadata["language"]
        self.add(f"note {stage}", source, language, what, document.text, n)

    def sample(self, stage: str, language: str, reason: str, record: dict) -> None:
        """Keeps a refused text for reading, the first few of each kind."""
        kept = self.samples[stage, language, reason]
        if len(kept) < SAMPLES:
            text = record["text"].encode("utf-8", "replace").decode("utf-8")
            kept.append({**record, "text": excerpt(text)})

    def file(self, source: str, path: str, reason: str) -> None:
        """Counts something broken in a file."""
        self.files[source, path, reason] += 1

    def save(self, rank: int) -> None:
        """Writes this shard's counts and samples, and forgets them."""
        data = {
            "counts": sorted([*key, *value] for key, value in self.counts.items()),
            "samples": [[*key, kept] for key, kept in sorted(self.samples.items())],
            "files": [[*key, count] for key, count in sorted(self.files.items())],
        }
        path = pathlib.Path(self.folder) / f"{rank:05d}.json"
        written(path, json.dumps(data, ensure_ascii=False).encode("utf-8"))
        Tally.__init__(self, self.folder)


def merged(folder: pathlib.Path, most: int = 20) -> tuple[dict[Key, list[int]], dict]:
    """(counts, samples) of all shards of all stages below a folder, in the order of the shards."""
    counts: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    samples: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
    for data in _files(folder):
        for *key, documents, size in data["counts"]:
            counts[tuple(key)][0] += documents
            counts[tuple(key)][1] += size
        for *key, kept in data["samples"]:
            room = most - len(samples[tuple(key)])
            samples[tuple(key)] += kept[: max(0, room)]
    return dict(counts), dict(samples)


def broken_files(folder: pathlib.Path) -> list[tuple[tuple[str, str, str], int]]:
    """((source, path, reason), how often) for every file at fault, in the order of their names."""
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for data in _files(folder):
        for *key, count in data.get("files", ()):
            found[tuple(key)] += count
    return sorted(found.items())


def _files(folder: pathlib.Path) -> Iterator[dict]:
    for path in sorted(folder.glob("*/*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))
