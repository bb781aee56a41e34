"""The shares with the smallest objective under the constraints, and what they are worth."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import threadpoolctl

from polylm_jax.ablation.laws import conformal, search
from polylm_jax.ablation.laws.constraints import Constraints, refuse_contradictions, space
from polylm_jax.ablation.laws.fitted import Fitted
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.laws.runs import check_shares

BINDS = 1e-4  # of a share: a constraint with less left binds


@dataclasses.dataclass(frozen=True)
class Interval:
    """A predicted value and the ends of its 90 % interval, of one new run (of a pair of them)."""

    mean: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether zero lies outside: of a difference."""
        return self.low > 0 or self.high < 0


@dataclasses.dataclass(frozen=True)
class Against:
    """The proposal less another mixture: negative is for the better.

    Attributes:
      objective: the difference of the objective.
      measures: measure -> its difference.
    """

    objective: Interval
    measures: Mapping[str, Interval]

    @property
    def told_apart(self) -> bool:
        """Whether the objective's difference is beyond what the law can get wrong."""
        return self.objective.beyond_noise


@dataclasses.dataclass(frozen=True, eq=False)
class Proposal:
    """Shares and what is predicted of them.

    Attributes:
      shares_K: the proposal.
      objective: what it is predicted to reach. As the best of all predictions it is a hopeful one:
        what chose it also chose its errors. Runs check it.
      measures: measure -> its prediction.
      binding: the names of the constraints that it touches.
      against: name -> the differences to each compared mixture.
    """

    shares_K: np.ndarray
    objective: Interval
    measures: Mapping[str, Interval]
    binding: tuple[str, ...]
    against: Mapping[str, Against]


def propose(
    fitted: Fitted,
    objective: Objective,
    constraints: Constraints,
    prior_K: np.ndarray,
    compared: Mapping[str, np.ndarray] | None = None,
) -> Proposal:
    """The proposal.

    Args:
      fitted: the laws.
      prior_K: where nearness is counted from, and one of the places where the search starts.
      compared: name -> shares that the proposal is compared with: the recipe's own, equal.

    Raises:
      InputError: constraints that contradict one another, or that name what isn't there.
    """
    runs = fitted.runs
    objective.check(runs.measures)
    constraints.check(runs.components, runs.measures)
    compared = compared or {}
    check_shares(np.stack([prior_K, *compared.values()]), runs.components, runs.stages)
    where = space(constraints, runs.components, prior_K, runs.stages)
    refuse_contradictions(where)
    with threadpoolctl.threadpool_limits(1):
        shares_K = search.smallest(fitted, objective, constraints, where, prior_K, compared)
        return _described(fitted, objective, constraints, where, shares_K, prior_K, compared)


def _described(
    fitted: Fitted, objective, constraints, where, shares_K, prior_K, compared
) -> Proposal:
    measures = fitted.runs.measures
    predicted = fitted.predict(shares_K[None])
    slack_N = where.slack(shares_K, prior_K)
    binding = [name for name, left in zip(where.names, slack_N) if name and left < BINDS]
    for one in constraints.losses:
        value = predicted.mean_QM[0, measures.index(one.measure)]
        if value > one.reference + one.by - BINDS:
            binding.append(one.name)
    return Proposal(
        shares_K,
        _objective_interval(fitted, objective, shares_K),
        {
            name: Interval(*(float(part[0, n]) for part in dataclasses.astuple(predicted)))
            for n, name in enumerate(measures)
        },
        tuple(binding),
        {name: against(fitted, objective, shares_K, other) for name, other in compared.items()},
    )


def against(
    fitted: Fitted, objective: Objective, shares_K: np.ndarray, other_K: np.ndarray
) -> Against:
    """What mixture `shares_K` is predicted to have more of than another."""
    pair_QK = np.stack([shares_K, other_K])
    return Against(
        _difference(fitted, objective, pair_QK),
        {
            name: _difference(fitted, Objective(measures=(name,)), pair_QK)
            for name in fitted.runs.measures
        },
    )


def _held_out(fitted: Fitted, objective: Objective) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(error_R, scale_R, rows) of the objective, on runs that have all of its measures."""
    measures = fitted.runs.measures
    values_RM = np.full(fitted.runs.measured_RM.shape, np.nan)
    scales_RM = np.full_like(values_RM, np.nan)
    for number, one in enumerate(fitted.measures):
        values_RM[one.rows, number], scales_RM[one.rows, number] = one.held_out_R, one.scale_R
    measured_R = objective.value(fitted.runs.measured_RM, measures)
    error_R = measured_R - objective.value(values_RM, measures)
    scale_R = _scale(scales_RM, objective, measures)
    rows = np.flatnonzero(np.isfinite(error_R) & np.isfinite(scale_R))
    return error_R[rows], scale_R[rows], rows


def _scale(scales_QM, objective: Objective, measures) -> np.ndarray:
    return np.sqrt(np.mean(scales_QM[:, objective.columns(measures)] ** 2, axis=1))


def _asked(fitted: Fitted, objective: Objective, shares_QK) -> tuple[np.ndarray, np.ndarray]:
    """(value_Q, scale_Q) of the objective."""
    mean_QM, scale_QM = (
        np.stack(part, axis=1)
        for part in zip(*(one.whole.predict(shares_QK) for one in fitted.measures))
    )
    measures = fitted.runs.measures
    return objective.value(mean_QM, measures), _scale(scale_QM, objective, measures)


def _objective_interval(fitted: Fitted, objective: Objective, shares_K: np.ndarray) -> Interval:
    """The objective's value, with the held-out errors of the objective itself.

    So that errors which measures share don't cancel, and those that they don't do.
    """
    error_R, scale_R, rows = _held_out(fitted, objective)
    value_Q, scale_Q = _asked(fitted, objective, shares_K[None])
    reach = float(conformal.upper(np.abs(error_R) / scale_R, fitted.weight_R[rows]) * scale_Q[0])
    return Interval(float(value_Q[0]), float(value_Q[0]) - reach, float(value_Q[0]) + reach)


def _difference(fitted: Fitted, objective: Objective, pair_QK: np.ndarray) -> Interval:
    """The objective of the first less that of the second, by the held-out errors of pairs."""
    error_R, scale_R, rows = _held_out(fitted, objective)
    value_Q, scale_Q = _asked(fitted, objective, pair_QK)
    names = np.array(fitted.runs.mixtures)[rows]
    first, second = np.nonzero(np.triu(names[:, None] != names))
    ratio_P = np.abs(error_R[first] - error_R[second]) / np.hypot(scale_R[first], scale_R[second])
    weight_R = fitted.weight_R[rows]
    weight_P = weight_R[first] * weight_R[second]
    weight_P = weight_P * (weight_R.sum() / weight_P.sum())  # as many as there are mixtures
    reach = float(conformal.upper(ratio_P, weight_P) * np.hypot(*scale_Q))
    mean = float(value_Q[0] - value_Q[1])
    return Interval(mean, mean - reach, mean + reach)
