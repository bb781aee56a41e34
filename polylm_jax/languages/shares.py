"""Shares of tokens that know how they were chosen, so that a look at a recipe can say it.

`languages.temperature`, `languages.unimax`, `languages.by_hand` and `corpus.shares` make them.
"""

from collections.abc import Mapping

BY_HAND = "by hand"
_SHOWN = 12  # counts that are told one by one


class Shares(dict):
    """Name -> share. how: the way they were chosen, in words."""

    how: str

    def __init__(self, shares: Mapping[str, float], how: str):
        super().__init__(shares)
        self.how = how


_CHOSEN: dict[str, str] = {}


def keep(mixture: str, shares: Mapping[str, float]) -> None:
    """Keeps how the shares of a mixture were chosen; those of a plain dict were by hand."""
    _CHOSEN[mixture] = getattr(shares, "how", BY_HAND)


def chosen(mixture: object) -> str:
    """How a mixture's shares were chosen; '' where its maker didn't say."""
    if isinstance(mixture, Mapping):
        return getattr(mixture, "how", BY_HAND)
    return _CHOSEN.get(str(mixture), "")


def listed(counts: Mapping[str, float]) -> str:
    """'en 4e+09, th 1e+08': the counts that shares were made of, the largest first."""
    largest = sorted(counts, key=lambda name: -counts[name])
    shown = ", ".join(f"{name} {counts[name]:.3g}" for name in largest[:_SHOWN])
    return f"{shown} and {len(largest) - _SHOWN} more" if len(largest) > _SHOWN else shown
