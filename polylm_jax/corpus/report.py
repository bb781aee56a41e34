"""What a cleaning run did, in numbers: per language a funnel, per source what came in, why what went."""

import json
import pathlib
from collections import defaultdict
from collections.abc import Mapping

from polylm_jax.corpus import broken_files, tally
from polylm_jax.corpus.tally import Key
from polylm_jax.languages.labels import in_order

STAGES = (
    "repairs",
    "rules",
    "pairs",
    "quality",
    "benchmarks",
    "exact duplicates",
    "near duplicates",
)
BEFORE_LANGUAGE = ("reading", "language")
# The paper's: by rules and quality together; near-duplicates of English and of the others.
PAPER = {"rules_and_quality": 0.283, "near_english": 0.231, "near_other": 0.186}
_CURVE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def made(work: pathlib.Path, settings: Mapping) -> dict:
    """The report of the run in a work folder, as JSON has it."""
    counts, samples = tally.merged(work / "counts")
    languages = _languages(counts)
    return {
        "settings": dict(settings),
        "languages": languages,
        "sources": _sources(counts),
        "broken_files": [
            {"source": source, "file": path, "what": reason, "times": count}
            for (source, path, reason), count in tally.broken_files(work / "counts")
            if reason not in broken_files.WHOLE
        ],
        "notes": _notes(counts),
        "paper": PAPER,
        "minhash": _minhash(settings),
        "quality": _quality(work / "quality"),
        "speed": _speed(work, counts),
        "samples": [
            {"stage": stage, "language": language, "reason": reason, "documents": kept}
            for (stage, language, reason), kept in samples.items()
        ],
    }


def _languages(counts: Mapping[Key, list[int]]) -> dict[str, dict]:
    start: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    dropped: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
    kept: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (stage, _, language, outcome), (documents, size) in counts.items():
        came = stage == "note language" and outcome == "identified"
        if came or (stage == "note read" and "-" in language):
            _add(start[language], documents, size)
        elif stage == "note kept":
            _add(kept[language], documents, size)
        elif stage in STAGES:
            entry = dropped[language, stage].setdefault(outcome, [0, 0])
            _add(entry, documents, size)
    return {code: _funnel(start[code], dropped, kept[code], code) for code in in_order(start)}


def _add(entry: list[int], documents: int, size: int) -> None:
    entry[0] += documents
    entry[1] += size


def _funnel(start: list[int], dropped: Mapping, kept: list[int], code: str) -> dict:
    left, rows = start[0], []
    for stage in STAGES:
        reasons = dropped.get((code, stage), {})
        gone = sum(documents for documents, _ in reasons.values())
        share = gone / left if left else 0.0
        reasons = {name: reasons[name][0] for name in sorted(reasons, key=lambda n: -reasons[n][0])}
        rows.append(
            {"stage": stage, "of": left, "dropped": gone, "share": share} | {"reasons": reasons}
        )
        left -= gone
    by_stage = {row["stage"]: row["dropped"] for row in rows}
    judged = by_stage["repairs"] + by_stage["rules"] + by_stage["quality"]
    near = next(row for row in rows if row["stage"] == "near duplicates")
    return {
        "identified": {"documents": start[0], "bytes": start[1]},
        "kept": {"documents": kept[0], "bytes": kept[1]},
        "balanced": left == kept[0],
        "stages": rows,
        "rules_and_quality": judged / start[0] if start[0] else 0.0,
        "near_duplicates": near["share"],
    }


def _sources(counts: Mapping[Key, list[int]]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for (stage, source, _, outcome), (documents, size) in sorted(counts.items()):
        entry = found.setdefault(
            source, {"documents": 0, "bytes": 0, "kept": 0, "dropped": defaultdict(int)}
        )
        if stage == "note read":
            entry["documents"] += documents
            entry["bytes"] += size
        elif stage == "note kept":
            entry["kept"] += documents
        elif not stage.startswith("note "):
            entry["dropped"][f"{stage}: {outcome}"] += documents
    return found


def _notes(counts: Mapping[Key, list[int]]) -> dict[str, dict[str, dict[str, int]]]:
    """What happened to documents that stayed: {'personal data': {'en': {'email': 3}}}."""
    found: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for (stage, _, language, outcome), (documents, _) in sorted(counts.items()):
        if stage in BEFORE_LANGUAGE:
            found[stage][language][outcome] += documents
        elif stage.startswith("note ") and stage not in ("note read", "note kept"):
            found[stage.removeprefix("note ")][language][outcome] += documents
    return found


def _minhash(settings: Mapping) -> dict:
    from polylm_jax.corpus.duplicates import curve

    bands, rows = settings["bands"], settings["rows"]
    return {
        "ngrams": settings["ngrams"],
        "bands": bands,
        "rows": rows,
        "half_at": (1 - 0.5 ** (1 / bands)) ** (1 / rows),
        "curve": {str(s): curve(s, bands, rows) for s in _CURVE},
    }


def _quality(folder: pathlib.Path) -> dict[str, dict]:
    found = {
        path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/quality.json")
    }
    for about in found.values():
        for part in ("perplexity", "classifier"):
            about.get(part, {}).pop("model", None)
            about.get(part, {}).pop("pieces", None)
    return dict(sorted(found.items()))


def _speed(work: pathlib.Path, counts: Mapping[Key, list[int]]) -> dict:
    """Seconds of each stage so far and MB of raw text per second of one core."""
    path = work / "seconds.json"
    stages = json.loads(path.read_text()) if path.is_file() else {}
    size = sum(n[1] for (stage, *_), n in counts.items() if stage == "note read")
    busy = sum(seconds["cpu"] for seconds in stages.values())
    return {
        "bytes": size,
        "stages": stages,
        "mb_per_second_per_core": size / 1e6 / busy if busy else None,
        "wall_seconds": sum(seconds["wall"] for seconds in stages.values()),
    }
