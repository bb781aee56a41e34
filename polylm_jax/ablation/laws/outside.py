"""How far a mixture lies from the runs that laws were fitted to."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from polylm_jax.ablation.laws.runs import Runs
from polylm_jax.ablation.laws.smooth import roots


@dataclasses.dataclass(frozen=True)
class Outside:
    """Where one mixture lies.

    Attributes:
      nearest: the mixture that is nearest among the runs.
      distance: Hellinger's distance to it, 0 to 1 (sqrt(stages) of several).
      usual: the same of the runs' mixtures among themselves, the median: what laws are used to.
      beyond: component -> (share, lowest, highest of the runs) where it lies outside of them.
    """

    nearest: str
    distance: float
    usual: float
    beyond: Mapping[str, tuple[float, float, float]]


def outside(runs: Runs, shares_QK: np.ndarray) -> list[Outside]:
    """Of each mixture Q."""
    roots_RK = roots(runs.shares_RK)
    among_RR = _distances(roots_RK, roots_RK)
    names = np.array(runs.mixtures)
    among_RR[names[:, None] == names] = np.inf
    usual = float(np.median(among_RR.min(axis=1)))
    distance_QR = _distances(roots(shares_QK), roots_RK)
    return [
        Outside(runs.mixtures[int(row.argmin())], float(row.min()), usual, _beyond(runs, shares_K))
        for row, shares_K in zip(distance_QR, shares_QK)
    ]


def _beyond(runs: Runs, shares_K: np.ndarray) -> dict[str, tuple[float, float, float]]:
    lows, highs = runs.shares_RK.min(axis=0), runs.shares_RK.max(axis=0)
    return {
        name: (float(share), float(low), float(high))
        for name, share, low, high in zip(runs.components, shares_K, lows, highs)
        if not low - 1e-9 <= share <= high + 1e-9
    }


def _distances(roots_QK: np.ndarray, roots_RK: np.ndarray) -> np.ndarray:
    """Hellinger's distance_QR."""
    return np.sqrt(((roots_QK[:, None] - roots_RK) ** 2).sum(axis=-1) / 2)
