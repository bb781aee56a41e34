"""The runs of an ablation, trained by workers: each from the longest beginning that another has of it.

A run is locked by this process as long as one of its workers trains it, and in its MODEL_DIR by the
worker: who finds it locked leaves it to the other. What is done is told by the run's own log and never
begun again.
"""

import contextlib
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from polylm_jax.ablation import branches, continued, evidence, launch, reuse
from polylm_jax.ablation.plans import Ablation, Plan
from polylm_jax.ablation.variants import Run
from polylm_jax.ablation.workers import fork_server
from polylm_jax.ablation.workers.display import Display
from polylm_jax.ablation.workers.order import Order, by_seed
from polylm_jax.ablation.workers.places import Need, Place
from polylm_jax.ablation.workers.pool import Pool
from polylm_jax.errors import LEFT, LEFT_UNSAVED, InputError
from polylm_jax.runtime.storage import Folder

POLL_SECONDS = 0.5
REPORT_SECONDS = 60.0  # between reports, at least
REPORT_SHARE = 0.01  # of the time, for drawing them: that takes seconds of a core that has a run
CTRL_C_SECONDS = 1.0  # after which a worker that Ctrl-C hasn't reached is told
INTERRUPTED = 128 + signal.SIGINT


class UnderWay(NamedTuple):
    """A run that a worker has. said: the file that its words go to, '' for the terminal."""

    run: Run
    lock: contextlib.ExitStack
    began: float
    said: str


class Sweep:
    """Runs of an ABLATION_DIR on the way.

    asked: as for `run.train_all`. alone: a run that another process has is refused. report: called
    now and then, when a run has ended.
    """

    def __init__(
        self,
        place: Folder,
        made: Mapping[Run, Plan],
        places: Sequence[Place],
        *,
        asked: Ablation | None = None,
        alone: bool = False,
        report: Callable[[], object] = lambda: None,
    ):
        self._place, self._made, self._asked, self._alone = place, made, asked, alone
        self._report, self._next_report = report, time.monotonic() + REPORT_SECONDS
        self._several = len(places) > 1
        self._pool = Pool(places, quiet=self._several, server=fork_server.begun())
        branching = (asked.trunk, asked.leaves) if asked else ()
        self._order = Order(made, asked is not None, *branching)
        self._places = places
        self._seeds: list[set[int]] = [set() for _ in places]  # that each worker has had
        self._numbers: dict[Run, int] = {}
        self._pending: list[Run] = []
        self._under_way: dict[int, UnderWay] = {}
        self._left: dict[Run, int] = {}
        self._done: set[Run] = set()
        self._unreported = False  # whether a run has ended since the last report
        self._code = 0  # to leave with
        self.failed: dict[Run, int] = {}
        self.elsewhere: dict[Run, str] = {}

    def run(self, order: Sequence[Run]) -> None:
        """Trains what isn't done; `failed` and `elsewhere` say what isn't then.

        SystemExit with the code of a run that was told to leave, once all have saved and left.
        """
        self._pending, self._numbers = list(order), {run: n for n, run in enumerate(order, 1)}
        self._done = {run for run in self._made if launch.is_done(self._place, self._made[run])}
        with Display(self._places, len(order)) as self._display, self._leaving_at_sigterm():
            try:
                self._train()
            except KeyboardInterrupt:
                self._pool.leave_after(CTRL_C_SECONDS)
                raise
            finally:
                self._pool.close()
                for one in self._under_way.values():
                    one.lock.close()
        if self._code:
            sys.exit(self._code)

    def _train(self) -> None:
        while self._pending or self._under_way:
            for slot in self._pool.idle:
                while not self._code and slot in self._pool.idle and (run := self._next(slot)):
                    self._pending.remove(run)
                    self._begin(slot, run)
            if not self._under_way:
                return
            self._report_if_due()
            for slot, message in self._pool.wait(POLL_SECONDS):
                if "code" in message:
                    self._end(slot, message["code"])
                elif "step" in message:
                    self._show_step(slot, **message)

    def _next(self, slot: int) -> Run | None:
        if not self._several:  # the list as it stands
            return self._pending[0] if self._pending else None
        under_way = [one.run for one in self._under_way.values()]
        others = set().union(*self._seeds[:slot], *self._seeds[slot + 1 :])
        pending = by_seed(self._pending, self._seeds[slot], others)
        run = self._order.next(pending, under_way, self._done, self._left.__getitem__)
        return run or (pending[0] if pending and not under_way else None)

    def _begin(self, slot: int, run: Run) -> None:
        """Gives a run to a worker, unless it is done or another process has it."""
        plan, number = self._made[run], self._numbers[run]
        if launch.is_done(self._place, plan):
            self._display.before(run, number)
            return self._finished(run)
        trunk = branches.trunk_of(self._asked, run) if self._asked else None
        if trunk in self.elsewhere:
            self.elsewhere[run] = f"it leaves {trunk.title}, and {self.elsewhere[trunk]}"
            return None
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(launch.held(self._place.path, run))
        except InputError as error:
            if self._alone:
                raise
            self.elsewhere[run] = str(error)
            return None
        with lock:
            if launch.is_done(self._place, plan):  # by another process, just now
                return self._finished(run)
            self._display.begins(slot, run, number, plan.resolved.total_steps)
            self._share(run)
            flags = ["--allow_changes"] if continued.is_continued(self._place, run) else []
            recipe, said = f"{self._place.path}/{run.recipe}", self._said(run)
            self._pool.give(slot, [plan.mode, f"--gin_file={recipe}", *flags], said)
            held = lock.pop_all()
        self._under_way[slot] = UnderWay(run, held, time.monotonic(), said)
        self._seeds[slot].add(run.seed)
        self._left[run] = plan.resolved.total_steps
        return None

    def _share(self, run: Run) -> None:
        """Lets a run that hasn't begun go on from a finished one that began the same."""
        if not self._asked or continued.has_begun(self._place, run):
            return
        made = self._made.values()
        others = [other for other in made if other.run.seed == run.seed and other.run != run]
        done = [other for other in others if launch.is_done(self._place, other)]
        if beginning := reuse.longest(self._made[run], done, self._place.path):
            continued.continue_from(beginning, run, self._place.path)
            self._display.line(f"goes on from {beginning.run.title}, step {beginning.step}")

    def _said(self, run: Run) -> str:
        """The file for the words of a run, beside its recipe; on gs:// one here, copied at its end."""
        if not self._several:
            return ""
        if self._place.local:
            return str(self._place.local / run.said)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="polylm_said_"))
        return str(folder / pathlib.Path(run.said).name)

    def _show_step(self, slot: int, step: int, total: int, numbers: str) -> None:
        one = self._under_way[slot]
        self._left[one.run] = total - step
        self._display.report(slot, step, total, numbers)

    def _end(self, slot: int, code: int) -> None:
        """A worker is through with its run, or dead."""
        one = self._under_way.pop(slot)
        one.lock.close()
        if one.said and not self._place.local:
            self._place.write(one.run.said, pathlib.Path(one.said).read_bytes())
        self._display.ends(
            slot, code, time.monotonic() - one.began, f"{self._place.path}/{one.run.said}"
        )
        if self._code or code in (LEFT, LEFT_UNSAVED, INTERRUPTED):
            self._code = LEFT_UNSAVED if LEFT_UNSAVED in (code, self._code) else self._code or code
            return self._pool.leave()
        if code:
            self.failed[one.run] = code
        else:
            self._finished(one.run)
        self._unreported = True
        return None

    def _report_if_due(self) -> None:
        """Once idle workers have their next run; after the last run the report is the caller's."""
        began = time.monotonic()
        if self._unreported and self._pending and began > self._next_report:
            self._report()
            self._unreported, ended = False, time.monotonic()
            self._next_report = ended + max(REPORT_SECONDS, (ended - began) / REPORT_SHARE)

    def _finished(self, run: Run) -> None:
        self._done.add(run)
        evidence.keep(self._place, self._made[run])

    @contextlib.contextmanager
    def _leaving_at_sigterm(self):
        """A SIGTERM goes on to all workers: each saves and leaves with 143."""

        def leave(*_) -> None:
            self._code = self._code or LEFT
            self._pool.leave()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def need(made: Mapping[Run, Plan]) -> Need:
    """What the largest of the runs takes."""
    parameters = devices = 0
    size = 0.0
    for plan in made.values():
        one = plan.resolved.experiment
        model, tokens = one.model, plan.largest_step
        logits = model.vocab_size / max(one.num_chunks, one.vocab_blocks)
        held = 12 * model.num_layers * model.embed_dim + 4 * logits  # of each token, float32
        parameters = max(parameters, model.num_params)
        devices = max(devices, one.planned_devices())
        size = max(size, 24 * model.num_params + 4 * held * tokens)
    return Need(parameters, max(devices, 1), float(size))
