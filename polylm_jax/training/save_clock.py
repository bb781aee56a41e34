"""A checkpoint after so many minutes, at the same step on every process.

Clocks of hosts differ, and a save is a collective: so process 0 alone looks at its clock, at steps
that all know, and the others take its word. It looks again when half of the steps that are left till
the next save are done, and never later than after as many steps as were done since the last one.
"""

import time

import jax

from polylm_jax.training import preemption

_SAVE = "save"
_TELL_SECONDS = 1800


class SaveClock:
    """minutes: between two saves; None for none by the clock. step: where the run stands."""

    def __init__(self, minutes: float | None, step: int):
        self._seconds = None if minutes is None else 60.0 * minutes
        self.saved(step)

    def saved(self, step: int) -> None:
        """The time runs from now on."""
        # The first step after a save waits for none before it, so it says nothing of their length.
        self._since, self._step, self._next = time.monotonic(), step, step + 2

    def due(self, step: int) -> bool:
        """Whether to save after this step; every process asks after each step."""
        if self._seconds is None or step < self._next:
            return False
        verdict = self._look(step, self._seconds) if jax.process_index() == 0 else ""
        verdict = preemption.tell_all(f"save_clock_{step}", verdict, _TELL_SECONDS)
        if verdict != _SAVE:
            self._next = int(verdict)
        return verdict == _SAVE

    def _look(self, step: int, seconds: float) -> str:
        """'save', or the step at which to look again."""
        elapsed = time.monotonic() - self._since
        if elapsed >= seconds:
            return _SAVE
        done = step - self._step
        left = (seconds - elapsed) / max(elapsed / (done - 1), 1e-6)
        return str(step + max(1, min(int(left / 2), done)))
