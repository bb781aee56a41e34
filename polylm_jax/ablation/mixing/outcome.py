"""What the check's runs say of the law: ranks, errors, intervals, the regret of the proposal.

What must hold is settled here, before any run. Shapes: Q mixtures, M measures.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylm_jax.ablation import claims, power
from polylm_jax.ablation.comparison import larger_is_better
from polylm_jax.ablation.mixing import draws, pool, question
from polylm_jax.ablation.mixing.answer import Answer
from polylm_jax.ablation.mixing.designs import ANCHOR, HELD_OUT, PROXY, Design, Mixture
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.ablation.mixing.question import MixQuestion

RANK, ERROR, INSIDE, REGRET = 0.9, 2.0, 0.8, 0.01
REGRET_OF_SCORES = 1.0  # a point of a task's score
OBJECTIVE = "objective"
ROUNDED = 1e-4  # of a share: what rounding may break of a constraint
FEWEST = 4  # held-out mixtures for a rank correlation
Runs = Mapping[str, Mapping[str, Sequence[Mapping]]]  # kind -> mixture -> its finished runs


@dataclasses.dataclass(frozen=True)
class Test:
    """Something that is asked of the law: what came out, what it takes; None where it is open."""

    name: str
    value: float | None
    needed: str
    held: bool | None


def table(runs: Sequence[Mapping], measures: Sequence[str]) -> np.ndarray:
    """Measures of runs, smaller being better: [S, M]."""
    rows = [[pool.value(run["numbers"], name) for name in measures] for run in runs]
    return np.array(rows).reshape(len(rows), len(measures))


def means(runs: Runs, kinds: Sequence[str], measures: Sequence[str]) -> dict[str, np.ndarray]:
    """Mixture -> mean over its seeds [M], of the kinds' mixtures that have a run."""
    return {
        name: table(seeds, measures).mean(axis=0)
        for kind in kinds for name, seeds in runs.get(kind, {}).items() if seeds
    }  # fmt: skip


def spread(runs: Runs, measures: Sequence[str]) -> np.ndarray:
    """The standard deviation of a measure over seeds of a mixture, pooled [M]; NaN without seeds."""
    squares, free = np.zeros(len(measures)), 0
    for kind in (ANCHOR, PROPOSAL):
        for seeds in runs.get(kind, {}).values():
            if len(seeds) > 1:
                said = [{"numbers": run.get("as_measured", run["numbers"])} for run in seeds]
                values = table(said, measures)
                squares += ((values - values.mean(axis=0)) ** 2).sum(axis=0)
                free += len(seeds) - 1
    return np.sqrt(squares / free) if free else np.full(len(measures), np.nan)


def predicted(found: Answer, mixtures: Sequence[Mixture]):
    """The laws' prediction for mixtures [Q, M]."""
    return found.fitted.predict(np.stack([one.point for one in mixtures]))


def checked(design: Design, found: Answer, runs: Runs) -> dict:
    """All of the check as plain values; {} as long as nothing of it is trained."""
    measures = found.fitted.runs.measures
    there = means(runs, (HELD_OUT,), measures)
    mixtures = [one for one in design.of(HELD_OUT) if one.name in there]
    noise = spread(runs, measures)
    result: dict = {"spread": _named(measures, noise), "mixtures": {}, "measures": {}}
    proposal = means(runs, (PROPOSAL,), measures)
    all_asked = [*mixtures, *(one for one in found.to_train if one.name in proposal)]
    if not all_asked:
        return {}
    said = predicted(found, all_asked)
    for number, one in enumerate(all_asked):
        values = (there | proposal)[one.name]
        result["mixtures"][one.name] = {
            name: {
                "measured": _plain(values[m]),
                "predicted": float(said.mean_QM[number, m]),
                "low": float(said.low_QM[number, m]),
                "high": float(said.high_QM[number, m]),
            }
            for m, name in enumerate(measures)
        }
    held = np.array([there[one.name] for one in mixtures]).reshape(len(mixtures), len(measures))
    result["measures"] = {
        name: _of_measure(held[:, m], *(part[: len(mixtures), m] for part in
                          (said.mean_QM, said.low_QM, said.high_QM)))
        for m, name in enumerate(measures)
    }  # fmt: skip
    return result | _of_the_proposal(found, runs)


def _of_measure(measured_Q, mean_Q, low_Q, high_Q) -> dict:
    kept = np.isfinite(measured_Q)
    if not kept.any():
        return {"mixtures": 0, "rank": None, "error": None, "inside": None}
    measured_Q, mean_Q = measured_Q[kept], mean_Q[kept]
    inside = (measured_Q >= low_Q[kept]) & (measured_Q <= high_Q[kept])
    return {
        "mixtures": int(kept.sum()),
        "rank": rank(mean_Q, measured_Q),
        "error": float(np.abs(mean_Q - measured_Q).mean()),
        "inside": int(inside.sum()),
    }


def rank(one_Q: np.ndarray, other_Q: np.ndarray) -> float | None:
    """Spearman's rank correlation; None of too few, or where one side is all the same."""
    if len(one_Q) < FEWEST or np.ptp(one_Q) == 0 or np.ptp(other_Q) == 0:
        return None
    from scipy import stats  # 0.7 s, which a help text needn't wait for

    return float(stats.spearmanr(one_Q, other_Q).statistic)


def _of_the_proposal(found: Answer, runs: Runs) -> dict:
    """Its regret, and its difference to every anchor, seed by seed."""
    measures, objective = found.fitted.runs.measures, found.objective
    everything = means(runs, (ANCHOR, PROXY, HELD_OUT, PROPOSAL), measures)
    name = draws.RECIPE if found.is_already else found.mixture.name
    values = {n: float(objective.value(v[None], measures)[0]) for n, v in everything.items()}
    values = {n: v for n, v in values.items() if math.isfinite(v)}
    if name not in values:
        return {"values": values}
    best = min(values, key=values.__getitem__)
    mine = runs[ANCHOR][name] if found.is_already else runs[PROPOSAL][name]
    one_phase = {n: seeds for n, seeds in runs[PROPOSAL].items() if n != name}
    against = {
        other: _against(mine, seeds, found)
        for other, seeds in {**runs[ANCHOR], **one_phase}.items() if other != name and seeds
    }  # fmt: skip
    _discover(against)
    regret = {"regret": values[name] - values[best], "best": best}
    return {"values": values, "against": against, **regret}


def among_allowed(
    design: Design, asked: MixQuestion, proposal: Mixture, values: Mapping[str, float]
) -> dict:
    """The regret among the mixtures that keep the linear constraints, and which of these is best.

    A mixture that reads a small language too often may well have the smallest loss: it was no answer
    to what was asked. values: mixture -> the objective as measured.
    """
    if proposal.name not in values:
        return {}
    where, prior_K = asked.space(design), question.own_shares(design)
    kept = {
        one.name for one in design.mixtures
        if where.slack(one.point, prior_K).min(initial=0) >= -ROUNDED
    }  # fmt: skip
    best = min(values.keys() & {*kept, proposal.name}, key=values.__getitem__)
    return {"allowed_regret": values[proposal.name] - values[best], "best_allowed": best}


def _against(mine: Sequence[Mapping], others: Sequence[Mapping], found: Answer) -> dict:
    """Differences of the objective and of each measure, over the seeds that both have."""
    measures, objective = found.fitted.runs.measures, found.objective
    seeds = {run["seed"]: run for run in others}
    pairs = [(run, seeds[run["seed"]]) for run in mine if run["seed"] in seeds]
    if not pairs:
        return {}
    ours, theirs = (table(side, measures) for side in zip(*pairs))
    value_S = objective.value(ours, measures) - objective.value(theirs, measures)
    columns = {OBJECTIVE: value_S} | dict(zip(measures, (ours - theirs).T))
    return {
        name: interval.plain()
        for name, values in columns.items()
        if np.isfinite(values).all() and (interval := claims.paired(values))
    }


def _discover(against: Mapping[str, dict]) -> None:
    """Which differences of measures are real: of those called so, one in twenty is expected not to be."""
    family = [one for of in against.values() for name, one in of.items() if name != OBJECTIVE]
    for one, q_value in zip(family, power.q_values([x["p_value"] for x in family]), strict=True):
        one |= {"q_value": q_value, "beyond_noise": q_value is not None and q_value <= power.RATE}


def tests(checked_: Mapping, of_scores: bool = False) -> Iterator[Test]:
    """What is asked of the law and of the proposal, in the order in which a report has them.

    of_scores: whether the objective is one of scores, in points, not of bits per byte.
    """
    by_measure = [one for one in checked_.get("measures", {}).values() if one["mixtures"]]
    ranks = [one["rank"] for one in by_measure if one["rank"] is not None]
    mean_rank = float(np.mean(ranks)) if ranks else None
    yield Test(
        "mean rank correlation over languages, on held-out mixtures", mean_rank,
        f"at least {RANK:g}", None if mean_rank is None else mean_rank >= RANK - 1e-9,
    )  # fmt: skip
    ratio = _ratio(checked_)
    yield Test(
        "mean absolute error over the seeds' standard deviation", ratio, f"at most {ERROR:g}",
        None if ratio is None else ratio <= ERROR,
    )  # fmt: skip
    count = sum(one["mixtures"] for one in by_measure)
    inside = sum(one["inside"] for one in by_measure) / count if count else None
    yield Test(
        "values inside their 90 % intervals", inside, f"at least {INSIDE:g}",
        None if inside is None else inside >= INSIDE,
    )  # fmt: skip
    most = REGRET_OF_SCORES if of_scores else REGRET
    for name, key in (
        ("regret of the proposal against the best mixture trained", "regret"),
        ("the same among the mixtures trained that keep the constraints", "allowed_regret"),
    ):
        regret = checked_.get(key)
        held = None if regret is None else regret <= most
        yield Test(name, regret, f"at most {most:g}", held)
    yield _not_worse(checked_)


def _ratio(checked_: Mapping) -> float | None:
    """The mean error over the mean noise of all measures; of several units, the mean of the ratios."""
    noise = {name: v for name, v in checked_.get("spread", {}).items() if v}
    found = checked_.get("measures", {})
    errors = {name: one["error"] for name, one in found.items() if one["mixtures"]}
    if not errors or not noise:
        return None
    if not any(map(larger_is_better, errors)):
        return float(np.mean([*errors.values()]) / np.mean([*noise.values()]))
    return float(np.mean([errors[name] / noise[name] for name in errors if name in noise]))


def _not_worse(checked_: Mapping) -> Test:
    """Whether the proposal is worse, beyond noise, than the best of equal, UniMax and temperature."""
    values, against = checked_.get("values", {}), checked_.get("against", {})
    others = [n for n in (draws.EQUAL, draws.UNIMAX, draws.TEMPERATURE) if against.get(n)]
    name = f"the proposal against the best of {', '.join(others) or 'the anchors'}"
    if not others:
        return Test(name, None, "not worse beyond noise", None)
    one = against[min(others, key=values.get)][OBJECTIVE]
    worse = one["low"] is not None and one["low"] > 0
    return Test(
        name, one["mean"], "not worse beyond noise", None if one["low"] is None else not worse
    )


def _named(measures: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in zip(measures, values, strict=True)}


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
