"""From the runs of proxies to a proposal: laws, what they say of it, how far outside the runs it lies."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.ablation.laws.fitted import Fitted, fit
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.laws.proposal import Proposal, propose
from polylm_jax.ablation.mixing import pool, question
from polylm_jax.ablation.mixing.designs import ANCHOR, Design, Mixture
from polylm_jax.ablation.mixing.pool import Point
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.ablation.mixing.question import MixQuestion

ONE_PHASE = "one_phase"  # the best mixture with the same shares in all phases
DIGITS = 6  # of the shares that are proposed
ALREADY = 0.005  # total variation to the recipe's own below which nothing else is proposed


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """Laws and the proposal. own: measure -> what the recipe's own mixture is predicted to give.

    mixture: the proposal as a mixture to train. distance: its total variation to the recipe's own.
    one_phase: of several phases, the best mixture with the same shares in all of them, which says
    whether phases are worth anything; None where the proposal is one itself.
    """

    fitted: Fitted
    objective: Objective
    proposal: Proposal
    own: Mapping[str, float]
    mixture: Mixture
    distance: float
    one_phase: Mixture | None = None

    @property
    def to_train(self) -> list[Mixture]:
        """The mixtures that the check trains for it."""
        if self.is_already:
            return []
        return [self.mixture, *([] if self.one_phase is None else [self.one_phase])]

    @property
    def is_already(self) -> bool:
        """Whether the recipe's own shares are the proposal."""
        return self.distance < ALREADY


def fitted_to(points: Sequence[Point], design: Design, asked: MixQuestion) -> Fitted:
    """Laws of all measures; InputError for too few runs, and for a measure that no run has."""
    measures = pool.measures_of([one.numbers for one in points], asked.scores)
    return fit(pool.runs(points, design, measures))


def answer(fitted: Fitted, design: Design, asked: MixQuestion) -> Answer:
    """The proposal; the same runs and question always give the same."""
    own_K = question.own_shares(design)
    measures = fitted.runs.measures
    means = fitted.predict(own_K[None]).mean_QM[0]
    own = dict(zip(measures, map(float, means), strict=True))
    objective = asked.objective(measures, own)
    compared = {one.name: one.point for one in design.of(ANCHOR)}
    limits = asked.constraints(design, own)
    one_phase = None
    if len(design.phases) > 1:
        same = dataclasses.replace(limits, sums=(*limits.sums, *question.same_in_all(design)))
        found = propose(fitted, objective, same, own_K, compared)
        one_phase = _mixture(found.shares_K, design, ONE_PHASE)
        compared[one_phase.name] = one_phase.point
    proposal = propose(fitted, objective, limits, own_K, compared)
    mixture = _mixture(proposal.shares_K, design, PROPOSAL)
    if one_phase is not None and _distance(one_phase, mixture, design) < ALREADY:
        one_phase = None
    distance = _distance(design.mixtures[0], mixture, design)
    return Answer(fitted, objective, proposal, own, mixture, distance, one_phase)


def _mixture(point_K: np.ndarray, design: Design, kind: str) -> Mixture:
    """What a law found as a mixture to train."""
    shares_PC, parts_P = design.divided(point_K)
    shares_PC = rounded(shares_PC)
    if parts_P is not None:
        parts_P = rounded(parts_P[None])[0]
    return Mixture(
        name_of(kind, shares_PC, parts_P), PROPOSAL, shares_PC, design.mixtures[0].seeds, parts_P
    )


def _distance(one: Mixture, other: Mixture, design: Design) -> float:
    """Total variation, the mean over what sums to 1."""
    return float(np.abs(one.point - other.point).sum()) / 2 / design.stages


def rounded(shares_PC: np.ndarray) -> np.ndarray:
    """Shares in so many digits that a reader can use, each phase summing to 1."""
    found = np.clip(shares_PC, 0, None).round(DIGITS)
    for row in found:
        row[np.argmax(row)] += 1 - row.sum()
    return found.round(DIGITS)


def name_of(kind: str, shares_PC: np.ndarray, parts_P: np.ndarray | None) -> str:
    """A proposal's name: another question over the same runs makes another one."""
    parts = "" if parts_P is None else str(parts_P.tolist())
    text = f"{shares_PC.tolist()}{parts}".encode()
    return f"{kind}_{hashlib.sha256(text).hexdigest()[:8]}"
