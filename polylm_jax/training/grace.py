"""Whether what is left after SIGTERM is enough for what a run then does, as its steps turn out."""

import time
from collections.abc import Callable

STEPS = 3  # the first ones fill caches; later ones are what a step takes
AHEAD = 1.2  # steps that may have to end before a save: see `Pace`
_LONG_SECONDS = 1.0  # a shorter step is handed out as soon as it can be
_SHARE = 0.8
_REMEMBERED = 8


class Pace:
    """How long steps take, and how long to hold the next one back.

    Devices get their next step while they still work on one, so that they never wait; told to leave,
    a run must then let two steps end. Of a long one the next is handed out once four fifths of the
    shortest of the last ones have passed: that is still early enough, and then seldom two.
    """

    def __init__(self):
        self._taken: list[float] = []
        self._since: float | None = None

    def ended(self) -> None:
        """A step has ended, and the devices work on the next one."""
        now = time.monotonic()
        if self._since is not None:
            self._taken = [*self._taken[1 - _REMEMBERED :], now - self._since]
        self._since = now

    def interrupted(self) -> None:
        """Something else came between two steps."""
        self._since = None

    def wait(self) -> None:
        """Until it is time to hand out the step after the one under way."""
        if self._since is None or not self._taken or min(self._taken) < _LONG_SECONDS:
            return
        time.sleep(max(0.0, self._since + _SHARE * min(self._taken) - time.monotonic()))

    @property
    def step_seconds(self) -> float | None:
        """The longest of the last steps, once there are enough."""
        return max(self._taken) if len(self._taken) >= STEPS else None


class Grace:
    """Compares `seconds` of grace with what leaving takes; `tell` gets a sentence where it is short."""

    def __init__(self, seconds: float, tell: Callable[[str], None]):
        self._seconds, self._tell = seconds, tell
        self._announced = 0.0
        self._saving: float | None = None
        self._save_seconds = 0.0

    def saving(self) -> None:
        self._saving = time.monotonic()

    def committed(self) -> None:
        """From the thread that commits."""
        if self._saving is not None:
            self._save_seconds = time.monotonic() - self._saving

    def check(self, step_seconds: float | None) -> None:
        """Called after each step; tells once, and again where it has become much more."""
        if step_seconds is None:
            return
        needed = AHEAD * step_seconds + self._save_seconds
        if needed <= self._seconds or needed < 1.5 * self._announced:
            return
        self._announced = needed
        saves = f" and a save {self._save_seconds:.3g} s" if self._save_seconds else ""
        self._tell(
            f"a step takes {step_seconds:.3g} s{saves}: SIGTERM may need {needed:.0f} s and "
            f"grace_seconds = {self._seconds:g}, so a run that is told to leave may lose what it did "
            f"since its newest checkpoint; give grace_seconds (and what sends SIGTERM) {2 * needed:.0f}."
        )
