"""Good and bad text of many kinds in 18 languages, cleaned: `corpus_planted.py`; what came out right.

Prints a JSON line per language and kind, and what went wrong by name: of the corpus that the limits
were set on, and of two that were written without a look at the cleaner.
"""

import io
import json
import pathlib
import sys
import tempfile
from collections import Counter, defaultdict

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "toys"))
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import blind_corpus
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


def show(**about) -> None:
    print(json.dumps(about, ensure_ascii=False))


def planted(folder: pathlib.Path) -> None:
    """The corpus that the limits were set on."""
    planted_corpus.write(folder / "crawl")
    cleaning.clean({"crawl": str(folder / "crawl/planted.jsonl")}, str(folder / "out"),
                   str(folder / "work"), workers=1)  # fmt: skip
    outcomes = planted_corpus.judged(kept(folder / "out"))
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    why = {d["id"]: s["reason"] for s in report["samples"] for d in s["documents"]}
    kinds = defaultdict(Counter)
    for case, outcome in outcomes:
        kinds[case.right, case.kind][outcome == "right"] += 1
        if outcome != "right":
            show(id=case.id, outcome=outcome, why=why.get(case.id))
    for (right, kind), n in sorted(kinds.items()):
        show(right=right, kind=kind, came_out_right=n[True], of=n.total())
    for group, by in planted_corpus.rates(outcomes).items():
        right, total = (sum(count[n] for count in by.values()) for n in (0, 1))
        show(group=group, right=right, of=total, by_language=by)


def blind(which: str, folder: pathlib.Path) -> None:
    """One that was written first and then cleaned."""
    found = blind_corpus.verdicts(which, folder)
    for verdict in found:
        if not verdict.right:
            show(set=which, wrong=[verdict.group, verdict.kind, verdict.language, verdict.said])
    for by, key in (("kind", lambda v: (v.group, v.kind)), ("group", lambda v: v.group)):
        for name, (right, of) in blind_corpus.rates(found, key).items():
            show(set=which, **{by: name}, came_out_right=right, of=of)
    good = [verdict for verdict in found if verdict.group == "keep"]
    show(set=which, good_by_language=blind_corpus.rates(good, lambda v: v.language))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        planted(pathlib.Path(name) / "planted")
        for which in blind_corpus.SETS:
            blind(which, pathlib.Path(name) / which)


if __name__ == "__main__":
    main()
