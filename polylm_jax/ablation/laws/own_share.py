"""Loss as a power of the share of a measure's own components: c + a (share + e)^-b.

What a language's loss hangs on most is how much of its own text was read. c and a are solved for in
closed form, e and b searched on a grid that is refined about its best place: no start to choose, no
fit that doesn't converge, and a share of 0 is a share. Where a measure has several components of its
own, two stages or parallel text beside its own, what a share of each counts is fitted with them.

What is left is larger where the own share is small, since other text then matters more: errors are
measured against a scale that falls with the share.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

HUBER = 2.0  # standard deviations from which on an error counts by its size, not its square
EASE = (1e-4, 1.0)  # e, where the curve flattens towards a share of 0
POWER = (0.05, 3.0)  # b; the smallest is a logarithm
GRID, REFINED, ROUNDS = 13, 4, 3
COUNTS = (0.02, 50.0)  # what a share of one own component may count beside another's
USUAL_COUNT = 3.0  # up to such a factor between them is no surprise
FADE = (-0.4, 0.3)  # the scale's power, and how sure: of RegMix's losses at 1M parameters
FADE_EASE = 0.01


@dataclasses.dataclass(frozen=True)
class Scale:
    """What errors are measured against: size ((share + ease) / middle)^power."""

    size: float
    ease: float
    middle: float
    power: float

    def at(self, share_Q: np.ndarray) -> np.ndarray:
        """scale_Q."""
        return self.size * ((share_Q + self.ease) / self.middle) ** self.power


@dataclasses.dataclass(frozen=True)
class OwnShare:
    """A fitted curve.

    Attributes:
      floor, gain: c and a; a >= 0, more of one's own text never hurts.
      ease, power: e and b.
      own: columns of the shares.
      counts: what a share of each of them counts.
      scale: of the errors.
    """

    floor: float
    gain: float
    ease: float
    power: float
    own: tuple[int, ...]
    counts: tuple[float, ...]
    scale: Scale

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        return self.mean(shares_QK), self.scale.at(self._share(shares_QK))

    def mean(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_Q."""
        return self.floor + self.gain * curve(self._share(shares_QK), self.ease, self.power)

    def between(self, first_QK: np.ndarray, second_QK: np.ndarray) -> np.ndarray:
        """scale_Q of the difference between mixtures whose errors have nothing in common."""
        return np.hypot(self.predict(first_QK)[1], self.predict(second_QK)[1])

    def _share(self, shares_QK: np.ndarray) -> np.ndarray:
        return np.clip(shares_QK[:, list(self.own)], 0, None) @ np.array(self.counts)


def curve(share_Q: np.ndarray, ease: np.ndarray | float, power: np.ndarray | float) -> np.ndarray:
    """1 at a share of 1, larger the smaller the share."""
    return ((share_Q + ease) / (1 + ease)) ** -power


def fit(
    shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray, own: Sequence[int]
) -> OwnShare:
    """The curve with the smallest weighted Huber loss; without own columns, a flat one."""
    own_RJ: np.ndarray = np.clip(shares_RK[:, list(own)], 0, None)
    count_J = np.ones(len(own))
    robust_R = weight_R
    for _ in range(ROUNDS):
        share_R = own_RJ @ count_J
        place, floor, gain = _search(share_R, measured_R, robust_R)
        if len(own) > 1:
            count_J = _counts(own_RJ, count_J, measured_R, robust_R, place)
            share_R = own_RJ @ count_J
            place, floor, gain = _search(share_R, measured_R, robust_R)
        left_R = measured_R - floor - gain * curve(share_R, *place)
        scale = _scale(share_R, left_R, weight_R, place[0])
        far_R = np.abs(left_R) / (HUBER * scale.at(share_R))
        robust_R = weight_R / np.maximum(far_R, 1)
    return OwnShare(floor, gain, *place, tuple(own), tuple(count_J.tolist()), scale)


def spread(left_R: np.ndarray) -> float:
    """The standard deviation by the median absolute error, never 0."""
    return max(1.4826 * float(np.median(np.abs(left_R))), 1e-9)


def _scale(share_R, left_R, weight_R, ease: float) -> Scale:
    """The likeliest power under its prior, of errors that are normal about the curve."""
    ease = max(ease, FADE_EASE)
    log_R = np.log(share_R + ease)
    middle = weight_R @ log_R / weight_R.sum()
    powers_G = np.linspace(-1.5, 0.5, 41)
    shape_GR = np.exp(powers_G[:, None] * (log_R - middle))
    size_G = np.maximum((left_R / shape_GR) ** 2 @ weight_R / weight_R.sum(), 1e-18)
    unlikely_G = 0.5 * weight_R.sum() * np.log(size_G) + ((powers_G - FADE[0]) / FADE[1]) ** 2 / 2
    at = int(np.argmin(unlikely_G))
    size = spread(left_R / shape_GR[at])
    return Scale(size, ease, float(np.exp(middle)), float(powers_G[at]))


def _search(share_R, measured_R, weight_R) -> tuple[tuple[float, float], float, float]:
    """((e, b), c, a) of least squares."""
    lows, highs = np.log(EASE), np.log(POWER)
    eases = np.linspace(lows[0], lows[1], GRID)
    powers = np.linspace(highs[0], highs[1], GRID)
    for _ in range(REFINED):
        ease_G, power_G = (one.ravel() for one in np.meshgrid(eases, powers))
        curve_GR = curve(share_R, np.exp(ease_G)[:, None], np.exp(power_G)[:, None])
        error_G, floor_G, gain_G = _solve(curve_GR, measured_R, weight_R)
        at = int(np.argmin(error_G))
        eases = _around(ease_G[at], eases, lows)
        powers = _around(power_G[at], powers, highs)
    place = float(np.exp(ease_G[at])), float(np.exp(power_G[at]))
    return place, float(floor_G[at]), float(gain_G[at])


def _around(best: float, places: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """As many places, within one step of the best."""
    step = places[1] - places[0]
    return np.linspace(max(best - step, ends[0]), min(best + step, ends[1]), GRID)


def _counts(own_RJ, count_J, measured_R, weight_R, place) -> np.ndarray:
    """What a share of each own column counts, one after the other; as a mean of 1."""
    tried_G = np.geomspace(*COUNTS, 4 * GRID)
    count_J = count_J.copy()
    for _ in range(ROUNDS):
        for column in range(len(count_J)):
            rest_J = np.where(np.arange(len(count_J)) == column, 0.0, count_J)
            share_GR = own_RJ @ rest_J + tried_G[:, None] * own_RJ[:, column]
            error_G, _, _ = _solve(curve(share_GR, *place), measured_R, weight_R)
            surprise_G = 0.5 * (np.log(tried_G) / np.log(USUAL_COUNT)) ** 2
            fit_G = 0.5 * weight_R.sum() * np.log(np.maximum(error_G, 1e-18))
            count_J[column] = tried_G[int(np.argmin(fit_G + surprise_G))]
    return count_J / np.exp(np.log(count_J).mean())


def _solve(curve_GR, measured_R, weight_R) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(squared error_G, floor_G, gain_G): weighted least squares on each curve, gain >= 0."""
    total = weight_R.sum()
    mean_G, mean = curve_GR @ weight_R / total, measured_R @ weight_R / total
    curve_GR = curve_GR - mean_G[:, None]
    varied_G = (curve_GR**2) @ weight_R
    with np.errstate(invalid="ignore", divide="ignore"):
        gain_G = curve_GR @ (weight_R * (measured_R - mean)) / varied_G
    gain_G = np.where(varied_G > 1e-12, np.clip(gain_G, 0, None), 0.0)
    left_GR = (measured_R - mean) - gain_G[:, None] * curve_GR
    return (left_GR**2) @ weight_R, mean - gain_G * mean_G, gain_G
