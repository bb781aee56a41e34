"""What laws are fitted to: the shares of runs and what was measured of them."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from polylm_jax.errors import InputError

SUM = 1e-3  # how far from 1 the shares of a stage may lie: published shares are rounded


@dataclasses.dataclass(frozen=True, eq=False)
class Runs:
    """Runs at one budget, each one point of shares and one row of numbers.

    Attributes:
      shares_RK: shares of tokens. Of several stages, all stages' shares side by side, a stage's
        components together; each stage sums to 1.
      measured_RM: losses or bits per byte, smaller is better (scores of tasks: their negative);
        NaN where a run has no such number.
      mixtures: for each run which mixture it trained; seeds of one mixture share a name.
      components: the names of the K columns, each once ('th', or 'stage2/th').
      measures: the names of the M columns.
      own: measure -> columns of shares that are its own, such as its language's components; a
        measure that isn't named has none.
      stages: how many stages stand side by side.
    """

    shares_RK: np.ndarray
    measured_RM: np.ndarray
    mixtures: tuple[str, ...]
    components: tuple[str, ...]
    measures: tuple[str, ...]
    own: Mapping[str, tuple[int, ...]]
    stages: int = 1

    def check(self) -> "Runs":
        """Itself, or InputError: shapes that don't fit, shares that don't sum to 1, no number."""
        runs, measures = len(self.mixtures), len(self.measures)
        if self.shares_RK.shape != (runs, len(self.components)):
            raise InputError(
                f"shares of {self.shares_RK.shape} for {runs} runs and {len(self.components)} "
                "components: give a row for each run and a column for each component."
            )
        if self.measured_RM.shape != (runs, measures):
            raise InputError(
                f"measured of {self.measured_RM.shape} for {runs} runs and {measures} measures: "
                "give a row for each run and a column for each measure."
            )
        check_shares(self.shares_RK, self.components, self.stages)
        for measure, values_R in zip(self.measures, self.measured_RM.T):
            if not np.isfinite(values_R).any():
                raise InputError(f"measure {measure!r}: no run has it; take it out, or measure it.")
        return self

    def in_order(self) -> "Runs":
        """The same runs in an order of their own, so that what is fitted doesn't hang on theirs."""
        keys = zip(self.shares_RK.tolist(), self.mixtures, np.nan_to_num(self.measured_RM).tolist())
        order = [number for number, _ in sorted(enumerate(keys), key=lambda pair: pair[1])]
        return dataclasses.replace(
            self,
            shares_RK=np.ascontiguousarray(self.shares_RK[order], float),
            measured_RM=np.ascontiguousarray(self.measured_RM[order], float),
            mixtures=tuple(self.mixtures[number] for number in order),
        )


def check_shares(shares_QK: np.ndarray, components: tuple[str, ...], stages: int = 1) -> None:
    """Raises InputError where shares are negative, or a stage's don't sum to 1."""
    if shares_QK.ndim != 2 or shares_QK.shape[1] != len(components):
        raise InputError(f"shares of {shares_QK.shape} for the {len(components)} components.")
    for number, row in enumerate(shares_QK):
        sums = row.reshape(stages, -1).sum(axis=1)
        if not (np.isfinite(row).all() and (row >= -SUM).all() and (abs(sums - 1) <= SUM).all()):
            listed = ", ".join(f"{name} {share:.4g}" for name, share in zip(components, row))
            raise InputError(
                f"shares of mixture {number}: {listed} sum to "
                f"{', '.join(f'{one:.4f}' for one in sums)}; give shares of 0 or more that sum to 1."
            )
