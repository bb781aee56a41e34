"""A Gaussian process on square roots of the shares, over what a measure's own share leaves.

What else moves a language's loss, its relatives, its scripts, the text that it lends its words
from, is a smooth function of the whole mixture that few runs can only hint at. The process says
as much as the runs bear out and goes back to the curve of the own share where there are none; its
own standard deviation is the scale of its intervals. Square roots, because a share that goes from
0 to 1 % does more than one that goes from 50 to 51 %.
"""

import dataclasses
import warnings

import numpy as np

from polylm_jax.ablation.laws.own_share import OwnShare


@dataclasses.dataclass(frozen=True, eq=False)
class Smooth:
    """The own share's curve and a process over what it leaves.

    Attributes:
      own: the curve.
      process: scikit-learn's regressor, fitted on errors divided by `unit`.
      unit: the standard deviation of the errors.
      part: how much of the process's mean is added: 1, or 0.5 for the mean of both laws.
    """

    own: OwnShare
    process: object
    unit: float
    part: float = 1.0

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q)."""
        mean_Q, _ = self.own.predict(shares_QK)
        left_Q, std_Q = self.process.predict(roots(shares_QK), return_std=True)
        return mean_Q + self.part * self.unit * left_Q, self.unit * std_Q


def roots(shares_QK: np.ndarray) -> np.ndarray:
    """Square roots of the shares: Hellinger's distance between mixtures is Euclid's between these."""
    return np.sqrt(np.clip(shares_QK, 0, None))


def fit(shares_RK: np.ndarray, measured_R: np.ndarray, own: OwnShare) -> Smooth:
    """The process whose length, size and noise make the errors of `own` most likely."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    left_R = measured_R - own.predict(shares_RK)[0]
    unit = max(float(np.std(left_R)), 1e-9)
    kernel = ConstantKernel(1.0, (1e-3, 1e2)) * RBF(0.7, (0.1, 10.0)) + WhiteKernel(
        0.1, (1e-4, 2.0)
    )
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound is an answer: nothing to be seen
        process.fit(roots(shares_RK), left_R / unit)
    return Smooth(own, process, unit)
