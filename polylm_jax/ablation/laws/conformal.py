"""Intervals from held-out errors: what a law got wrong where it couldn't look, no assumption beside.

CV+ (Barber et al., "Predictive inference with the jackknife+", 2021): each held-out error is set
about the prediction of the very model that made it, so that a law whose fit hangs on single runs
gets a wider interval. Errors are divided by the law's own scale where they were made and multiplied
by it where they are asked for, so that an interval may be narrow near the runs and wide far away.
Seeds of one mixture share its weight: mixtures are what is exchangeable, not runs.
"""

import numpy as np

LEVEL = 0.90
LEAST = 9  # mixtures: of fewer, not even the largest error reaches 90 % with a new one counted in


def upper(values_XR: np.ndarray, weight_R: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """The quantile of weighted values with the finite-sample correction, along the last axis.

    The smallest value below which `level` of the weight lies, where one more mixture, the one that
    is asked about, counts too and may be larger than all: of n mixtures the ceil(level (n + 1))-th.
    With fewer than LEAST mixtures it is the largest.
    """
    order_XR = np.argsort(values_XR, axis=-1, kind="stable")
    below_XR = np.cumsum(weight_R[order_XR], axis=-1)
    needed = level * (weight_R.sum() + 1) - 1e-9
    at_X = np.minimum((below_XR < needed).sum(axis=-1), values_XR.shape[-1] - 1)
    place_X1 = np.take_along_axis(order_XR, at_X[..., None], axis=-1)
    return np.take_along_axis(values_XR, place_X1, axis=-1)[..., 0]


def cv_plus(
    mean_QR: np.ndarray, scale_QR: np.ndarray, ratio_R: np.ndarray, weight_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(low_Q, high_Q) of the CV+ interval.

    Args:
      mean_QR, scale_QR: what the model that didn't see run R predicts for mixture Q.
      ratio_R: absolute held-out errors over the scale at their own place.
      weight_R: what each run counts; the weights of a mixture's seeds sum to 1.
    """
    reach_QR = scale_QR * ratio_R
    return -upper(reach_QR - mean_QR, weight_R), upper(mean_QR + reach_QR, weight_R)
