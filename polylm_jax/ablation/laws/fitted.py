"""A law per measure, chosen by cross-validation, with its intervals."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import threadpoolctl

from polylm_jax.ablation.laws import conformal, folds, forms, held_out
from polylm_jax.ablation.laws.held_out import Data, HeldOut
from polylm_jax.ablation.laws.outside import Outside, outside
from polylm_jax.ablation.laws.runs import Runs, check_shares
from polylm_jax.errors import InputError, one_of

CHOSEN = "chosen"


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What laws say of mixtures: the mean, and the ends of the 90 % interval of one new run."""

    mean_QM: np.ndarray
    low_QM: np.ndarray
    high_QM: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """One measure's law, and what cross-validation said.

    Attributes:
      name: of the measure.
      law: the name of the law that predicts.
      errors: law -> root mean square of its held-out errors, every mixture counting the same.
      whole: the law fitted to all runs.
      validated: every law that was tried, fold by fold.
      data: what it was fitted to.
    """

    name: str
    law: str
    errors: Mapping[str, float]
    whole: forms.Law
    validated: Mapping[str, HeldOut]
    data: Data

    @property
    def held_out(self) -> HeldOut:
        """The law that predicts, fold by fold."""
        return self.validated[self.law]

    def interval(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(mean_Q, low_Q, high_Q)."""
        held = self.held_out
        by_fold = [law.predict(shares_QK) for law in held.without_F]
        mean_QR, scale_QR = (np.stack(part)[held.fold_R].T for part in zip(*by_fold))
        ratio_R = np.abs(held.error_R) / held.scale_R
        low_Q, high_Q = conformal.cv_plus(mean_QR, scale_QR, ratio_R, self.data.weight_R)
        mean_Q = self.whole.mean(shares_QK)
        return mean_Q, np.minimum(low_Q, mean_Q), np.maximum(high_Q, mean_Q)


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """Laws fitted to runs. runs: in an order of their own; weight_R: a mixture's sum to 1."""

    runs: Runs
    weight_R: np.ndarray
    measures: tuple[Measure, ...]

    def predict(self, shares_QK: np.ndarray) -> Prediction:
        """The mean and the 90 % interval of every measure for mixtures Q."""
        check_shares(shares_QK, self.runs.components, self.runs.stages)
        with threadpoolctl.threadpool_limits(1):
            ends = [one.interval(shares_QK) for one in self.measures]
        return Prediction(*(np.stack(one, axis=1) for one in zip(*ends)))

    def means(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_QM alone, unchecked: what a search asks thousands of times."""
        return np.stack([one.whole.mean(shares_QK) for one in self.measures], axis=1)

    def outside(self, shares_QK: np.ndarray) -> list[Outside]:
        """How far each mixture lies from the runs."""
        return outside(self.runs, shares_QK)

    def by(self, law: str) -> "Fitted":
        """The same runs, every measure predicted by this law, which must have been validated."""
        measures = (
            one if one.law == law else _measure(one.name, one.data, one.validated, law)
            for one in self.measures
        )  # fmt: skip
        return dataclasses.replace(self, measures=tuple(measures))

    def table(self) -> dict[str, dict]:
        """measure -> the law that was chosen and the held-out errors of all, as plain values."""
        return {one.name: {"law": one.law, "errors": dict(one.errors)} for one in self.measures}


def check_law(law: str, field: str = "law") -> str:
    """Itself, or InputError, naming the field, where it is neither a law nor 'chosen'."""
    return one_of(field, law, (CHOSEN, *forms.LAWS))


def fit(
    runs: Runs, law: str = CHOSEN, parts: int = folds.FOLDS, beside: Iterable[str] = ()
) -> Fitted:
    """Laws for every measure.

    Args:
      runs: at least conformal.LEAST mixtures that have each measure.
      law: a name of forms.LAWS for all measures, or 'chosen': one of forms.CANDIDATES by
        held-out errors (held_out.choose); the errors of all are kept.
      parts: of the cross-validation.
      beside: laws that are validated too, so that their errors and predictions stand beside.

    Raises:
      InputError: an unknown law, too few mixtures, shares that don't sum to 1.
    """
    check_law(law)
    runs = runs.check().in_order()
    among = forms.CANDIDATES if law == CHOSEN else (law,)
    also = {*among, *(forms.LAWS if law == CHOSEN else beside)}
    asked = [name for name in forms.LAWS if name in also]
    weight_R = folds.weights(runs.mixtures)
    with threadpoolctl.threadpool_limits(1):  # the same bits on any number of cores
        data = _data(runs, folds.of_mixtures(runs.mixtures, parts))
        found = [held_out.validate(one, asked) for one in data]
        chosen = held_out.choose(found, [one.weight_R for one in data], among)
        measures = tuple(map(_measure, runs.measures, data, found, chosen))
    return Fitted(runs, weight_R, measures)


def _data(runs: Runs, fold_R: np.ndarray) -> list[Data]:
    """What each measure's laws are fitted to; InputError where too few mixtures have it."""
    found = []
    for name, measured_R in zip(runs.measures, runs.measured_RM.T):
        rows = np.flatnonzero(np.isfinite(measured_R))
        mixtures = [runs.mixtures[row] for row in rows]
        there = len(set(mixtures))
        if there < conformal.LEAST:
            raise InputError(
                f"measure {name!r}: {there} mixtures have it; a law with 90 % intervals needs "
                f"{conformal.LEAST} or more."
            )
        places_R = np.unique(fold_R[rows], return_inverse=True)[1]
        found.append(
            Data(
                rows,
                runs.shares_RK[rows],
                measured_R[rows],
                folds.weights(mixtures),
                places_R,
                tuple(runs.own.get(name, ())),
            )
        )
    return found


def _measure(name: str, data: Data, found: Mapping[str, HeldOut], chosen: str) -> Measure:
    """A measure's law of those that were validated, fitted to all runs."""
    errors = {law: one.root_mean_square(data.weight_R) for law, one in found.items()}
    return Measure(name, chosen, errors, data.fit([chosen])[chosen], found, data)
