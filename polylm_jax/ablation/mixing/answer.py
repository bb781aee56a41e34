"""From the runs of proxies to a proposal: laws, what they say of it, how far outside the runs it lies."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax.ablation.laws import forms
from polylm_jax.ablation.laws.constraints import Sum
from polylm_jax.ablation.laws.fitted import Fitted, fit
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.laws.proposal import Against, Proposal, against, propose
from polylm_jax.ablation.mixing import pool, question
from polylm_jax.ablation.mixing.designs import ANCHOR, Design, Mixture
from polylm_jax.ablation.mixing.pool import Point
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.ablation.mixing.question import MixQuestion
from polylm_jax.errors import InputError

ONE_PHASE = "one_phase"  # the best mixture with the same shares in all phases
SIDE_BY_SIDE = (forms.OWN_SHARE, forms.OWN_SHARE_GP)  # without and with what other text does
DIGITS = 6  # of the shares that are proposed
ALREADY = 0.005  # total variation to the recipe's own below which nothing else is proposed


class Beside(NamedTuple):
    """What one law says where it alone predicts every measure.

    change: the proposal less the recipe's own mixture. mixture: what this law would propose, and its
    total variation to the proposal; None where by it no mixture keeps NO_WORSE.
    """

    change: Against
    mixture: Mixture | None
    distance: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """Laws and the proposal. own: measure -> what the recipe's own mixture is predicted to give.

    mixture: the proposal as a mixture to train. distance: its total variation to the recipe's own.
    one_phase: of several phases, the best mixture with the same shares in all of them, which says
    whether phases are worth anything; None where the proposal is one itself.
    beside: law -> what it says by itself, of those SIDE_BY_SIDE.
    """

    fitted: Fitted
    objective: Objective
    proposal: Proposal
    own: Mapping[str, float]
    mixture: Mixture
    distance: float
    beside: Mapping[str, Beside]
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
    return fit(pool.runs(points, design, measures), asked.law, beside=forms.LAWS)


def answer(fitted: Fitted, design: Design, asked: MixQuestion) -> Answer:
    """The proposal; the same runs and question always give the same."""
    own, objective = _asked(fitted, design, asked)
    compared = {one.name: one.point for one in design.of(ANCHOR)}
    one_phase = None
    if len(design.phases) > 1:
        same = tuple(question.same_in_all(design))
        one_phase = _mixture(_proposal(fitted, design, asked, compared, same), design, ONE_PHASE)
        compared[one_phase.name] = one_phase.point
    proposal = _proposal(fitted, design, asked, compared)
    mixture = _mixture(proposal, design, PROPOSAL)
    if one_phase is not None and _distance(one_phase, mixture, design) < ALREADY:
        one_phase = None
    distance = _distance(design.mixtures[0], mixture, design)
    beside = {law: _beside(fitted.by(law), design, asked, mixture) for law in SIDE_BY_SIDE}
    return Answer(fitted, objective, proposal, own, mixture, distance, beside, one_phase)


def _asked(fitted: Fitted, design: Design, asked: MixQuestion) -> tuple[dict, Objective]:
    """(what the recipe's own mixture is predicted to give, what is to be small)."""
    means = fitted.predict(question.own_shares(design)[None]).mean_QM[0]
    own = dict(zip(fitted.runs.measures, map(float, means), strict=True))
    return own, asked.objective(fitted.runs.measures, own)


def _proposal(
    fitted: Fitted,
    design: Design,
    asked: MixQuestion,
    compared: Mapping[str, np.ndarray],
    more: Sequence[Sum] = (),
) -> Proposal:
    """The best mixture by these laws. more: constraints beside those that are asked for."""
    own, objective = _asked(fitted, design, asked)
    limits = asked.constraints(design, own)
    limits = dataclasses.replace(limits, sums=(*limits.sums, *more))
    return propose(fitted, objective, limits, question.own_shares(design), compared)


def _beside(fitted: Fitted, design: Design, asked: MixQuestion, proposal: Mixture) -> Beside:
    _, objective = _asked(fitted, design, asked)
    change = against(fitted, objective, proposal.point, question.own_shares(design))
    try:
        alone = _mixture(_proposal(fitted, design, asked, {}), design, PROPOSAL)
    except InputError:  # a loss that this law says can't be kept
        return Beside(change, None, None)
    return Beside(change, alone, _distance(alone, proposal, design))


def _mixture(found: Proposal, design: Design, kind: str) -> Mixture:
    """What a law found as a mixture to train."""
    shares_PC, parts_P = design.divided(found.shares_K)
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
