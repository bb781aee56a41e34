"""Speed and memory of `clean`: `corpus_speed.py DATA MB [MB ...] [--workers=2]`; a JSON line per size.

Documents of about 3 kB are put together from DATA's tldr/LL.jsonl, paragraphs drawn at random, a
twentieth of them near-duplicates. Memory is the sum over all processes of what each has resident.
"""

import argparse
import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

import psutil

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from polylm_jax.corpus import cleaning


def write(data: pathlib.Path, path: pathlib.Path, size: int) -> None:
    """`size` bytes of JSONL in 16 languages."""
    rng, parts = random.Random(0), {}
    for source in sorted((data / "tldr").glob("[a-z][a-z].jsonl")):
        rows = map(json.loads, source.read_text(encoding="utf-8").splitlines())
        parts[source.stem] = [p for row in rows for p in row["text"].split("\n\n") if len(p) > 20]
    codes, written, number, before = list(parts), 0, 0, None
    with path.open("wb") as file:
        while written < size:
            paragraphs = rng.choices(parts[rng.choice(codes)], k=rng.randint(20, 60))
            if before and rng.random() < 0.05:
                paragraphs = [*before[:-1], rng.choice(before)]
            before = paragraphs
            row = {"id": number, "text": "\n\n".join(dict.fromkeys(paragraphs))}
            number += 1
            written += file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


class Memory(threading.Thread):
    """The most that this process and its children had resident at once, in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.stopped = 0, threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.stopped.wait(0.2):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


def measured(data: pathlib.Path, megabytes: int, workers: int, shard_mb: float) -> dict:
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        write(data, folder / "crawl.jsonl", megabytes * 1_000_000)
        memory, start = Memory(), time.perf_counter()
        memory.start()
        sources = {"crawl": str(folder / "crawl.jsonl")}
        cleaning.clean(sources, str(folder / "out"), str(folder / "work"), workers=workers,
                       shard_mb=shard_mb, personal_data=True)  # fmt: skip
        seconds = time.perf_counter() - start
        memory.stopped.set()
        report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder)
    speed = report["speed"]
    return {
        "megabytes": megabytes,
        "documents": report["sources"]["crawl"]["documents"],
        "kept": report["sources"]["crawl"]["kept"],
        "workers": workers,
        "seconds": round(seconds, 1),
        "mb_per_second_per_core": round(speed["mb_per_second_per_core"], 3),
        "peak_gb": round(memory.peak / 1e9, 2),
        "stages": {name: round(s["cpu"], 1) for name, s in speed["stages"].items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("megabytes", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard_mb", type=float, default=64)
    given = parser.parse_args()
    for megabytes in given.megabytes:
        row = measured(given.data, megabytes, given.workers, given.shard_mb)
        print(json.dumps(row), flush=True)
