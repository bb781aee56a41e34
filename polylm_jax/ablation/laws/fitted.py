"""A law per measure, chosen by cross-validation, with its intervals."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import threadpoolctl

from polylm_jax.ablation.laws import conformal, folds, forms
from polylm_jax.ablation.laws.runs import Runs, check_shares
from polylm_jax.errors import InputError, nearest

CHOSEN = "chosen"


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What laws say of mixtures: the mean, and the ends of the 90 % interval of one new run."""

    mean_QM: np.ndarray
    low_QM: np.ndarray
    high_QM: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outside:
    """How far a mixture lies from the runs that laws were fitted to.

    Attributes:
      nearest: the mixture that is nearest among the runs.
      distance: Hellinger's distance to it, 0 to 1 (sqrt(stages) of several).
      usual: the same of the runs among themselves, the median: what laws are used to.
      beyond: component -> (share, lowest, highest of the runs) where it lies outside of them.
    """

    nearest: str
    distance: float
    usual: float
    beyond: Mapping[str, tuple[float, float, float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """One measure's law, and what its folds said.

    Attributes:
      name: of the measure.
      law: the name of the law that predicts.
      errors: law -> root mean square of its held-out errors, a mixture each counting the same.
      whole: the law fitted to all runs.
      without_F: the same law fitted without each fold.
      rows: which runs have the measure.
      held_out_R, scale_R: what the folds' laws predicted for the runs that they hadn't seen.
    """

    name: str
    law: str
    errors: Mapping[str, float]
    whole: forms.Law
    without_F: tuple[forms.Law, ...]
    rows: np.ndarray
    held_out_R: np.ndarray
    scale_R: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """Laws fitted to runs. runs: in an order of their own; fold_R: which part each belongs to."""

    runs: Runs
    fold_R: np.ndarray
    weight_R: np.ndarray
    measures: tuple[Measure, ...]

    def predict(self, shares_QK: np.ndarray) -> Prediction:
        """The mean and the 90 % interval of every measure for mixtures Q."""
        check_shares(shares_QK, self.runs.components, self.runs.stages)
        with threadpoolctl.threadpool_limits(1):
            ends = [self._interval(number, shares_QK) for number in range(len(self.measures))]
        return Prediction(*(np.stack(one, axis=1) for one in zip(*ends)))

    def means(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_QM alone: what an optimizer asks thousands of times."""
        with threadpoolctl.threadpool_limits(1):
            return np.stack([one.whole.predict(shares_QK)[0] for one in self.measures], axis=1)

    def _interval(self, number: int, shares_QK: np.ndarray) -> tuple[np.ndarray, ...]:
        one = self.measures[number]
        measured_R = self.runs.measured_RM[one.rows, number]
        mean_Q, _ = one.whole.predict(shares_QK)
        by_fold = [law.predict(shares_QK) for law in one.without_F]
        place_R = np.unique(self.fold_R[one.rows], return_inverse=True)[1]
        mean_QR, scale_QR = (np.stack(part)[place_R].T for part in zip(*by_fold))
        ratio_R = np.abs(measured_R - one.held_out_R) / one.scale_R
        weight_R = self.weight_R[one.rows]
        low_Q, high_Q = conformal.cv_plus(mean_QR, scale_QR, ratio_R, weight_R)
        return mean_Q, np.minimum(low_Q, mean_Q), np.maximum(high_Q, mean_Q)

    def outside(self, shares_QK: np.ndarray) -> list[Outside]:
        """How far each mixture lies from the runs."""
        roots_RK = np.sqrt(np.clip(self.runs.shares_RK, 0, None))
        among_RR = _distances(roots_RK, roots_RK)
        others = np.array(self.runs.mixtures)
        among_RR[others[:, None] == others] = np.inf
        usual = float(np.median(among_RR.min(axis=1)))
        distance_QR = _distances(np.sqrt(np.clip(shares_QK, 0, None)), roots_RK)
        return [
            Outside(self.runs.mixtures[int(row.argmin())], float(row.min()), usual, self._beyond(q))
            for row, q in zip(distance_QR, shares_QK)
        ]

    def _beyond(self, shares_K: np.ndarray) -> dict[str, tuple[float, float, float]]:
        lows, highs = self.runs.shares_RK.min(axis=0), self.runs.shares_RK.max(axis=0)
        return {
            name: (float(share), float(low), float(high))
            for name, share, low, high in zip(self.runs.components, shares_K, lows, highs)
            if not low - 1e-9 <= share <= high + 1e-9
        }

    def table(self) -> dict[str, dict]:
        """measure -> the law that was chosen and the held-out errors of all, as plain values."""
        return {one.name: {"law": one.law, "errors": dict(one.errors)} for one in self.measures}


def _distances(roots_QK: np.ndarray, roots_RK: np.ndarray) -> np.ndarray:
    """Hellinger's distance_QR."""
    return np.sqrt(((roots_QK[:, None] - roots_RK) ** 2).sum(axis=-1) / 2)


def fit(runs: Runs, law: str = CHOSEN, parts: int = folds.FOLDS) -> Fitted:
    """Laws for every measure.

    Args:
      runs: at least conformal.LEAST mixtures that have each measure.
      law: a name of forms.LAWS for all measures, or 'chosen': for each measure the one with the
        smallest held-out error.
      parts: of the cross-validation.

    Raises:
      InputError: an unknown law, too few mixtures, shares that don't sum to 1.
    """
    if law not in (CHOSEN, *forms.LAWS):
        raise InputError(
            f"law {law!r} is none: {CHOSEN}, {', '.join(forms.LAWS)}.{nearest(law, forms.LAWS)}"
        )
    runs = runs.check().in_order()
    fold_R = folds.of_mixtures(runs.mixtures, parts)
    weight_R = folds.weights(runs.mixtures)
    with threadpoolctl.threadpool_limits(1):  # the same bits on any number of cores
        measures = tuple(_measures(runs, law, fold_R, weight_R))
    return Fitted(runs, fold_R, weight_R, measures)


def _measures(runs: Runs, law: str, fold_R, weight_R) -> Iterator[Measure]:
    asked = [*forms.LAWS] if law == CHOSEN else [law]
    for number, name in enumerate(runs.measures):
        rows = np.flatnonzero(np.isfinite(runs.measured_RM[:, number]))
        there = len({runs.mixtures[row] for row in rows})
        if there < conformal.LEAST:
            raise InputError(
                f"measure {name!r}: {there} mixtures have it; a law with 90 % intervals needs "
                f"{conformal.LEAST} or more."
            )
        yield _measure(
            name, asked, runs.shares_RK[rows], runs.measured_RM[rows, number], weight_R[rows],
            fold_R[rows], tuple(runs.own.get(name, ())), rows,
        )  # fmt: skip


def _measure(name, asked, shares_RK, measured_R, weight_R, fold_R, own, rows) -> Measure:
    held_out = {law: (np.empty(len(rows)), np.empty(len(rows))) for law in asked}
    without: dict[str, list[forms.Law]] = {law: [] for law in asked}
    for fold in np.unique(fold_R):
        out = fold_R == fold
        laws = forms.fit(asked, shares_RK[~out], measured_R[~out], weight_R[~out], own)
        for law, fitted in laws.items():
            without[law].append(fitted)
            for kept, predicted in zip(held_out[law], fitted.predict(shares_RK[out])):
                kept[out] = predicted
    errors = {
        law: float(np.sqrt(weight_R @ (mean_R - measured_R) ** 2 / weight_R.sum()))
        for law, (mean_R, _) in held_out.items()
    }
    best = min(asked, key=errors.get)
    whole = forms.fit([best], shares_RK, measured_R, weight_R, own)[best]
    return Measure(name, best, errors, whole, tuple(without[best]), rows, *held_out[best])
