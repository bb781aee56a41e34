"""A profile of a few steps of a run, in the format that TensorBoard's profile plugin (XProf) opens."""

from collections.abc import Callable

import jax

from polylm_jax.errors import InputError

WARM = 3  # steps before it: the first ones fill caches and queues


class Profile:
    """Traces `steps` steps of a run, from its fourth on, into `folder`; 0 steps: nothing.

    event: told 'profile', its last step and the folder, once it is written.
    """

    def __init__(self, folder: str, first_step: int, steps: int, event: Callable):
        if steps < 0:
            raise InputError(f"profile_steps = {steps}: give 0 or more.")
        self._folder, self._event = folder, event
        self._start, self._stop = first_step + WARM, first_step + WARM + steps
        self._running = False

    def before(self, step: int, state) -> None:
        """Called before each step with the steps done so far and the newest state."""
        if self._start <= step < self._stop and not self._running:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder)
            self._running = True
        elif step >= self._stop:
            self.close(step, state)

    def close(self, step: int, state) -> None:
        """Writes what was traced, at the latest when the run ends."""
        if self._running:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._running = False
            self._event("profile", step, folder=self._folder)
