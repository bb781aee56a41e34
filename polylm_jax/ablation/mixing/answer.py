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

DIGITS = 6  # of the shares that are proposed
ALREADY = 0.005  # total variation to the recipe's own below which nothing else is proposed


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """Laws and the proposal. own: measure -> what the recipe's own mixture is predicted to give.

    mixture: the proposal as a mixture to train. distance: its total variation to the recipe's own.
    """

    fitted: Fitted
    objective: Objective
    proposal: Proposal
    own: Mapping[str, float]
    mixture: Mixture
    distance: float

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
    compared = {one.name: one.shares.ravel() for one in design.of(ANCHOR)}
    limits = asked.constraints(design, own)
    proposal = propose(fitted, objective, limits, own_K, compared)
    shares_PC = rounded(np.reshape(proposal.shares_K, (len(design.phases), -1)))
    distance = float(np.abs(shares_PC - design.mixtures[0].shares).sum()) / 2 / len(design.phases)
    mixture = Mixture(name_of(shares_PC), PROPOSAL, shares_PC, design.mixtures[0].seeds)
    return Answer(fitted, objective, proposal, own, mixture, distance)


def rounded(shares_PC: np.ndarray) -> np.ndarray:
    """Shares in so many digits that a reader can use, each phase summing to 1."""
    found = np.clip(shares_PC, 0, None).round(DIGITS)
    for row in found:
        row[np.argmax(row)] += 1 - row.sum()
    return found.round(DIGITS)


def name_of(shares_PC: np.ndarray) -> str:
    """A proposal's name: another question over the same runs makes another one."""
    text = str(shares_PC.tolist()).encode()
    return f"{PROPOSAL}_{hashlib.sha256(text).hexdigest()[:8]}"
