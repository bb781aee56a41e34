"""Good and bad text of many kinds in 18 languages, cleaned: `corpus_planted.py`; what came out right.

Prints a JSON line per language and kind, and what went wrong by name.
"""

import io
import json
import pathlib
import sys
import tempfile
from collections import Counter, defaultdict

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "toys"))
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import planted_corpus
import zstandard

from polylm_jax.corpus import cleaning


def kept(folder: pathlib.Path) -> dict[str, list[dict]]:
    """language -> the rows that came out."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl.zst")):
        stream = zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True
        )
        rows = io.TextIOWrapper(stream, encoding="utf-8")
        found[path.name.partition("-")[0]] += map(json.loads, rows)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        planted_corpus.write(folder / "crawl")
        cleaning.clean({"crawl": str(folder / "crawl/planted.jsonl")}, str(folder / "out"),
                       str(folder / "work"), workers=1)  # fmt: skip
        outcomes = planted_corpus.judged(kept(folder / "out"))
        report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    why = {d["id"]: s["reason"] for s in report["samples"] for d in s["documents"]}
    kinds = defaultdict(Counter)
    for planted, outcome in outcomes:
        kinds[planted.right, planted.kind][outcome == "right"] += 1
        if outcome != "right":
            print(json.dumps({"id": planted.id, "outcome": outcome, "why": why.get(planted.id)}))
    for (right, kind), n in sorted(kinds.items()):
        print(
            json.dumps({"right": right, "kind": kind, "came out right": n[True], "of": n.total()})
        )
    for group, by in planted_corpus.rates(outcomes).items():
        right, total = (sum(count[n] for count in by.values()) for n in (0, 1))
        print(json.dumps({"group": group, "right": right, "of": total, "by language": by}))


if __name__ == "__main__":
    main()
