"""A small raw corpus in several languages, with faults planted, and a way to clean it."""

import functools
import io
import json
import pathlib
import re
import tempfile

import zstandard

from polylm_jax.corpus import cleaning
from tasks.sample_data import generate

CODES = ("en", "de", "ru", "zh", "th", "ar")


@functools.cache
def sample(code: str, per_frame: int) -> list[str]:
    """The sample corpus in one language: six stories, then other texts, more of the same kinds later."""
    with tempfile.TemporaryDirectory() as folder:
        generate.write(pathlib.Path(folder), per_frame=per_frame)
        lines = (pathlib.Path(folder) / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["text"] for row in map(json.loads, lines)]


def document(code: str, n: int) -> str:
    """The n-th of 20 texts that have nothing in common."""
    return sample(code, 1)[n]


@functools.cache
def pieces(code: str) -> list[str]:
    """Over a hundred runs of two sentences."""
    found = {}
    for text in sample(code, 4):
        sentences = re.findall(r"[^.!?。！？\n]+[.!?。！？\n]*", text)
        for n in range(0, len(sentences) - 1, 2):
            found["".join(sentences[n : n + 2]).strip()] = None
    return list(found)


def write_jsonl(path: pathlib.Path, rows) -> None:
    """Dicts as JSON, bytes as they are, a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in rows
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def read(folder: pathlib.Path, name: str) -> list[dict]:
    """The cleaned documents of a language or pair."""
    rows = []
    for path in sorted(folder.glob(f"{name}-[0-9]*.jsonl.zst")):
        stream = zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True
        )
        rows += [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
    return rows


def clean(tmp: pathlib.Path, sources, **options) -> dict:
    """Cleans in this process; the report."""
    options = {"workers": 1, "languages": CODES, "data_dir": str(tmp), **options}
    work = tmp / options.pop("work_dir", "work")
    cleaning.clean(sources, str(tmp / "out"), str(work), **options)
    return json.loads((tmp / "out" / "report.json").read_text(encoding="utf-8"))
