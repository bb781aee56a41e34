"""What is asked of a proposal: which measure is to be small, and what must hold, by names.

Names become columns of a law here: of several phases, each has the columns of all components.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylm_jax.ablation.laws.constraints import (
    Constraints,
    NoWorse,
    Sum,
    refuse_contradictions,
    space,
)
from polylm_jax.ablation.laws.fitted import CHOSEN, check_law
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.mixing import components as parts
from polylm_jax.ablation.mixing import draws
from polylm_jax.ablation.mixing.designs import Design
from polylm_jax.ablation.mixing.places import bounds
from polylm_jax.errors import InputError, nearest, one_of
from polylm_jax.languages.registry import LANGUAGES, PARALLEL
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Finite, NonNegative, Positive, Share, SomeShare

BITS = "bits_per_byte/"
SCORES = "scores"
KINDS = ("mean", "weighted", "worst", SCORES)


@dataclasses.dataclass(frozen=True)
class MixQuestion:
    """As runs/mix.gin documents it; keys are languages, components, groups, or measures."""

    kind: str = "mean"
    weights: Mapping[str, NonNegative] = dataclasses.field(default_factory=dict)
    reference: Mapping[str, Finite] = dataclasses.field(default_factory=dict)
    most_epochs: Positive = 4.0
    floors: Mapping[str, Share] = dataclasses.field(default_factory=dict)
    ceilings: Mapping[str, Share] = dataclasses.field(default_factory=dict)
    no_worse: Mapping[str, Finite] = dataclasses.field(default_factory=dict)
    near: SomeShare | None = None
    law: str = CHOSEN

    def check(self, design: Design) -> "MixQuestion":
        """Itself, or InputError: what no component has, constraints that contradict one another."""
        one_of("OBJECTIVE", self.kind, KINDS)
        check_law(self.law, "LAW")
        if self.kind in ("weighted", SCORES) and not self.weights:
            raise InputError(
                f"OBJECTIVE = {self.kind!r} needs MIX_WEIGHTS: give {{'NAME': weight}} of what counts."
            )
        self._check_languages(design)
        check_ranges(self)
        refuse_contradictions(self.space(design))
        return self

    def _check_languages(self, design: Design) -> None:
        known = parts.languages_of(design.components)
        fields = {"MIX_REFERENCE": self.reference, "NO_WORSE": self.no_worse}
        if self.kind == "weighted":
            fields["MIX_WEIGHTS"] = self.weights
        for field, given in fields.items():
            for key in given:
                if key not in known:
                    raise InputError(
                        f"{field} names {key!r}, a measure that no run has: the mixture has "
                        f"{', '.join(known)}.{nearest(key, known)}"
                    )

    @property
    def scores(self) -> list[str]:
        """Measures of tasks that count."""
        return [*self.weights] if self.kind == SCORES else []

    def objective(self, measures: Sequence[str], own: Mapping[str, float]) -> Objective:
        """What is to be small. own: measure -> what the recipe's own mixture is predicted to give."""
        languages = tuple(m for m in measures if m.removeprefix(BITS) in LANGUAGES)
        if self.kind == SCORES:
            return Objective("weighted", weights=dict(self.weights))
        if self.kind == "weighted":
            return Objective("weighted", weights={BITS + k: v for k, v in self.weights.items()})
        if self.kind == "worst":
            given = {BITS + k: v for k, v in self.reference.items()}
            return Objective("worst", languages, reference={m: own[m] for m in languages} | given)
        return Objective("mean", languages or tuple(m for m in measures if m.startswith(BITS)))

    def constraints(self, design: Design, own: Mapping[str, float] | None = None) -> Constraints:
        """What must hold. own: as of `objective`; without it losses are left out."""
        losses = () if own is None else tuple(
            NoWorse(BITS + key, own[BITS + key], by) for key, by in self.no_worse.items()
        )  # fmt: skip
        near = None if self.near is None else self.near * design.stages  # a mean over phases
        return Constraints(sums=tuple(self._sums(design)), losses=losses, near=near)

    def _sums(self, design: Design) -> Iterator[Sum]:
        """Shares of the whole run, whatever phase they are in, or of the phase that a name says."""
        if places := design.identity.get("places"):
            yield from bounds(columns_of(design)[: len(design.components)], places)
        for number, one in enumerate(design.components):
            most = self.most_epochs * one.tokens / design.target_tokens
            if most < 1:
                name = f"{one.name}: {self.most_epochs:g} epochs over the target, {most:.2%}"
                yield Sum(name, weights_of(design, [number]), most)
            if self._is_validated(design, number):
                name = f"{one.name}: {draws.LEAST:.2%}, so that it is validated"
                yield Sum(name, weights_of(design, [number], -1.0), -draws.LEAST)
        for field, given, sign in (("FLOORS", self.floors, -1.0), ("CEILINGS", self.ceilings, 1.0)):
            kind = field.lower().removesuffix("s")
            for key, share in given.items():
                phase, of = in_phase(key, design, field)
                where = field if of == key else f"{field}[{key!r}]"
                numbers = parts.named(of, design.components, where)
                name = f"{kind} of {key}, {share:.2%}"
                if phase is None:
                    yield Sum(name, weights_of(design, numbers, sign), sign * share)
                else:
                    yield Sum(name, *share_in(design, numbers, phase, share, sign))

    def _is_validated(self, design: Design, number: int) -> bool:
        """Whether a run must have some of a component, for its language to be measured at all."""
        small = [key for key, share in self.ceilings.items() if share < draws.LEAST]
        labels = design.components[number].labels
        return PARALLEL not in labels and not labels & set(small)

    def space(self, design: Design):
        """The shares that the linear constraints leave."""
        columns, prior_K = columns_of(design), own_shares(design)
        return space(self.constraints(design), columns, prior_K, design.stages)


def columns_of(design: Design) -> tuple[str, ...]:
    """The names of a law's columns: components, of several phases 'PHASE/COMPONENT'."""
    names = [one.name for one in design.components]
    if len(design.phases) == 1:
        return tuple(names)
    return tuple(f"{phase}/{name}" for phase in design.phases for name in names)


def weights_of(design: Design, numbers: Sequence[int], sign: float = 1.0) -> dict[str, float]:
    """Column -> what its share counts in the share of the whole run of these components."""
    counts, width = design.counts, len(design.components)
    return {
        name: sign * float(counts[column])
        for column, name in enumerate(columns_of(design))
        if column % width in numbers
    }


def in_phase(key: str, design: Design, field: str) -> tuple[int | None, str]:
    """'PHASE/NAME' -> (the phase's number, NAME); None for a name alone, which means the whole run.

    InputError for a phase that the recipe hasn't.
    """
    if "/" not in key or any(key in one.labels for one in design.components):
        return None, key
    phases = list(design.phases)
    found = [number for number, name in enumerate(phases) if key.startswith(f"{name}/")]
    if not found:
        name = key.rpartition("/")[0]
        raise InputError(
            f"{field} names {key!r}, and the recipe has no phase {name!r}.{nearest(name, phases)} "
            f"There are {', '.join(map(repr, phases))}."
        )
    number = max(found, key=lambda one: len(phases[one]))
    return number, key.removeprefix(f"{phases[number]}/")


def share_in(
    design: Design, numbers: Sequence[int], phase: int, share: float, sign: float
) -> tuple[dict[str, float], float]:
    """(weights, most) of a constraint on the share of a phase's tokens that components have.

    Where the phase's part of the run is free, its share of it is held against all of the phase.
    """
    columns, width = columns_of(design), len(design.components)
    mine = range(phase * width, (phase + 1) * width)
    weights = {columns[place]: sign * (place % width in numbers) for place in mine}
    if not design.moves:
        return {name: weight for name, weight in weights.items() if weight}, sign * share
    return {name: weight - sign * share for name, weight in weights.items()}, 0.0


def same_in_all(design: Design) -> Iterator[Sum]:
    """The constraints that all phases have the same shares; where phases may begin is the recipe's."""
    columns, width = columns_of(design), len(design.components)
    parts_K = np.repeat(design.weights, width) if design.moves else np.ones(len(columns))
    if design.moves:
        yield from _exactly(dict.fromkeys(columns[:width], 1.0), float(design.weights[0]))
    for column in range(width, len(columns)):
        same = {
            columns[column % width]: 1 / parts_K[column % width],
            columns[column]: -1 / parts_K[column],
        }
        yield from _exactly(same, 0.0)


def _exactly(weights: Mapping[str, float], value: float) -> Iterator[Sum]:
    """A weighted sum of shares that is neither more nor less; nothing is called by it."""
    yield Sum("", weights, value)
    yield Sum("", {name: -weight for name, weight in weights.items()}, -value)


def own_shares(design: Design) -> np.ndarray:
    """The recipe's own mixture [K]."""
    return design.mixtures[0].point


def whole_run(design: Design, point_K: np.ndarray) -> np.ndarray:
    """Shares of the whole run [C] of a law's point."""
    return np.reshape(design.counts * point_K, (len(design.phases), -1)).sum(axis=0)
