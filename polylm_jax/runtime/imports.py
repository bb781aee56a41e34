"""Imports of much at once: quiet, and not looked through again and again.

A module that is imported stays, and the collector of garbage looks through all of them each time that
their number has grown, then now and then, and on the way out: a fifth of the 6 seconds that SeqIO and
TensorFlow take, and 1.4 seconds at the end.
"""

import atexit
import contextlib
import functools
import gc
from collections.abc import Iterator

from polylm_jax.runtime.stderr import imports_kept_quiet

MUCH = 100_000  # objects that are new, of which the collector then never looks for garbage


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Holds the collector, and what TensorFlow's C++ writes to standard error, for as long as it lasts."""
    _leave_at_once()
    collected = gc.isenabled()
    gc.disable()
    try:
        with imports_kept_quiet():
            yield
    finally:
        if gc.get_count()[0] > MUCH:
            gc.freeze()
        if collected:
            gc.enable()


@functools.cache
def _leave_at_once() -> None:
    """What is there at the end is freed with the process."""
    atexit.register(gc.freeze)
