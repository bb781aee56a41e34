"""The shares with the smallest objective under the constraints, and what they are worth."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import threadpoolctl

from polylm_jax.ablation.laws import differences, search
from polylm_jax.ablation.laws.constraints import Constraints, refuse_contradictions, space
from polylm_jax.ablation.laws.differences import Interval
from polylm_jax.ablation.laws.fitted import Fitted
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.laws.runs import check_shares

BINDS = 1e-4  # of a share: a constraint with less left binds


@dataclasses.dataclass(frozen=True)
class Against:
    """The proposal less another mixture: negative is for the better.

    Attributes:
      objective: the difference of the objective.
      measures: measure -> its difference.
    """

    objective: Interval
    measures: Mapping[str, Interval]


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
        differences.value(fitted, objective, shares_K[None])[0],
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
    pair = shares_K[None], other_K[None]
    with threadpoolctl.threadpool_limits(1):
        return Against(
            differences.difference(fitted, objective, *pair)[0],
            {
                name: differences.difference(fitted, Objective(measures=(name,)), *pair)[0]
                for name in fitted.runs.measures
            },
        )
