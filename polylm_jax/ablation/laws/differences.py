"""Intervals of an objective and of differences between mixtures, from the same held-out errors.

The error of a sum of measures is taken of the sum, run by run, and that of a difference of pairs of
runs: errors that measures share don't cancel, and those that they don't share do.
"""

import dataclasses

import numpy as np

from polylm_jax.ablation.laws import conformal
from polylm_jax.ablation.laws.fitted import Fitted
from polylm_jax.ablation.laws.objective import Objective


@dataclasses.dataclass(frozen=True)
class Interval:
    """A predicted value and the ends of its 90 % interval: of one new run, or of two for a difference."""

    mean: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether zero lies outside: of a difference."""
        return self.low > 0 or self.high < 0

    def plain(self) -> dict:
        """As a report's JSON has it."""
        return dataclasses.asdict(self) | {"beyond_noise": self.beyond_noise}


def value(fitted: Fitted, objective: Objective, shares_QK: np.ndarray) -> list[Interval]:
    """The objective of each mixture."""
    held = _Held(fitted, objective)
    value_Q = objective.value(fitted.means(shares_QK), fitted.runs.measures)
    scales = [one.whole.predict(shares_QK)[1] for one in fitted.measures]
    reach = conformal.upper(np.abs(held.error_R) / held.scale_R, held.weight_R)
    return _intervals(value_Q, reach * held.scale(scales))


def difference(
    fitted: Fitted, objective: Objective, first_QK: np.ndarray, second_QK: np.ndarray
) -> list[Interval]:
    """The objective of each first mixture less that of the second."""
    held = _Held(fitted, objective)
    measures = fitted.runs.measures
    value_Q, other_Q = (
        objective.value(fitted.means(part), measures) for part in (first_QK, second_QK)
    )
    scales = [one.whole.between(first_QK, second_QK) for one in fitted.measures]
    return _intervals(value_Q - other_Q, held.reach_of_pairs() * held.scale(scales))


def _intervals(value_Q: np.ndarray, reach_Q: np.ndarray) -> list[Interval]:
    rows = zip(value_Q.tolist(), reach_Q.tolist())
    return [Interval(value, value - reach, value + reach) for value, reach in rows]


class _Held:
    """The held-out errors of an objective, on the runs that have all of its measures.

    Attributes:
      error_R, scale_R, weight_R: as of one measure.
      names_R: the runs' mixtures.
    """

    def __init__(self, fitted: Fitted, objective: Objective):
        measures, measured_RM = fitted.runs.measures, fitted.runs.measured_RM
        mean_RM, scale_RM = np.full(measured_RM.shape, np.nan), np.full(measured_RM.shape, np.nan)
        for number, one in enumerate(fitted.measures):
            mean_RM[one.data.rows, number] = one.held_out.mean_R
            scale_RM[one.data.rows, number] = one.held_out.scale_R
        self.columns = objective.columns(measures)
        error_R = objective.value(measured_RM, measures) - objective.value(mean_RM, measures)
        scale_R = self.scale(scale_RM.T)
        rows = np.flatnonzero(np.isfinite(error_R))
        self.error_R, self.scale_R = error_R[rows], scale_R[rows]
        self.weight_R = fitted.weight_R[rows]
        self.names_R = np.array(fitted.runs.mixtures)[rows]

    def scale(self, scale_MQ) -> np.ndarray:
        """One scale_Q of the measures that count."""
        return np.sqrt(np.mean([scale_MQ[column] ** 2 for column in self.columns], axis=0))

    def reach_of_pairs(self) -> float:
        """What errors of differences between two mixtures reach, over their scale.

        Every two runs of different mixtures are a pair; they count together as many mixtures as
        there are, since a pair is no new mixture.
        """
        first, second = np.nonzero(np.triu(self.names_R[:, None] != self.names_R))
        size_P = np.hypot(self.scale_R[first], self.scale_R[second])
        ratio_P = np.abs(self.error_R[first] - self.error_R[second]) / size_P
        weight_P = self.weight_R[first] * self.weight_R[second]
        weight_P = weight_P * (self.weight_R.sum() / weight_P.sum())
        return float(conformal.upper(ratio_P, weight_P))
