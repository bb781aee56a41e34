"""SeqIO mixtures as shares of tokens per task: nested ones flattened, wrong ones refused.

SeqIO itself takes rates that are negative, not a number, or sum to 1.2. A rate here is a share of
tokens, so a mixture's rates sum to 1. A mixture inside another divides its rate by its own rates'
proportions, as in SeqIO.
"""

import math
import numbers
from collections.abc import Mapping, Sequence

import seqio

from polylm_jax.errors import InputError, nearest

TOLERANCE = 1e-6  # how far from 1 the shares may sum


def flatten(name: str) -> dict[str, float]:
    """Task -> its share of the tokens, for each task of a mixture that has one.

    flatten("all") of all = {"th": 0.4, "pairs": 0.6} and pairs = {"en_th": 1, "th_en": 2} is
    {"th": 0.4, "en_th": 0.2, "th_en": 0.4}. A task alone has the share 1.

    Raises:
      InputError: nothing of that name is registered, a rate is negative or not a number, or the
        rates don't sum to 1 (to 1e-6).
    """
    if name in seqio.MixtureRegistry.names():
        rates = _rates(seqio.MixtureRegistry.get(name))
    elif name in seqio.TaskRegistry.names():
        return {name: 1.0}
    else:
        names = [*seqio.MixtureRegistry.names(), *seqio.TaskRegistry.names()]
        raise InputError(
            f"mixture {name!r} isn't registered.{nearest(name, names)} Import the module that "
            "registers it, or add it to TASKS."
        )
    total = math.fsum(rates.values())
    if abs(total - 1) > TOLERANCE:
        raise InputError(
            f"mixture {name!r}: its shares sum to {total:.6g}; change them to sum to 1."
        )
    return _flattened(rates)


def tasks_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """The tasks behind names of tasks and mixtures, each once, in their order."""
    names = (names,) if isinstance(names, str) else names
    found: dict[str, None] = {}
    for name in names:
        if name in seqio.TaskRegistry.names():
            found[name] = None
        else:
            found.update(dict.fromkeys(flatten(name)))
    return tuple(found)


def _rates(mixture: seqio.Mixture) -> dict[str, float]:
    """Member (a task or a mixture) -> its rate, as the mixture says it."""
    found = {}
    for member, rate in mixture.rate_per_task_name.items():
        if callable(rate):
            rate = rate(_member(member))
        if not isinstance(rate, numbers.Real) or not math.isfinite(rate) or rate < 0:
            raise InputError(
                f"mixture {mixture.name!r} gives {member!r} the rate {rate!r}: give its share of "
                "the tokens, a number from 0 to 1."
            )
        found[member] = float(rate)
    if not any(found.values()):
        raise InputError(
            f"mixture {mixture.name!r} has rates of 0 alone: give shares that sum to 1."
        )
    return found


def _member(name: str) -> seqio.Task | seqio.Mixture:
    tasks = seqio.TaskRegistry
    return (tasks if name in tasks.names() else seqio.MixtureRegistry).get(name)


def _flattened(rates: Mapping[str, float]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for member, rate in rates.items():
        if not rate:
            continue
        inner = {member: 1.0}
        if isinstance(_member(member), seqio.Mixture):
            inner = _rates(_member(member))
            total = math.fsum(inner.values())
            inner = {name: share / total for name, share in _flattened(inner).items()}
        for name, share in inner.items():
            shares[name] = shares.get(name, 0.0) + rate * share
    return shares
