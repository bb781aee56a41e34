"""Workers of a sweep don't compile the same program at the same time.

Those that begin together have the same programs before them, and JAX keeps what one has compiled on
disk. Who finds a program under way at another goes on to what comes next, and takes it when it is
first called. KEY.lock in a folder of the sweep is held (`flock`) by the one that compiles; the kernel
lets go of it with the process.
"""

import contextlib
import fcntl
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import jax

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
    file = f"{folder}/{key}.lock"

    def take() -> jax.stages.Compiled:
        with contextlib.ExitStack() as held:
            _wait(held, file)
            return compile_here()

    with contextlib.ExitStack() as held:
        return compile_here() if _lock(held, file) else Awaited(take)


def _lock(held: contextlib.ExitStack, file: str) -> bool:
    """Whether it is this process's turn, until the stack is closed."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # the folder is gone, or full: there is nobody to wait for
        return True
    held.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(held: contextlib.ExitStack, file: str) -> None:
    """Until the lock is free, or has been held for too long."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.ExitStack() as tried:
            if _lock(tried, file):
                held.push(tried.pop_all())
                return
        time.sleep(_POLL_SECONDS)
