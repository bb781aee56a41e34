"""Parts of the runs that are held out together: whole mixtures, never seeds of one.

A law that has seen a seed of a mixture has seen the mixture: its error on another seed says how
noisy training is, not how well it predicts a mixture that nobody trained.
"""

import collections
from collections.abc import Sequence

import numpy as np

FOLDS = 10


def of_mixtures(mixtures: Sequence[str], folds: int = FOLDS) -> np.ndarray:
    """fold_R, from 0 on: `folds` parts of as many mixtures each, give or take one.

    The mixtures are dealt in turn in the order that they come in after a fixed shuffle, so that
    runs in the same order always give the same folds.
    """
    names = list(dict.fromkeys(mixtures))
    places = np.random.default_rng(0).permutation(len(names))
    fold_of = {name: int(place) % folds for name, place in zip(names, places)}
    return np.array([fold_of[name] for name in mixtures])


def weights(mixtures: Sequence[str]) -> np.ndarray:
    """weight_R: what each run counts, so that every mixture counts 1 whatever its seeds."""
    seeds = collections.Counter(mixtures)
    return np.array([1 / seeds[name] for name in mixtures])
