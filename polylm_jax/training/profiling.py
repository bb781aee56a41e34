"""A profile of a few steps of a run, in the format that TensorBoard's profile plugin (XProf) opens.

Asked for by the recipe, or of a run under way: SIGUSR2 to a process profiles that process; a file
`profile_now` in MODEL_DIR, with a number of steps in it or none, profiles process 0 and is taken away.
"""

import contextlib
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax

WARM = 3  # steps before it: the first ones fill caches and queues
STEPS = 5  # of one that is asked for without a number
FILE = "profile_now"
_POLL_SECONDS = 5.0


class Profile:
    """Traces `steps` steps of a run, from its fourth on, into `folder`; 0 steps: until it is asked.

    event: told 'profile', its last step and the folder, once it is written.
    """

    def __init__(self, folder: str, first_step: int, steps: int, event: Callable):
        self._folder, self._event = folder, event
        self._start, self._stop = first_step + WARM, first_step + WARM + steps
        self._asked = 0
        self._running = False

    def ask(self, steps: int = STEPS) -> None:
        """From the next step on; from any thread."""
        self._asked = steps

    def before(self, step: int, state) -> None:
        """Called before each step with the steps done so far and the newest state."""
        if self._asked and not self._running:
            self._start, self._stop, self._asked = step, step + self._asked, 0
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


@contextlib.contextmanager
def on_demand(profile: Profile, model_dir: pathlib.Path | None) -> Iterator[None]:
    """While it is open, a signal or a file in a local MODEL_DIR (None: no file) asks for a profile."""
    closed = threading.Event()
    if model_dir is not None:
        args = (profile, pathlib.Path(model_dir) / FILE, closed)
        threading.Thread(target=_look, args=args, daemon=True).start()
    main = threading.current_thread() is threading.main_thread()
    old = signal.signal(signal.SIGUSR2, lambda *_: profile.ask()) if main else None
    try:
        yield
    finally:
        closed.set()
        if main:
            signal.signal(signal.SIGUSR2, old or signal.SIG_DFL)


def _look(profile: Profile, file: pathlib.Path, closed: threading.Event) -> None:
    while not closed.wait(_POLL_SECONDS):
        with contextlib.suppress(OSError):
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            os.remove(file)
            profile.ask(int(text) if text.isdigit() and int(text) else STEPS)
