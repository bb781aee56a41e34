"""Laws that others use, for comparison: linear, exponential-linear, and the mean of the runs.

Exponential-linear is c + k exp(t . shares): Data Mixing Laws (arXiv 2403.16952), Olmix (2602.12237).
"""

import dataclasses

import numpy as np

from polylm_jax.ablation.laws.own_share import spread

RIDGES = np.geomspace(1e-4, 10, 11)
FLOORS = 12  # values of c that are tried


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """level + slope . shares, or floor + exp(level + slope . shares) where `floor` is a number."""

    level: float
    slope_K: np.ndarray
    error: float
    floor: float | None = None

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        line_Q = self.level + shares_QK @ self.slope_K
        mean_Q = line_Q if self.floor is None else self.floor + np.exp(line_Q)
        return mean_Q, np.full(len(shares_QK), self.error)


def constant(shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray) -> Linear:
    """The weighted mean of the runs, whatever the shares."""
    level = float(measured_R @ weight_R / weight_R.sum())
    return Linear(level, np.zeros(shares_RK.shape[1]), spread(measured_R - level))


def linear(shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray) -> Linear:
    """Ridge regression, its strength by the errors on runs left out one at a time."""
    level, slope_K, _ = _ridge(shares_RK, measured_R, weight_R)
    return Linear(level, slope_K, spread(measured_R - level - shares_RK @ slope_K))


def exponential_linear(
    shares_RK: np.ndarray, measured_R: np.ndarray, weight_R: np.ndarray
) -> Linear:
    """Ridge regression of log(measured - c) for each of some c; the best by errors left out."""
    low, high = measured_R.min(), measured_R.max()
    found = []
    for below in np.geomspace(0.02, 20, FLOORS) * max(high - low, 1e-9):
        floor = low - below
        level, slope_K, left_out_R = _ridge(shares_RK, np.log(measured_R - floor), weight_R)
        errors_R = floor + np.exp(left_out_R) - measured_R
        found.append((float(weight_R @ errors_R**2), floor, level, slope_K))
    _, floor, level, slope_K = min(found, key=lambda one: one[0])
    law = Linear(level, slope_K, 0.0, floor)
    return dataclasses.replace(law, error=spread(measured_R - law.predict(shares_RK)[0]))


def _ridge(shares_RK, values_R, weight_R) -> tuple[float, np.ndarray, np.ndarray]:
    """(level, slope_K, what each run is predicted to be when it is left out)."""
    root_R = np.sqrt(weight_R)
    mean_K = weight_R @ shares_RK / weight_R.sum()
    mean = weight_R @ values_R / weight_R.sum()
    u_RJ, size_J, v_JK = np.linalg.svd((shares_RK - mean_K) * root_R[:, None], full_matrices=False)
    target_R = (values_R - mean) * root_R
    best = None
    for strength in RIDGES:
        shrunk_J = size_J**2 / (size_J**2 + strength)
        fitted_R = u_RJ @ (shrunk_J * (u_RJ.T @ target_R))
        lever_R = (u_RJ**2) @ shrunk_J + weight_R / weight_R.sum()
        left_R = (target_R - fitted_R) / np.maximum(1 - lever_R, 1e-3)
        error = float(left_R @ left_R)
        if best is None or error < best[0]:
            inverse_J = size_J / (size_J**2 + strength)
            best = (error, v_JK.T @ (inverse_J * (u_RJ.T @ target_R)), values_R - left_R / root_R)
    _, slope_K, left_out_R = best
    return float(mean - mean_K @ slope_K), slope_K, left_out_R
