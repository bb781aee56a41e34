"""What a proposal minimises: one number of all measures of a mixture."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.errors import InputError, nearest, one_of

KINDS = ("mean", "weighted", "worst")


@dataclasses.dataclass(frozen=True)
class Objective:
    """One number of a mixture's measures, smaller is better.

    Attributes:
      kind: 'mean' of the measures, 'weighted' mean, or 'worst': the largest difference to the
        reference's. Scores of tasks stand among the measures as their negative, so that the mean
        of them is the negative mean of scores.
      measures: which; none means all.
      weights: for 'weighted', measure -> weight of 0 or more; a measure that isn't named has 0.
      reference: for 'worst', measure -> the value to compare with.
    """

    kind: str = "mean"
    measures: tuple[str, ...] = ()
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reference: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def check(self, measures: Sequence[str]) -> "Objective":
        """Itself, or InputError: an unknown kind or measure, weights or references that lack."""
        one_of("objective", self.kind, KINDS)
        for name in (*self.measures, *self.weights, *self.reference):
            if name not in measures:
                raise InputError(
                    f"objective: no run has the measure {name!r}.{nearest(name, measures)}"
                )
        if self.kind == "weighted" and not (
            min(self.weights.values(), default=-1) >= 0 and sum(self.weights.values()) > 0
        ):
            raise InputError(
                f"objective: weights = {dict(self.weights)}; give weights of 0 or more, not all 0."
            )
        lacking = [n for n in self.names(measures) if n not in self.reference]
        if self.kind == "worst" and lacking:
            raise InputError(f"objective: no reference for {', '.join(lacking)}; give its value.")
        return self

    def names(self, measures: Sequence[str]) -> list[str]:
        """The measures that count, in the order of `measures`."""
        asked = self.measures or (tuple(self.weights) if self.kind == "weighted" else measures)
        return [name for name in measures if name in asked]

    def columns(self, measures: Sequence[str]) -> list[int]:
        """Where they stand."""
        return [list(measures).index(name) for name in self.names(measures)]

    def parts(self, values_QM: np.ndarray, measures: Sequence[str]) -> np.ndarray:
        """part_QJ, of which the value is the sum ('worst': the largest)."""
        names = self.names(measures)
        values_QJ = values_QM[:, self.columns(measures)]
        if self.kind == "worst":
            return values_QJ - np.array([self.reference[name] for name in names])
        weight_J = np.array([self.weights.get(n, 0.0) for n in names], float)
        weight_J = weight_J if self.kind == "weighted" else np.ones(len(names))
        return values_QJ * weight_J / weight_J.sum()

    def value(self, values_QM: np.ndarray, measures: Sequence[str]) -> np.ndarray:
        """value_Q; NaN where a measure that counts is."""
        part_QJ = self.parts(values_QM, measures)
        return part_QJ.max(axis=1) if self.kind == "worst" else part_QJ.sum(axis=1)
