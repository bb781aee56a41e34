"""From the records of runs to what a report says: means with their spread, differences, verdicts, cost.

Runs are compared at their end. Half-way, all are taken at the newest number of tokens at which every
one of them was measured, and the report says so.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from polylm_jax.ablation import claims, power
from polylm_jax.ablation.claims import Claim, Interval
from polylm_jax.ablation.records import DONE, NOT_BEGUN, Record, task_of

Records = Mapping[str, Mapping[int, Record]]  # variant -> seed -> record
# How much held-out bytes may differ: another vocabulary ends the last row elsewhere.
SAME_TEXT = 0.05
UNIT = "unit_"  # begins the name of a metric of one unit of a task, such as an entity
MEANS = ("bits_per_byte/average", "bits_per_byte/not_english")
SMALLER_IS_BETTER = ("bits_per", "nats", "loss", "perplexity")


def compare(plan: Mapping, records: Records) -> dict:
    """The whole report as plain values. plan: ablation.json."""
    asked = [Claim(**claim) for claim in plan["claims"]]
    base = plan["base"]
    variants = {
        name: _variant(about, records[name], records[base], plan["variants"][base])
        for name, about in plan["variants"].items()
    }
    silent = frozenset(plan.get("silent", ()))  # which earlier versions did not write
    control_discoveries([about["differences"] for about in variants.values()], silent)
    return {
        **{key: plan[key] for key in ("title", "base", "seeds")},
        "silent": sorted(silent),
        "level": claims.LEVEL,
        "variants": variants,
        "claims": [judge(claim, records) for claim in asked],
        "notes": list(_notes(base, records)),
        "slopes": slopes(plan, records),
    }


def slopes(plan: Mapping, records: Records) -> dict[str, dict]:
    """Bits per byte for each doubling of the parameters, by label; nothing below three sizes.

    A line through each seed's runs at their ends; then the mean and interval over the seeds.
    """
    sizes = {name: math.log2(about["parameters"]) for name, about in plan["variants"].items()}
    if len(set(sizes.values())) < 3:
        return {}
    found: dict[str, list[float]] = {}
    for seed in plan["seeds"]:
        runs = {sizes[name]: records[name][seed] for name in sizes}
        if all(record.state == DONE for record in runs.values()):
            ends = {size: record.numbers() for size, record in runs.items()}
            for measure in _measures(ends.values()):
                values = [numbers.get(measure, math.nan) for numbers in ends.values()]
                if measure.startswith("bits_per_byte/") and all(map(math.isfinite, values)):
                    slope = float(np.polyfit([*ends], values, 1)[0])
                    found.setdefault(measure, []).append(slope)
    intervals = {measure: claims.paired(values).plain() for measure, values in found.items()}
    control_discoveries([intervals])
    return intervals


def control_discoveries(
    tables: Sequence[dict[str, dict]], silent: Collection[str] = frozenset()
) -> None:
    """Writes a q-value into each difference, and by it whether it is beyond noise.

    Over the languages and tasks of all tables, Benjamini and Hochberg's; the means over languages
    are few, and no search among many: they are a family of their own. silent: tasks that say nothing
    at this size: their differences aren't tested, and are never beyond noise.
    """
    families: dict[str, list[dict]] = {"means": [], "others": [], "silent": []}
    for table in tables:
        for measure, one in table.items():
            kind = "silent" if task_of(measure) in silent else "others"
            families["means" if measure in MEANS else kind].append(one)
    for kind, family in families.items():
        found = power.q_values([one["p_value"] for one in family])
        for one, q_value in zip(family, found, strict=True):
            tested = None if kind == "silent" else q_value
            one |= {"q_value": tested, "beyond_noise": tested is not None and tested <= power.RATE}


def _notes(base: str, records: Records) -> Iterator[str]:
    """What must be read with the numbers: means over fewer languages, other held-out text."""
    begun = {name: [r for r in runs.values() if r.validation] for name, runs in records.items()}
    every = set().union(*(r.labels for runs in begun.values() for r in runs))
    common = next((r.averaged for runs in begun.values() for r in runs), None) or every
    if every - common:
        yield (
            f"The mean of languages goes over {', '.join(sorted(common))}; "
            f"{', '.join(sorted(every - common))} isn't validated by every variant."
        )
    if not begun[base]:
        return
    theirs = begun[base][0].held_out_bytes
    for name, runs in begun.items():
        for label, size in (runs[0].held_out_bytes if runs else {}).items():
            if label in theirs and abs(size / theirs[label] - 1) > SAME_TEXT:
                yield (
                    f"{name} validates {label} on {size:,} bytes and {base} on {theirs[label]:,}: "
                    "another text, since their components differ; that difference is no effect."
                )


def larger_is_better(measure: str) -> bool:
    """Of a measure's path, by its last part: bits, nats and losses are better when smaller."""
    return not any(part.startswith(SMALLER_IS_BETTER) for part in measure.split("/"))


def _variant(
    about: Mapping,
    mine: Mapping[int, Record],
    base: Mapping[int, Record],
    base_about: Mapping,
) -> dict:
    numbers, tokens = _at_common(mine.values())
    measures = [m for m in _measures(numbers.values()) if not _is_of_a_unit(m)]
    differences: dict[str, Interval] = {}
    at: int | None = None
    if mine is not base:
        differences, at = _differences(mine, base, measures)
    return {
        "lines": about["lines"],
        "tokens": about["tokens"],
        "tokens_of_base": about["tokens"] / base_about["tokens"],
        "parameters": about["parameters"],
        "phases": about["phases"],
        "runs": [
            {"seed": seed, "state": record.state, "step": record.step, "of": record.total_steps}
            for seed, record in mine.items()
        ],
        "measured_at_tokens": tokens,
        "numbers": {m: _spread({s: n[m] for s, n in numbers.items() if m in n}) for m in measures},
        "compared_at_tokens": at,
        "differences": {m: d.plain() for m, d in differences.items()},
        "cost": cost(about, mine.values()),
    }


def _is_of_a_unit(measure: str) -> bool:
    """Whether it is of one unit among many, for a bootstrap: a row for each is no table to read."""
    return measure.rpartition("/")[2].startswith(UNIT)


def _spread(values: Mapping[int, float]) -> dict:
    found = list(values.values())
    return {
        "mean": float(np.mean(found)),
        "low": min(found),
        "high": max(found),
        "by_seed": {str(seed): value for seed, value in values.items()},
    }


def _measures(numbers: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(measure for one in numbers for measure in one))


def _at_common(records: Iterable[Record]) -> tuple[dict[int, dict[str, float]], int | None]:
    """(seed -> numbers, the tokens that they were measured at) of the runs that can be compared.

    Those that are done, at their end; while none is, all that have begun, at what they share.
    """
    found, tokens = _together({record.run.seed: (record,) for record in records})
    return {seed: numbers for seed, (numbers,) in found.items()}, tokens


def paired_numbers(
    mine: Mapping[int, Record], base: Mapping[int, Record]
) -> tuple[dict[int, tuple[dict, dict]], int | None]:
    """(seed -> the numbers of both, tokens of the first) of the seeds that both have.

    Pairs that are done, at their ends; while none is, all pairs at the tokens that they share.
    """
    pairs = {seed: (mine[seed], base[seed]) for seed in mine if seed in base}
    return _together(pairs, but={0})  # before training all are alike


def _together(
    groups: Mapping[int, tuple[Record, ...]], but: Collection[int] = ()
) -> tuple[dict[int, tuple], int | None]:
    """(seed -> the numbers of its runs, the tokens of the first) where all of them have come as far.

    At their ends of the groups that are done; while none is, at the most tokens that all that have
    begun share, other than `but`.
    """
    done = {s: runs for s, runs in groups.items() if all(r.state == DONE for r in runs)}
    if done:
        ends = {s: tuple(r.numbers() for r in runs) for s, runs in done.items()}
        return ends, next(iter(done.values()))[0].tokens
    begun = {s: runs for s, runs in groups.items() if all(r.state != NOT_BEGUN for r in runs)}
    places = [{r.tokens_at(n) for n in r.steps()} for runs in begun.values() for r in runs]
    common = (set.intersection(*places) if places else set()) - {*but}
    if not common:
        return {}, None
    tokens = max(common)
    at = {s: tuple(r.numbers(r.step_at(tokens)) for r in runs) for s, runs in begun.items()}
    return at, tokens


def _differences(
    mine: Mapping[int, Record], base: Mapping[int, Record], measures: Sequence[str]
) -> tuple[dict[str, Interval], int | None]:
    pairs, at = paired_numbers(mine, base)
    found = {}
    for measure in measures:
        values = [
            a[measure] - b[measure] for a, b in pairs.values() if measure in a and measure in b
        ]
        if values:
            found[measure] = claims.paired(values)
    return found, at


def judge(claim: Claim, records: Records) -> dict:
    """A claim with its interval and verdict; open until every seed of both sides is done."""
    pairs, at = paired_numbers(records[claim.better], records[claim.than])
    kept = {seed: pair for seed, pair in pairs.items() if all(_counts(claim, n) for n in pair)}
    pairs = {s: p for s, p in kept.items() if all(claim.measure in n for n in p)}
    values = {s: a[claim.measure] - b[claim.measure] for s, (a, b) in pairs.items()}
    interval = claims.paired(list(values.values())) if values else None
    if interval and claim.units:
        interval = claims.bootstrapped(_by_unit(claim, pairs))
    sides = [record for side in (claim.better, claim.than) for record in records[side].values()]
    whole = all(record.state == DONE for record in sides)
    return {
        **dataclasses.asdict(claim),
        "verdict": claims.verdict(claim, interval if whole else None),
        "interval": interval.plain() if interval else None,
        "by_seed": {str(seed): value for seed, value in values.items()},
        "levels": {
            side: float(np.mean([pair[place][claim.measure] for pair in pairs.values()]))
            for place, side in enumerate((claim.better, claim.than)) if pairs
        },
        "at_tokens": at,
        "pairs_left_out": len(paired_numbers(records[claim.better], records[claim.than])[0]) - len(kept),
    }  # fmt: skip


def _counts(claim: Claim, numbers: Mapping[str, float]) -> bool:
    return not claim.only_where or numbers.get(claim.only_where, -np.inf) >= claim.at_least


def _by_unit(claim: Claim, pairs: Mapping[int, tuple[dict, dict]]) -> np.ndarray:
    """Differences [S, U] over the units that every run of the pairs has."""
    found = [tuple(claims.units_of(n, claim.units) for n in pair) for pair in pairs.values()]
    names = sorted(set.intersection(*(set(n) for pair in found for n in pair)))
    return np.array([[a[name] - b[name] for name in names] for a, b in found])


def cost(about: Mapping, records: Iterable[Record]) -> dict:
    """What a variant's runs took so far, by their own clocks; what they share counts once."""
    records = list(records)
    tokens = sum(record.trained_tokens for record in records)
    seconds = sum(record.seconds for record in records)
    starts = [e for record in records for e in record.events if e["event"] == "start"]
    return {
        "seconds": seconds,
        "tokens": tokens,
        "model_flops": tokens * about["flops_per_token"],
        "tokens_per_second": tokens / seconds if seconds else None,
        "starts": len(starts),
        "steps_done_again": sum(max(e.get("reached", 0) - e["step"], 0) for e in starts),
        "devices": sorted({e["devices"] for e in starts}),
        "continued": {str(r.run.seed): dict(r.continued) for r in records if r.continued},
    }
