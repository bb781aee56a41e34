"""A Gaussian process on square roots of the shares, over what a measure's own share leaves.

What else moves a language's loss, its relatives, its scripts, the text that it lends its words
from, is a smooth function of the whole mixture that few runs can only hint at. The process says
as much as the runs bear out and goes back to the curve of the own share where there are none; its
own standard deviation is the scale of its intervals. Square roots, because a share that goes from
0 to 1 % does more than one that goes from 50 to 51 %.
"""

import dataclasses
import warnings
from typing import TYPE_CHECKING

import numpy as np

from polylm_jax.ablation.laws.own_share import OwnShare

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

LEARNT_FROM = 200  # runs: the time goes by their cube, and more hardly move the kernel's numbers


@dataclasses.dataclass(frozen=True, eq=False)
class Smooth:
    """The own share's curve and a process over what it leaves.

    Attributes:
      own: the curve.
      process: scikit-learn's regressor, fitted on errors divided by the curve's scale.
      part: how much of the process's mean is added: 1, or 0.5 for the mean of both laws.
    """

    own: OwnShare
    process: "GaussianProcessRegressor"
    part: float = 1.0

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        mean_Q, scale_Q = self.own.predict(shares_QK)
        left_Q, std_Q = self.process.predict(roots(shares_QK), return_std=True)
        return mean_Q + self.part * scale_Q * left_Q, scale_Q * std_Q

    def mean(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_Q alone: the standard deviation is most of the work."""
        mean_Q, scale_Q = self.own.predict(shares_QK)
        return mean_Q + self.part * scale_Q * self.process.predict(roots(shares_QK))

    def between(self, first_QK: np.ndarray, second_QK: np.ndarray) -> np.ndarray:
        """scale_Q of the difference: what mixtures near one another have wrong, both have wrong."""
        both_QK = np.vstack([first_QK, second_QK])
        _, scale_Q = self.own.predict(both_QK)
        _, cov_QQ = self.process.predict(roots(both_QK), return_cov=True)
        cov_QQ = cov_QQ * scale_Q[:, None] * scale_Q
        here, there = np.arange(len(first_QK)), np.arange(len(first_QK), len(both_QK))
        return np.sqrt(cov_QQ[here, here] + cov_QQ[there, there] - 2 * cov_QQ[here, there])


def roots(shares_QK: np.ndarray) -> np.ndarray:
    """Square roots of the shares: Hellinger's distance between mixtures is Euclid's between these."""
    return np.sqrt(np.clip(shares_QK, 0, None))


def fit(shares_RK: np.ndarray, measured_R: np.ndarray, own: OwnShare) -> Smooth:
    """The process whose length, size and noise make the errors of `own` most likely."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    mean_R, scale_R = own.predict(shares_RK)
    left_R = (measured_R - mean_R) / scale_R
    size = max(float(np.mean(left_R**2)), 1e-3)
    kernel = ConstantKernel(size, (1e-3 * size, 1e2 * size)) * Matern(0.7, (0.1, 10.0), nu=2.5)
    kernel += WhiteKernel(0.1 * size, (1e-4 * size, 2.0 * size))
    roots_RK = roots(shares_RK)
    some = np.unique(np.linspace(0, len(left_R) - 1, LEARNT_FROM).round().astype(int))
    process = GaussianProcessRegressor(kernel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound is an answer: nothing to be seen
        process.fit(roots_RK[some], left_R[some])
    if len(some) < len(left_R):
        process = GaussianProcessRegressor(process.kernel_, optimizer=None)
        process.fit(roots_RK, left_R)
    return Smooth(own, process)
