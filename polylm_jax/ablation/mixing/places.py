"""Where the second of two phases begins, as a part of a mixture: drawn, asked for, told.

A mixture whose change has a place is a point of all its tokens: the share of all tokens that each
component has in each phase. These sum to 1, and what a phase's sum to is its part of the run; so a
law of the place is a law of shares, and bounds on the place are linear.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from polylm_jax.ablation.laws.constraints import Sum
from polylm_jax.errors import InputError

_CHANCE = 3  # not the generators of the shares


def check(places: Sequence[float], phases: int) -> None:
    """InputError for places that can't be, and unless there are two phases."""
    if phases != 2:
        raise InputError(
            f"PLACES = {tuple(places)} says where the second of two phases begins, and the recipe has "
            f"{phases} phase{'s' if phases > 1 else ''}: give it two, or leave PLACES out."
        )
    if len(places) != 2 or not 0 < places[0] <= places[1] < 1:
        raise InputError(
            f"PLACES = {tuple(places)}: give from and up to which part of the tokens the second phase may "
            "begin, such as (0.5, 0.95)."
        )


def drawn(places: Sequence[float], number: int, steps: int, seed: int) -> list[np.ndarray]:
    """So many times the parts of both phases [2], the place by chance.

    steps: of a proxy; parts are whole steps, so that runs are what the design says.
    """
    low, high = (min(max(round(place * steps), 1), steps - 1) for place in places)
    firsts = np.random.default_rng((_CHANCE, seed)).integers(low, high + 1, number)
    return [np.array([first, steps - first]) / steps for first in firsts]


def bounds(first: Sequence[str], places: Sequence[float]) -> Iterator[Sum]:
    """The constraints that the second phase begins within these places. first: the first's columns."""
    low, high = places
    latest = f"the second phase begins at {high:.0%} at the latest"
    yield Sum(latest, dict.fromkeys(first, 1.0), float(high))
    earliest = f"the second phase begins at {low:.0%} at the earliest"
    yield Sum(earliest, dict.fromkeys(first, -1.0), -float(low))
