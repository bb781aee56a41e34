"""Noise and power: which difference so many seeds can see, and which of many differences are real.

Before a run: the smallest difference between two variants that a paired t test at 95 % sees with a
probability of 80 %, from how far seeds of earlier runs lay apart. After it: Benjamini and Hochberg's
q-values (1995), so that of the differences which a report calls real one in twenty is expected not
to be, however many languages and tasks it looks at.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.95
POWER = 0.80
RATE = 0.05  # of false discoveries among those that are called real
SURE = 0.90  # of the limit that is told beside a spread of few seeds

Values = Mapping[str, Mapping[int, float]]  # mixture or variant -> seed -> value


@dataclasses.dataclass(frozen=True)
class Noise:
    """How far differences between two variants scatter from seed to seed.

    Attributes:
      deviation: standard deviation of one paired difference, in the measure's unit.
      degrees: of freedom; with few, the deviation itself is uncertain.
      paired: whether seeds that two variants share were compared; if not, from the seeds of single
        variants, as if what a seed does to one it didn't do to the other.
    """

    deviation: float
    degrees: int
    paired: bool

    @property
    def at_most(self) -> float:
        """The deviation's upper 90 % limit: of three seeds, three times as large."""
        from scipy import stats

        return self.deviation * math.sqrt(
            self.degrees / float(stats.chi2.ppf(1 - SURE, self.degrees))
        )


@dataclasses.dataclass(frozen=True)
class Detectable:
    """What a measure's seeds can see.

    Attributes:
      difference: the smallest that is seen with 80 % probability.
      at_most: the same should the spread be as large as those few seeds allow (90 %).
      noise: what it is counted from.
    """

    difference: float
    at_most: float
    noise: Noise


def noise(values: Values) -> Noise | None:
    """From runs of the same budget; None where no mixture has two seeds."""
    shared = [
        [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
        for mine, theirs in itertools.combinations(values.values(), 2)
    ]
    shared = [one for one in shared if len(one) > 1]
    if shared:
        variants = {
            name for pair in itertools.combinations(values, 2)
            if len(values[pair[0]].keys() & values[pair[1]].keys()) > 1 for name in pair
        }  # fmt: skip
        squares, degrees = _pooled(shared)
        # Pairs of V variants with S seeds have V (V - 1) / 2 (S - 1) degrees, of which (V - 1)
        # (S - 1) are free.
        return Noise(math.sqrt(squares / degrees), max(round(2 * degrees / len(variants)), 1), True)
    alone = [[*one.values()] for one in values.values() if len(one) > 1]
    if not alone:
        return None
    squares, degrees = _pooled(alone)
    return Noise(math.sqrt(2 * squares / degrees), degrees, False)


def _pooled(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """(sum of squares about each group's mean, degrees of freedom)."""
    squares = sum(float(np.var(one)) * len(one) for one in groups)
    return squares, sum(len(one) - 1 for one in groups)


def smallest_difference(deviation: float, seeds: int, probability: float = POWER) -> float | None:
    """The difference that a two-sided paired t test at 95 % sees with this probability.

    deviation: of one paired difference. None below two seeds, where no difference can be seen.
    """
    if seeds < 2:
        return None
    from scipy import optimize, stats

    edge = float(stats.t.ppf((1 + LEVEL) / 2, seeds - 1))

    def missing(shift: float) -> float:
        beyond = float(stats.nct.sf(edge, seeds - 1, shift))
        opposite = float(stats.nct.cdf(-edge, seeds - 1, shift))
        return beyond + np.nan_to_num(opposite) - probability  # too far for it to say: 0

    shift = float(optimize.brentq(missing, 0.1, 10 * edge, xtol=1e-6))
    return shift * deviation / math.sqrt(seeds)


def detectable(measures: Mapping[str, Values], seeds: int) -> dict[str, Detectable]:
    """measure -> what so many seeds can see; a measure without spread or below two seeds isn't there."""
    one_each = smallest_difference(1.0, seeds)
    found = {name: noise(values) for name, values in measures.items()}
    return {
        name: Detectable(one_each * one.deviation, one_each * one.at_most, one)
        for name, one in found.items() if one is not None and one_each is not None
    }  # fmt: skip


def p_value(differences: Sequence[float] | np.ndarray) -> float | None:
    """Of a two-sided t test of paired differences against zero; None of fewer than two."""
    if len(differences) < 2:
        return None
    from scipy import stats

    mean, error = float(np.mean(differences)), float(stats.sem(differences))
    if error == 0:  # every pair differs by the same
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))


def q_values(p_values: Sequence[float | None]) -> list[float | None]:
    """The false discovery rate at which each would be called real; None where there is no p-value."""
    from scipy import stats

    there = [place for place, p in enumerate(p_values) if p is not None]
    found: list[float | None] = [None] * len(p_values)
    if there:
        rates = stats.false_discovery_control([p_values[place] for place in there])
        for place, rate in zip(there, rates.tolist()):
            found[place] = rate
    return found
