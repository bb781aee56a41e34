"""Loss as a power of the share of a measure's own components: c + a (share + e)^-b.

What a language's loss hangs on most is how much of its own text was read. Four numbers, of which a
and c are solved for in closed form and the other two searched on a grid that is refined about its
best place: no start to choose, no fit that doesn't converge, and a share of 0 is a share.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

HUBER = 2.0  # standard deviations from which on an error counts by its size, not its square
EASE = (1e-4, 1.0)  # e, where the curve flattens towards a share of 0
POWER = (0.05, 3.0)  # b; the smallest is a logarithm
GRID, REFINED, REWEIGHTED = 13, 4, 3


@dataclasses.dataclass(frozen=True)
class OwnShare:
    """A fitted curve.

    Attributes:
      floor, gain: c and a; a >= 0, more of one's own text never hurts.
      ease, power: e and b.
      own: columns of the shares.
      weights: what a share of each of them counts; they sum to 1 for a column alone.
      error: the standard deviation of what is left, robustly.
    """

    floor: float
    gain: float
    ease: float
    power: float
    own: tuple[int, ...]
    error: float

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        mean_Q = self.floor + self.gain * curve(
            own_share(shares_QK, self.own), self.ease, self.power
        )
        return mean_Q, np.full(len(shares_QK), self.error)


def own_share(shares_QK: np.ndarray, own: Sequence[int]) -> np.ndarray:
    """share_Q."""
    return np.clip(shares_QK[:, list(own)], 0, None).sum(axis=1)


def curve(share_Q: np.ndarray, ease: np.ndarray, power: np.ndarray) -> np.ndarray:
    """1 at a share of 1, larger the smaller the share."""
    return ((share_Q + ease) / (1 + ease)) ** -power


def fit(shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray, own) -> OwnShare:
    """The curve with the smallest weighted Huber loss; without own columns, a flat one."""
    share_R = own_share(shares_RK, own)
    robust_R = weight_R
    best = (np.nan, np.nan)
    for _ in range(REWEIGHTED):
        best, floor, gain = _search(share_R, measured_R, robust_R)
        left_R = measured_R - floor - gain * curve(share_R, *best)
        error = spread(left_R)
        far_R = np.abs(left_R) / max(HUBER * error, 1e-12)
        robust_R = weight_R / np.maximum(far_R, 1)
    return OwnShare(floor, gain, *best, own=tuple(own), error=error)


def spread(left_R: np.ndarray) -> float:
    """The standard deviation by the median absolute error, never 0."""
    return max(1.4826 * float(np.median(np.abs(left_R))), 1e-9)


def _search(share_R, measured_R, weight_R) -> tuple[tuple[float, float], float, float]:
    """((e, b), c, a) of least squares."""
    lows, highs = np.log(EASE), np.log(POWER)
    eases, powers = np.linspace(*lows, GRID), np.linspace(*highs, GRID)
    for _ in range(REFINED):
        ease_G, power_G = (one.ravel() for one in np.meshgrid(eases, powers))
        error_G, floor_G, gain_G = _solve(
            share_R, measured_R, weight_R, np.exp(ease_G), np.exp(power_G)
        )
        at = int(np.argmin(error_G))
        eases = _around(ease_G[at], eases, lows)
        powers = _around(power_G[at], powers, highs)
    place = float(np.exp(ease_G[at])), float(np.exp(power_G[at]))
    return place, float(floor_G[at]), float(gain_G[at])


def _around(best: float, places: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """As many places, within one step of the best."""
    step = places[1] - places[0]
    return np.linspace(max(best - step, ends[0]), min(best + step, ends[1]), GRID)


def _solve(share_R, measured_R, weight_R, ease_G, power_G):
    """(squared error_G, floor_G, gain_G): weighted least squares on each curve, gain >= 0."""
    curve_GR = curve(share_R, ease_G[:, None], power_G[:, None])
    total = weight_R.sum()
    mean_G, mean = curve_GR @ weight_R / total, measured_R @ weight_R / total
    curve_GR = curve_GR - mean_G[:, None]
    varied_G = (curve_GR**2) @ weight_R
    with np.errstate(invalid="ignore", divide="ignore"):
        gain_G = curve_GR @ (weight_R * (measured_R - mean)) / varied_G
    gain_G = np.where(varied_G > 1e-12, np.clip(gain_G, 0, None), 0.0)
    left_GR = (measured_R - mean) - gain_G[:, None] * curve_GR
    return (left_GR**2) @ weight_R, mean - gain_G * mean_G, gain_G
