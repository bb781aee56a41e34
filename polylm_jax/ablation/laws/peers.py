"""Laws that others use, for comparison: linear, exponential-linear, and the mean of the runs.

Exponential-linear is c + k exp(t . shares): Data Mixing Laws (arXiv 2403.16952), Olmix (2602.12237).
"""

import dataclasses

import numpy as np

from polylm_jax.ablation.laws.own_share import spread

RIDGES = np.geomspace(1e-4, 10, 11)
START_BELOW, START_RIDGE = 0.05, 1e-2  # of the range: where c starts; of the line's first fit
PULL = 0.005  # towards equal t: the smallest that keeps as many shares as runs from running away
ROUGH = 0.05  # of the range: errors count by their size, not their square, from here on
STEPS = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """level + slope . shares, or floor + exp(level + slope . shares) where `floor` is a number."""

    level: float
    slope_K: np.ndarray
    error: float
    floor: float | None = None

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        return self.mean(shares_QK), np.full(len(shares_QK), self.error)

    def mean(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_Q."""
        line_Q = self.level + shares_QK @ self.slope_K
        return line_Q if self.floor is None else self.floor + np.exp(line_Q)

    def between(self, first_QK: np.ndarray, second_QK: np.ndarray) -> np.ndarray:
        """scale_Q of the difference between mixtures whose errors have nothing in common."""
        return np.hypot(self.predict(first_QK)[1], self.predict(second_QK)[1])


def constant(shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray) -> Linear:
    """The weighted mean of the runs, whatever the shares."""
    level = float(measured_R @ weight_R / weight_R.sum())
    return Linear(level, np.zeros(shares_RK.shape[1]), spread(measured_R - level))


def linear(shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray) -> Linear:
    """Ridge regression, its strength by the errors on runs left out one at a time."""
    level, slope_K = _ridge(shares_RK, measured_R, weight_R, RIDGES)
    return Linear(level, slope_K, spread(measured_R - level - shares_RK @ slope_K))


def exponential_linear(
    shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray
) -> Linear:
    """Robust least squares from the line through log(measured - c)."""
    from scipy import optimize

    width = shares_RK.shape[1]
    size = max(float(np.ptp(measured_R)), 1e-9)
    floor = measured_R.min() - START_BELOW * size
    level, slope_K = _ridge(shares_RK, np.log(measured_R - floor), weight_R, [START_RIDGE])
    root_R = np.sqrt(weight_R) / size
    centred_KK = PULL * (np.eye(width) - 1 / width)

    def exponential(place: np.ndarray) -> np.ndarray:
        return np.exp(np.clip(shares_RK @ place[1:], -30, 6 + np.log(size)))

    def errors(place: np.ndarray) -> np.ndarray:
        left_R = place[0] + exponential(place) - measured_R
        return np.concatenate([root_R * left_R, centred_KK @ place[1:]])

    def slopes(place: np.ndarray) -> np.ndarray:
        above_RK = (root_R * exponential(place))[:, None] * shares_RK
        rows_RP = np.column_stack([root_R, above_RK])
        return np.vstack([rows_RP, np.column_stack([np.zeros(width), centred_KK])])

    start = np.concatenate([[floor], slope_K + level])  # shares sum to 1: the level goes into t
    found = optimize.least_squares(
        errors, start, slopes, loss="soft_l1", f_scale=ROUGH, max_nfev=STEPS
    ).x
    law = Linear(0.0, found[1:], 0.0, float(found[0]))
    return dataclasses.replace(law, error=spread(measured_R - law.mean(shares_RK)))


def _ridge(shares_RK, values_R, weight_R, strengths) -> tuple[float, np.ndarray]:
    """(level, slope_K) of the strength with the smallest errors on runs left out one at a time."""
    root_R = np.sqrt(weight_R)
    mean_K = weight_R @ shares_RK / weight_R.sum()
    mean = weight_R @ values_R / weight_R.sum()
    u_RJ, size_J, v_JK = np.linalg.svd((shares_RK - mean_K) * root_R[:, None], full_matrices=False)
    target_R = (values_R - mean) * root_R
    found = []
    for strength in strengths:
        shrunk_J = size_J**2 / (size_J**2 + strength)
        lever_R = (u_RJ**2) @ shrunk_J + weight_R / weight_R.sum()
        left_R = (target_R - u_RJ @ (shrunk_J * (u_RJ.T @ target_R))) / np.maximum(
            1 - lever_R, 0.05
        )
        found.append((float(left_R @ left_R), strength))
    strength = min(found)[1]
    slope_K = v_JK.T @ (size_J / (size_J**2 + strength) * (u_RJ.T @ target_R))
    return float(mean - mean_K @ slope_K), slope_K
