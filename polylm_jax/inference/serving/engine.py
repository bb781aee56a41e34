"""The engine: a thread that takes jobs from a queue, reads their prompts and makes their texts.

Jobs that arrive within a window start together; those that arrive while others are under way start
between two chunks of theirs. First come, first served; prompts of the first one's bucket ride along.
"""

import collections
import logging
import threading
import time
from collections.abc import Sequence

from polylm_jax.inference.serving.jobs import FAILED, Job, Output
from polylm_jax.inference.serving.slots import Slots
from polylm_jax.inference.serving.telemetry import Telemetry

_log = logging.getLogger(__name__)


class Full(Exception):
    """The queue has no room for these jobs."""


class Closed(Exception):
    """The engine takes no more jobs."""


class Engine:
    """Makes texts with `slots` from `start` until `close`.

    max_waiting: jobs in the queue at most. window: seconds that an idle engine waits for others
    after the first job.
    """

    def __init__(self, slots: Slots, telemetry: Telemetry, max_waiting: int, window: float = 0.004):
        self.slots, self.telemetry = slots, telemetry
        self.max_waiting, self._window = max_waiting, window
        self._waiting: collections.deque[Job] = collections.deque()
        self._changed = threading.Condition()
        self._starting: list[Job] = []
        self._closing = self._aborting = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begins to take jobs."""
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queues all of them or none; Full or Closed where none."""
        with self._changed:
            if self._closing:
                raise Closed
            waiting = [job for job in self._waiting if not job.over]
            if len(waiting) + len(jobs) > self.max_waiting:
                raise Full
            now = time.monotonic()
            for job in jobs:
                job.arrived = now
            self._waiting = collections.deque([*waiting, *jobs])
            self._changed.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Nobody waits for these any more: their places go to others."""
        for job in jobs:
            job.over = True

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return sum(not job.over for job in [*self._waiting])

    @property
    def open(self) -> bool:
        """Whether it takes jobs."""
        return self._thread.is_alive() and not self._closing

    def close(self) -> None:
        """Takes no more jobs; those that are there are done."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def abort(self) -> None:
        """Lets go of what is not done, each with an answer that says so."""
        self.close()
        self._aborting = True

    def join(self, timeout: float) -> bool:
        """Waits for the end after `close`; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self):
        while self._wait():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 (the device's, whatever it was)
                _log.exception("the engine failed; texts under way are lost")
                self._fail(f"{type(error).__name__} in the engine")
        self._fail("the server is shutting down")

    def _wait(self) -> bool:
        """Whether there is work, waiting for it; False once all is done and the engine closed."""
        with self._changed:
            idle = not self.slots.active
            while not self._waiting and not self.slots.active:
                if self._closing:
                    return False
                self._changed.wait()
        if idle and self._window and len(self._waiting) < self.slots.rows:
            time.sleep(self._window)
        return not self._aborting

    def _turn(self):
        jobs = self._next()
        if jobs:
            for job in jobs:
                self.telemetry.started(time.monotonic() - job.arrived, len(job.tokens))
            self._deliver(self.slots.start(jobs))
        began = time.monotonic()
        self._deliver(self.slots.step())
        self.telemetry.turn(self.slots.active, self.waiting, time.monotonic() - began)

    def _next(self) -> list[Job]:
        """Jobs that start now: the oldest, and others of its bucket, as far as there is room."""
        with self._changed:
            waiting = [job for job in self._waiting if not job.over]
            room = self.slots.rows - self.slots.active
            chosen: list[Job] = []
            if waiting and room:
                bucket = self.slots.bucket(waiting[0])
                alike = [job for job in waiting if self.slots.bucket(job) == bucket]
                chosen = alike[: min(room, self.slots.at_once(bucket))]
            started = {id(job) for job in chosen}
            self._waiting = collections.deque(j for j in waiting if id(j) not in started)
            self._starting = chosen
        return chosen

    def _deliver(self, made):
        for job, some in made:
            self.telemetry.made(len(some.tokens))
            if not job.over:
                job.over = some.finish is not None
                job.deliver(some)

    def _fail(self, why):
        """Every job gets an answer."""
        with self._changed:
            jobs = [*self._waiting, *self.slots.jobs, *self._starting]
            self._waiting.clear()
        for job in dict.fromkeys(jobs):
            if not job.over:
                job.over = True
                job.deliver(Output(finish=FAILED, error=why))
        self.slots.reset()
