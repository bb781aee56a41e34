"""`run.py signal`: which tasks say anything at the size of one's own runs, by FineTasks' criteria.

    OUTPUT/signal.md, signal.json

From the scores that runs wrote while they trained (MODEL_DIR/evaluation.jsonl), or that `evaluate`
gave their checkpoints, of several variants and seeds. FineTasks (Hugging Face, 2024) asks of a task and metric: does it rise with training, does
it stand out of the noise of seeds, is it above guessing, does it keep the order of variants.
"""

import itertools
import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import scipy.stats

from polylm_jax.errors import InputError
from polylm_jax.evaluation import protocol, run_scores
from polylm_jax.evaluation.report import GAP
from polylm_jax.evaluation.run_scores import Scores
from polylm_jax.evaluation.tables import METRICS
from polylm_jax.runtime.markdown import table
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import mixtures

MONOTONE, NOISE, ABOVE, ORDER = 0.5, 20.0, 3.0, 0.5
FALLING = ("bits", "nats", "answer_bits")  # metrics of which less is better
LEGEND = (
    f"Rises: Spearman's correlation of score and step, the mean over runs, {MONOTONE} at least. Over "
    f"noise: the mean of the last score over its standard deviation between seeds, {NOISE:g} at "
    f"least. Above guessing: the best score less guessing, in those deviations, {ABOVE:g} at least. "
    f"Keeps order: Kendall's tau of the variants at two evaluations in a row, the mean over the "
    f"second half of training, {ORDER} at least. {GAP}: not to be told from these runs, or not of this "
    "metric. A task says something where nothing that can be told speaks against it, and rising can."
)


class Signal(NamedTuple):
    """Of a task and metric: the four criteria, None where they can't be told."""

    task: str
    metric: str
    rises: float | None
    over_noise: float | None
    above_guessing: float | None
    keeps_order: float | None

    @property
    def says(self) -> bool:
        """Whether the task says anything."""
        judged = zip(self[2:], (MONOTONE, NOISE, ABOVE, ORDER), strict=True)
        return self.rises is not None and all(v is None or v >= least for v, least in judged)


def signal(runs: Mapping[str, Sequence[str]], output: str, tasks: str | Sequence[str] = ()) -> None:
    """Says of each evaluation task whether its scores tell anything of one's own runs.

    runs: variant -> MODEL_DIRs of its seeds, whose runs evaluated tasks while they trained, or folders
    that `evaluate` wrote the results of a run's checkpoints into.
    output: the folder of the report.
    tasks: as registered, for what guessing scores in each; results of `evaluate` know it.

    Raises InputError for runs without scores.
    """
    guessing = _guessing(mixtures.tasks_of(tasks) if tasks else [])
    read = {variant: [run_scores.read(path) for path in dirs] for variant, dirs in runs.items()}
    if not read or not all(read.values()):
        raise InputError("runs is empty: give {variant: [MODEL_DIR of each seed]}.")
    for run in itertools.chain.from_iterable(read.values()):
        guessing |= run.guessing
    scores = {variant: [run.scores for run in some] for variant, some in read.items()}
    found = criteria(scores, guessing)
    folder = Folder(str(output).rstrip("/"), "OUTPUT")
    plain = [{**one._asdict(), "says": one.says} for one in found]
    folder.write("signal.json", json.dumps(plain, ensure_ascii=False, indent=1).encode())
    folder.write("signal.md", markdown(found).encode())
    said = sum(one.says for one in found)
    print(f"{said} of {len(found)} scores say something: {str(output).rstrip('/')}/signal.md")


def _guessing(names: Sequence[str]) -> dict[str, float]:
    known = {name: protocol.find(name) for name in names if name in protocol.names()}
    return {name: 100 / one.choices for name, one in known.items() if one.choices}


def criteria(
    scores: Mapping[str, Sequence[Mapping[tuple[str, str], Scores]]],
    guessing: Mapping[str, float],
) -> list[Signal]:
    """Every task and metric that all runs have, in the order of the first run's."""
    runs = [run for some in scores.values() for run in some]
    keys = [key for key in runs[0] if all(key in run for run in runs)]
    return [_judged(key, scores, guessing) for key in keys]


def _judged(key: tuple[str, str], scores, guessing: Mapping[str, float]) -> Signal:
    task, metric = key
    sign = -1.0 if metric.startswith(FALLING) else 1.0
    of = {
        variant: [{step: sign * value for step, value in run[key].items()} for run in some]
        for variant, some in scores.items()
    }
    runs = [run for some in of.values() for run in some]
    noise = _noise(of)
    last = statistics.fmean(run[max(run)] for run in runs)
    best = max(max(run.values()) for run in runs)
    guess = guessing.get(task) if metric.startswith("accuracy") else None
    return Signal(
        task,
        metric,
        _mean([_spearman(run) for run in runs]),
        None if noise is None else _over(abs(last), noise),
        None if noise is None or guess is None else _over(best - guess, noise),
        _order(of),
    )


def _over(value: float, noise: float) -> float:
    return value / noise if noise else math.copysign(math.inf, value) if value else 0.0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _spearman(run: Scores) -> float | None:
    """Of score and step; 0 where the score never moves, None for fewer than three evaluations."""
    if len(run) < 3:
        return None
    if len(set(run.values())) == 1:
        return 0.0
    return float(scipy.stats.spearmanr([*run], [*run.values()]).statistic)


def _noise(of: Mapping[str, Sequence[Scores]]) -> float | None:
    """The standard deviation of the last score between a variant's seeds, the mean over variants."""
    several = [[run[max(run)] for run in some] for some in of.values() if len(some) > 1]
    return statistics.fmean(map(statistics.stdev, several)) if several else None


def _order(of: Mapping[str, Sequence[Scores]]) -> float | None:
    """Kendall's tau-a of the variants' means at neighbouring evaluations, over the second half."""
    shared = set.intersection(*(set(run) for some in of.values() for run in some))
    steps = sorted(shared)[len(shared) // 2 :]
    if len(of) < 2 or len(steps) < 2:
        return None
    means = [
        [statistics.fmean(run[step] for run in some) for some in of.values()] for step in steps
    ]
    return statistics.fmean(itertools.starmap(_tau, itertools.pairwise(means)))


def _tau(first: Sequence[float], second: Sequence[float]) -> float:
    pairs = list(itertools.combinations(range(len(first)), 2))
    agree = [
        math.copysign(1, (first[a] - first[b]) * (second[a] - second[b]))
        if first[a] != first[b] and second[a] != second[b]
        else 0.0
        for a, b in pairs
    ]
    return statistics.fmean(agree)


def markdown(found: Sequence[Signal]) -> str:
    """A table, what says something first; the rest in brackets."""
    head = [
        "task",
        "metric",
        "rises",
        "over noise",
        "above guessing",
        "keeps order",
        "says something",
    ]
    lines = []
    for one in sorted(found, key=lambda one: not one.says):
        cells = [one.task, METRICS.get(one.metric, one.metric)]
        cells += [GAP if value is None else f"{value:.2f}" for value in one[2:]]
        cells = cells if one.says else [f"({cell})" for cell in cells]
        lines.append([*cells, "yes" if one.says else "no"])
    return "\n\n".join(["# Which tasks say anything", LEGEND, table(head, lines)]) + "\n"


def silent(path: str) -> frozenset[str]:
    """The tasks of which no score says anything, from a folder that `signal` wrote."""
    folder = str(path).rstrip("/").removesuffix("/signal.json")
    content = Folder(folder, "signal").peek("signal.json")
    if content is None:
        place = pathlib.PurePosixPath(folder) / "signal.json"
        raise InputError(f"signal: {str(place)!r} isn't there: name a folder that `signal` wrote.")
    found = json.loads(content)
    says = {one["task"] for one in found if one["says"]}
    return frozenset(one["task"] for one in found) - says
