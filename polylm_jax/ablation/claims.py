"""Claims: what is compared, from which difference on it matters, and what the numbers say of it.

seen      the 95 % interval lies on the claimed side of zero, and the mean difference is the
          smallest effect of interest or more
reversed  the same on the other side
not seen  anything else
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.ablation import power
from polylm_jax.runtime.ranges import NonNegative

SEEN, NOT_SEEN, REVERSED, OPEN = "seen", "not seen", "reversed", "open"
LEVEL = 0.95
RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Claim:
    """A comparison of two variants that is settled before any of them runs.

    Attributes:
      name: what is claimed, in words.
      better, than: variants; the claim is that the first is better.
      measure: a path in a run's numbers, such as 'bits_per_byte/average', 'bits_per_byte/th' or
        'evaluation/TASK/METRIC'.
      smallest_effect: the smallest mean difference that counts, in the unit of the measure.
      larger_is_better: False for bits.
      units: a path below which the same measure stands for each unit ('evaluation/TASK/unit_'):
        the interval is then a bootstrap that draws units and seeds; '' takes Student's t over
        paired seeds.
      only_where, at_least: runs count only where this measure has reached so much.
    """

    name: str
    better: str
    than: str
    measure: str = "bits_per_byte/average"
    smallest_effect: NonNegative = 0.0
    larger_is_better: bool = False
    units: str = ""
    only_where: str = ""
    at_least: float = 0.0


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean difference and the ends of its 95 % interval; no ends where there is one pair only.

    p_value: of the t test whose interval it is; None of one pair, and of a bootstrap.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int
    p_value: float | None = None

    @property
    def beyond_noise(self) -> bool:
        """Whether zero lies outside the interval."""
        if self.low is None or self.high is None:
            return False
        return self.low > 0 or self.high < 0

    def plain(self) -> dict:
        """As a report's JSON has it."""
        return dataclasses.asdict(self) | {"beyond_noise": self.beyond_noise}


def paired(differences: Sequence[float]) -> Interval:
    """Student's t interval of paired differences, one a seed."""
    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None, len(values))
    from scipy import stats  # 0.7 s, which a help text needn't wait for

    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - reach, mean + reach, len(values), power.p_value(values))


def bootstrapped(differences_SU: np.ndarray, seed: int = 0) -> Interval:
    """Percentile interval of the mean over seeds S and units U, both drawn with replacement."""
    seeds, units = differences_SU.shape
    mean = float(differences_SU.mean())
    if units < 2:
        return Interval(mean, None, None, seeds)
    chance = np.random.default_rng(seed)
    drawn_s = chance.integers(0, seeds, (RESAMPLES, seeds))
    drawn_u = chance.integers(0, units, (RESAMPLES, units))
    weight_s = np.stack([np.bincount(one, minlength=seeds) for one in drawn_s]) / seeds
    weight_u = np.stack([np.bincount(one, minlength=units) for one in drawn_u]) / units
    means = np.einsum("ns,su,nu->n", weight_s, differences_SU, weight_u)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high), seeds)


def verdict(claim: Claim, interval: Interval | None) -> str:
    """What an interval of (better - than) says of a claim; OPEN without one that has ends."""
    if interval is None or interval.low is None or interval.high is None:
        return OPEN
    sign = 1 if claim.larger_is_better else -1
    low, high = sorted((sign * interval.low, sign * interval.high))
    mean = sign * interval.mean
    if low > 0 and mean >= claim.smallest_effect:
        return SEEN
    if high < 0 and -mean >= claim.smallest_effect:
        return REVERSED
    return NOT_SEEN


def units_of(numbers: Mapping[str, float], path: str) -> dict[str, float]:
    """The measures whose paths begin with `path`, by what follows."""
    return {k.removeprefix(path): v for k, v in numbers.items() if k.startswith(path)}
