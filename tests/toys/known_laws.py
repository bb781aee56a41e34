"""Runs whose losses come from a known law with known noise, for tests of the laws of mixtures."""

import numpy as np

from polylm_jax.ablation.laws.runs import Runs

NAMES = ("a", "b", "c", "d", "e")
FLOOR, EASE, POWER, NOISE = 1.0, 0.02, 0.3, 0.01
GAINS = np.array([0.8, 0.4, 0.4, 0.2, 0.2])


def losses(shares_QK: np.ndarray, cross: float = 0.0) -> np.ndarray:
    """loss_QM without noise, one measure a component; cross: what neighbours do to one another."""
    power_QM = FLOOR + GAINS * (shares_QK + EASE) ** -POWER
    return power_QM + cross * np.sin(6 * np.sqrt(np.roll(shares_QK, 1, axis=1)))


def best() -> np.ndarray:
    """share_K with the smallest mean loss: where one more share is worth the same everywhere."""
    worth_K = GAINS ** (1 / (POWER + 1))
    return worth_K / worth_K.sum() * (1 + len(NAMES) * EASE) - EASE


def runs(seed: int, mixtures: int, seeds: int = 1, measures: int = 5, cross: float = 0.0) -> Runs:
    """Mixtures drawn anew, so many seeds each."""
    chance = np.random.default_rng(seed)
    shares_RK = np.repeat(chance.dirichlet(np.ones(len(NAMES)), mixtures), seeds, axis=0)
    noise_RM = NOISE * chance.normal(size=shares_RK.shape)
    return Runs(
        shares_RK,
        (losses(shares_RK, cross) + noise_RM)[:, :measures],
        tuple(f"m{number}" for number in range(mixtures) for _ in range(seeds)),
        NAMES,
        NAMES[:measures],
        {name: (number,) for number, name in enumerate(NAMES)},
    )
