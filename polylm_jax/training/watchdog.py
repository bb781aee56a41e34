"""A run that hangs is noticed: by its steps, not by its process, which lives on while it waits.

A device that never ends its step, a collective that one host never joins, a bucket that never
answers: the main thread waits for ever, and every other thread goes on. So the loop tells each
piece of work that it has ended, and a thread leaves when one takes many times what such a piece
has ever taken in this run.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import Self

TIMES = 10  # a step under another program's load takes three times as long, never ten
# The first piece of a kind, of which nothing is known yet, and what may wait for a bucket or compile.
FIRST_SECONDS = 1800.0
REGULAR = ("step", "validation")  # one of them takes about as long as another
_POLL_SECONDS = 0.5


class Watchdog:
    """Watches the pieces of work of a run while it is open.

    leave: called, from another thread, with the sentence that says what hangs. hung_seconds: no
    piece hangs before it has taken so long.
    """

    def __init__(self, leave: Callable[[str], None], hung_seconds: float):
        self._leave, self._hung_seconds = leave, hung_seconds
        self._longest: dict[str, float] = {}
        self._kind, self._since = "step", time.monotonic()
        # Seconds since then in which this process ran; those in which it was stopped don't count.
        self._lived = 0.0
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        if sys.gettrace() is None:  # a debugger may hold the main thread as long as it likes
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._closed.set()

    def begin(self, kind: str) -> None:
        """A piece of work of this kind ('step', 'validation', 'evaluation', 'checkpoint') begins."""
        self._kind, self._since, self._lived = kind, time.monotonic(), 0.0

    def end(self) -> None:
        """The piece has ended; the next one is of the same kind until `begin` says otherwise."""
        if self._kind in REGULAR:
            took = time.monotonic() - self._since
            self._longest[self._kind] = max(self._longest.get(self._kind, 0.0), took)
        self.begin(self._kind)

    def forget(self, kind: str) -> None:
        """Pieces of this kind take another time from now on."""
        self._longest.pop(kind, None)

    def limit(self, kind: str) -> float:
        """Seconds after which a piece of this kind hangs."""
        longest = self._longest.get(kind)
        return FIRST_SECONDS if longest is None else max(self._hung_seconds, TIMES * longest)

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            self._lived += _POLL_SECONDS
            kind, lived = self._kind, self._lived
            if lived > self.limit(kind):
                longest = self._longest.get(kind)
                before = (
                    "" if longest is None else f", and none took more than {longest:.3g} s before"
                )
                self._leave(
                    f"a {kind} has not ended for {lived:.0f} s{before}: a device, a link or another "
                    "process hangs; start all of them again, and the run goes on from its newest "
                    "checkpoint."
                )
                return
