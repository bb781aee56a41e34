"""Workers of a sweep don't compile the same program at the same time.

Those that begin together have the same programs before them, and JAX keeps what one has compiled on
disk. Who finds a program under way at another goes on to what comes next, and takes it when it is
first called. The one that compiles it holds the lock of KEY in a folder of the sweep, which its death
releases (`runtime.lock`).
"""

import contextlib
import functools
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from polylm_jax.errors import InputError
from polylm_jax.runtime.lock import FileLock
from polylm_jax.runtime.storage import Folder

WAIT_SECONDS = 120.0  # for another worker, which may hang: then it is compiled here too
_POLL_SECONDS = 0.02


class Awaited:
    """Stands for a program that another worker compiles; the first call waits for it."""

    def __init__(self, take: Callable[[], jax.stages.Compiled]):
        self._take = take

    @functools.cached_property
    def _program(self) -> jax.stages.Compiled:
        return self._take()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._program(*args, **kwargs)


def in_turn(
    folder: str, key: str, compile_here: Callable[[], jax.stages.Compiled]
) -> jax.stages.Compiled | Awaited:
    """What `compile_here` gives, at once or when it is first called.

    folder: of the locks. compile_here: finds on disk what another worker has compiled.
    """
    place = pathlib.Path(folder) / key

    def take() -> jax.stages.Compiled:
        with _waited_for(place):
            return compile_here()

    if (turn := _turn(place)) is None:
        return Awaited(take)
    with turn:
        return compile_here()


def _turn(place: pathlib.Path) -> contextlib.AbstractContextManager | None:
    """This process's turn, until it is closed; None where another has it."""
    try:
        place.mkdir(exist_ok=True)
        return contextlib.closing(FileLock(Folder(str(place))))
    except InputError:
        return None
    except OSError:  # the folder is gone, or full: there is nobody to wait for
        return contextlib.nullcontext()


def _waited_for(place: pathlib.Path) -> contextlib.AbstractContextManager:
    """The turn, once another lets go; none at all where that takes too long."""
    end = time.monotonic() + WAIT_SECONDS
    while (turn := _turn(place)) is None and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return turn or contextlib.nullcontext()
