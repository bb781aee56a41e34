"""Cross-validation: every law of one measure, asked for the mixtures that it wasn't fitted to."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.ablation.laws import forms


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """One law of one measure, fold by fold.

    Attributes:
      without_F: the law fitted without each fold.
      fold_R: the place in `without_F` of the law that hadn't seen a run.
      mean_R, scale_R: what that one predicted for it.
      error_R: what was measured less that.
    """

    without_F: tuple[forms.Law, ...]
    fold_R: np.ndarray
    mean_R: np.ndarray
    scale_R: np.ndarray
    error_R: np.ndarray

    def root_mean_square(self, weight_R: np.ndarray) -> float:
        """Of the errors, in the measure's unit."""
        return float(np.sqrt(weight_R @ self.error_R**2 / weight_R.sum()))


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """What one measure's laws are fitted to: the runs that have it.

    Attributes:
      rows: which runs.
      fold_R: the parts that are held out together, from 0 on, gaps left out.
      own: the columns of shares that are the measure's own.
    """

    rows: np.ndarray
    shares_RK: np.ndarray
    measured_R: np.ndarray
    weight_R: np.ndarray
    fold_R: np.ndarray
    own: tuple[int, ...]

    def fit(self, laws: Sequence[str], kept: np.ndarray | slice = slice(None)) -> dict:
        """name -> law, of the runs that are kept."""
        return forms.fit(
            laws, self.shares_RK[kept], self.measured_R[kept], self.weight_R[kept], self.own
        )


def validate(data: Data, laws: Sequence[str]) -> dict[str, HeldOut]:
    """law -> what it predicted where it couldn't look."""
    without = [data.fit(laws, data.fold_R != fold) for fold in range(data.fold_R.max() + 1)]
    return {name: _of(data, tuple(fitted[name] for fitted in without)) for name in laws}


def _of(data: Data, without_F: tuple[forms.Law, ...]) -> HeldOut:
    mean_R, scale_R = np.empty(len(data.rows)), np.empty(len(data.rows))
    for fold, law in enumerate(without_F):
        out = data.fold_R == fold
        mean_R[out], scale_R[out] = law.predict(data.shares_RK[out])
    return HeldOut(without_F, data.fold_R, mean_R, scale_R, data.measured_R - mean_R)


def choose(
    found: Sequence[Mapping[str, HeldOut]], weights: Sequence[np.ndarray], laws: Sequence[str]
) -> list[str]:
    """A law for each measure.

    The one with the smallest errors over all measures, as their geometric mean, unless a measure
    speaks for another: with squared errors that are smaller by more than one standard error. Few
    runs say too little of one measure to choose for it alone.

    Args:
      found: for each measure, law -> its held-out errors.
      weights: for each measure, weight_R.
      laws: the names, of equals the first wins.
    """

    def over_all(law: str) -> float:
        return sum(np.log(one[law].root_mean_square(w) + 1e-12) for one, w in zip(found, weights))

    usual = min(laws, key=over_all)
    return [_departure(one, w, usual, laws) for one, w in zip(found, weights)]


def _departure(
    one: Mapping[str, HeldOut], weight_R: np.ndarray, usual: str, laws: Sequence[str]
) -> str:
    best = min(laws, key=lambda law: one[law].root_mean_square(weight_R))
    gain_R = one[usual].error_R ** 2 - one[best].error_R ** 2
    total = weight_R.sum()
    mean = weight_R @ gain_R / total
    variance = weight_R @ (gain_R - mean) ** 2 / total
    return best if mean > np.sqrt(variance / max(total - 1, 1)) else usual
