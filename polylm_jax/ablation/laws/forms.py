"""The laws by name, and what a law is."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from polylm_jax.ablation.laws import own_share, peers, smooth

OWN_SHARE, OWN_SHARE_GP, BOTH = "own_share", "own_share_gp", "both"
LINEAR, EXPONENTIAL_LINEAR, MEAN = "linear", "exponential_linear", "mean"
LAWS = {
    OWN_SHARE: "a power of the own share",
    OWN_SHARE_GP: "a power of the own share and a Gaussian process",
    BOTH: "the mean of the own share alone and with a Gaussian process",
    LINEAR: "linear in the shares",
    EXPONENTIAL_LINEAR: "exponential of a line in the shares",
    MEAN: "the mean of the runs",
}
CANDIDATES = (OWN_SHARE, OWN_SHARE_GP, BOTH)  # the others are there for comparison


class Law(Protocol):
    """A fitted law of one measure."""

    def predict(self, shares_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean_Q, scale_Q): what is expected, and what errors are to be measured against."""

    def mean(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_Q alone, for searches that need it thousands of times."""

    def between(self, first_QK: np.ndarray, second_QK: np.ndarray) -> np.ndarray:
        """scale_Q of the differences between the first mixtures and the second."""


def fit(
    laws: Iterable[str],
    shares_RK: np.ndarray,
    measured_R: np.ndarray,
    weight_R: np.ndarray,
    own: Sequence[int],
) -> dict[str, Law]:
    """The asked laws of one measure, name -> law; what they share is fitted once."""
    found: dict[str, Law] = {}
    asked = set(laws)
    if asked & {OWN_SHARE, OWN_SHARE_GP, BOTH}:
        found[OWN_SHARE] = curve = own_share.fit(shares_RK, measured_R, weight_R, own)
        if asked & {OWN_SHARE_GP, BOTH}:
            found[OWN_SHARE_GP] = process = smooth.fit(shares_RK, measured_R, curve)
            found[BOTH] = dataclasses.replace(process, part=0.5)
    for name, maker in _PEERS.items():
        if name in asked:
            found[name] = maker(shares_RK, measured_R, weight_R)
    return {name: found[name] for name in LAWS if name in asked}


_PEERS = {
    LINEAR: peers.linear,
    EXPONENTIAL_LINEAR: peers.exponential_linear,
    MEAN: peers.constant,
}
