"""What is registered in SeqIO for a time: its registry is one for the whole process.

Who keeps something else about a task by its name, such as its evaluation protocol, adds to
`FORGETTING` the function that forgets it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator

FORGETTING: list[Callable[[str], object]] = []


@contextlib.contextmanager
def for_a_time() -> Iterator[None]:
    """What is registered within goes again afterwards, and with it what others keep by its name."""
    before = {name for provider in _registries() for name in provider.names()}
    try:
        yield
    finally:
        for provider in _registries():
            for name in [name for name in provider.names() if name not in before]:
                provider.remove(name)
                for forget in FORGETTING:
                    forget(name)


def _registries() -> tuple:
    """SeqIO's, where a recipe has brought it; a recipe of stores alone doesn't."""
    seqio = sys.modules.get("seqio")
    return (seqio.MixtureRegistry, seqio.TaskRegistry) if seqio else ()
