"""`clean --stage=measure`: what the rules measure in good text of one's own, and the limits that would keep it.

FineWeb2 set its thresholds so, by each language's own distribution. Read is GOLD where it is given,
else SOURCES; what no limit should drop must be in it, and no bad text. Nothing is cleaned.
"""

import json
import math
import pathlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from datatrove.data import Document

from polylm_jax.corpus import limits, mending, repairs, rules
from polylm_jax.corpus.limits import Range
from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.sources import UNKNOWN, Source, shards_of
from polylm_jax.corpus.stages import Options
from polylm_jax.corpus.tally import Tally, written
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES

MOST, LEAST = 5_000, 20  # documents of a language that are measured, and that a proposal needs
TOLERATED = 0.005  # of good text that one rule may drop
FILE = "limits.gin"

Values = dict[str, list[tuple[float, bool]]]  # rule -> (measure, whether it is out of its range)


def run(options: Options, sources: Sequence[Source], work: str, say: Callable[[str], None]) -> None:
    """Measures, says what it found per language, and writes `WORK_DIR/limits.gin`."""
    found: dict[str, Values] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for code, text in _texts(options, sources, work):
        if counts[code][0] >= MOST:
            continue
        counts[code][1] += _add(found[code], code, text, options)
        counts[code][0] += 1
    if not counts:
        raise InputError("No text of a wanted language was found to measure: see SOURCES or GOLD.")
    proposed = {}
    for code, (total, dropped) in counts.items():
        own = proposals(found[code], limits.limits_of(LANGUAGES[code].script, options.limits, code))
        for line in _report(code, total, dropped, found[code], own):
            say(line)
        if own and total >= LEAST:
            proposed[code] = own
    path = pathlib.Path(work) / FILE
    written(path, _gin(options.limits, proposed).encode("utf-8"))
    say(f"{path}: the limits that keep this text; give it as a further --gin_file")


def _texts(options: Options, sources: Sequence[Source], work: str) -> Iterator[tuple[str, str]]:
    """(language, text), mended and repaired as cleaning would."""
    gold = dict(options.quality.gold) if options.quality else {}
    named = [(code, [source]) for code, source in gold.items()] or [("", list(sources))]
    for code, given in named:
        shards = shards_of(given, 1 << 30)
        reading = options.reading
        reader = ReadShards(shards, Tally(work), reading.max_line, reading.max_broken)
        for rank in range(len(shards)):
            for document in reader.run(rank=rank):
                if "pair" not in document.metadata:
                    yield from _text(document, code, options)


def _text(document: Document, code: str, options: Options) -> Iterator[tuple[str, str]]:
    text, _, _ = mending.mended(document.text)
    text, _ = repairs.repaired(text)
    claimed = document.metadata["language"]
    if not code:
        code = claimed if claimed != UNKNOWN else options.identifier(text)[0]
    if text and code in options.identifier.codes:
        yield code, text


def _add(values: Values, code: str, text: str, options: Options) -> bool:
    """Measures one text; whether a rule would drop it."""
    language, dropped = LANGUAGES[code], False
    ranges = limits.limits_of(language.script, options.limits, code)
    for name, value, broken in rules.judged(text, language, ranges):
        values[name].append((value, broken))
        dropped = dropped or broken
    return dropped


def proposals(values: Values, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges to widen: of each rule that drops more than `TOLERATED`, as far as its quantile asks."""
    found = {}
    for name, measured in values.items():
        if np.mean([broken for _, broken in measured]) <= TOLERATED:
            continue
        numbers = np.array([value for value, _ in measured])
        low, high = ranges[name]
        if low is not None:
            low = min(low, _rounded(np.quantile(numbers, TOLERATED, method="lower"), math.floor))
        if high is not None:
            high = max(
                high, _rounded(np.quantile(numbers, 1 - TOLERATED, method="higher"), math.ceil)
            )
        found[name] = (low, high)
    return found


def _rounded(value: float, way: Callable[[float], int]) -> float:
    """Outwards: to hundredths below 10, to whole numbers above."""
    return float(way(value)) if abs(value) >= 10 else way(value * 100) / 100


def _report(
    code: str, total: int, dropped: int, values: Values, own: Mapping[str, Range]
) -> Iterator[str]:
    yield f"{code}: {total} texts, {dropped / total:.1%} dropped by the present limits"
    if total < LEAST:
        yield f"{code}: too few to propose limits from: give {LEAST} or more"
        return
    for name, (low, high) in own.items():
        share = np.mean([broken for _, broken in values[name]])
        yield f"  {name}: {share:.1%} dropped; ({low}, {high}) would keep {1 - TOLERATED:.1%}"


def _gin(given: Mapping[str, Mapping], proposed: Mapping[str, Mapping[str, Range]]) -> str:
    """The user's own limits with the proposals over them, as gin writes a dict."""
    merged = {place: dict(ranges) for place, ranges in json.loads(json.dumps(given)).items()}
    for code, ranges in proposed.items():
        merged[code] = {**merged.get(code, {}), **ranges}
    lines = [
        f"    {place!r}: {{{', '.join(f'{n!r}: {tuple(r)!r}' for n, r in ranges.items())}}},"
        for place, ranges in merged.items()
    ]
    return "\n".join(
        ["# Proposed by `run.py clean --stage=measure`.", "LIMITS = {", *lines, "}", ""]
    )
