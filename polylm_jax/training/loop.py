"""What happens between two steps.

In order, once a step has been handed to the devices:

1. The metrics of the step before it are fetched; the devices already have their next work.
2. Told to leave (SIGTERM)? All processes find the same answer here, of a long step late enough that
   the next one isn't handed out when it comes.
3. Validation, where it is due: before the save, so that a resume never skips one.
4. A checkpoint, where one is due by steps or by the clock, on leaving and at the end; copies of one
   array on several devices are compared first.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import jax

from polylm_jax.checkpoints.checkpoint import Checkpoints, Progress
from polylm_jax.data.batches import Batch
from polylm_jax.errors import Diverged
from polylm_jax.model.averaging import PLAIN
from polylm_jax.runtime.terminal import Terminal
from polylm_jax.training import evaluation, metrics, replicas
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.grace import Grace, Pace
from polylm_jax.training.log import RunLog
from polylm_jax.training.metrics import Window
from polylm_jax.training.preemption import Preemption, leave_alone
from polylm_jax.training.profiling import Profile
from polylm_jax.training.save_clock import SaveClock
from polylm_jax.training.settings import Settings
from polylm_jax.training.skipped import Skipped
from polylm_jax.training.train_state import TrainState
from polylm_jax.training.validation import Score, Validation
from polylm_jax.training.watchdog import Watchdog


@dataclasses.dataclass
class Watch:
    """What looks at the clock and at signals while a run is under way."""

    preemption: Preemption
    watchdog: Watchdog
    clock: SaveClock
    grace: Grace
    pace: Pace = dataclasses.field(default_factory=Pace)

    def another_size(self) -> None:
        """Steps of another size begin: how long those before took says nothing of them."""
        self.watchdog.forget("step")
        self.pace = Pace()

    @classmethod
    def of(
        cls, settings: Settings, step: int, leaving: Preemption, terminal: Terminal, log: RunLog
    ) -> "Watch":
        """As the settings have it: that steps end, when to save, whether the grace is enough."""

        def hangs(why: str) -> None:
            leave_alone(RuntimeError(why), leaving.flush)

        def short(why: str) -> None:
            terminal.line(why)
            log.event("grace", step, told=why)

        return cls(
            leaving,
            Watchdog(hangs, settings.hung_seconds),
            SaveClock(settings.save_every_minutes, step),
            Grace(settings.grace_seconds, short),
        )


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What the parameters are scored on between two steps.

    validation: held-out text, None where there is none; baseline: a unigram's scores of it.
    tasks: evaluation tasks, if any; merged: a state -> the parameters of a plain model, for them.
    """

    validation: Validation | None
    baseline: Mapping[str, Score]
    tasks: evaluation.Scores | None
    merged: Callable[[TrainState], dict]


@dataclasses.dataclass(frozen=True)
class Reports:
    """Where a run's numbers go."""

    window: Window
    log: RunLog
    terminal: Terminal
    profile: Profile


@dataclasses.dataclass
class Loop:
    """A run under way; `progress` is where it stands.

    train_steps: rows of a batch -> the compiled step of it.
    """

    resolved: Resolved
    settings: Settings
    progress: Progress
    train_steps: Mapping[int, Callable[..., tuple[TrainState, dict[str, jax.Array]]]]
    scoring: Scoring
    reports: Reports
    checkpoints: Checkpoints
    watch: Watch

    def __post_init__(self):
        # Metrics on the devices, and where the run will stand when they are there.
        self._pending: tuple[Progress, dict[str, jax.Array]] | None = None
        self._scores: Mapping[str, Score] = {}
        self._skipped = Skipped(self.resolved.experiment.skip_non_finite)
        # Rows of each component, as the devices counted them in what was delivered.
        self._rows = self.resolved.realised(self.progress.rows)

    def run(self, state: TrainState, batches: Iterator[Batch]) -> bool:
        """Trains to the end, or until told to leave, and saves; whether it is all done.

        state: given up (its buffers are reused). batches: the rows from `progress.rows` on.
        """
        self.watch.preemption.enter_loop()
        self.watch.watchdog.begin("step")
        with self.reports.terminal.running(), self._divergence_told():
            leaving = self._evaluation_is_due() and self._evaluate(state)
            while self.progress.step < self.resolved.total_steps and not leaving:
                self.reports.profile.before(self.progress.step, state)
                state = self._dispatch(state, self._next(batches))
                due = self._save_is_due()
                if not due and not self._evaluation_is_due():
                    self.watch.pace.wait()
                leaving = self.watch.preemption.reached()
                if self._evaluation_is_due() and not leaving:
                    leaving = self._evaluate(state)
                if due or leaving:
                    self._save(state)
            self.reports.profile.close(self.progress.step, state)
            self.watch.watchdog.begin("checkpoint")
            self.checkpoints.wait()
        return self.progress.step == self.resolved.total_steps and not self._evaluation_is_due()

    def _evaluation_is_due(self) -> bool:
        due = self._validation_is_on_time() or self._tasks_are_on_time()
        return due and self.progress.evaluated != self.progress.step

    def _validation_is_on_time(self) -> bool:
        return self.scoring.validation is not None and self._on_time(self.settings.eval_every_steps)

    def _tasks_are_on_time(self) -> bool:
        return self.scoring.tasks is not None and self._on_time(self.settings.tasks_every_steps)

    def _on_time(self, every: int) -> bool:
        step = self.progress.step
        return every > 0 and (step % every == 0 or step == self.resolved.total_steps)

    def _save_is_due(self) -> bool:
        step = self.progress.step
        if self.settings.saves(step) or step == self.resolved.total_steps:
            return True
        return self.watch.clock.due(step)

    def _told_to_leave(self) -> bool:
        """Asked after each piece of validation or of a task."""
        self.watch.watchdog.end()
        return self.watch.preemption.reached()

    def _next(self, batches: Iterator[Batch]) -> Batch:
        with self.reports.window.spending("data"):
            return next(batches)

    def _dispatch(self, state: TrainState, batch: Batch) -> TrainState:
        """Hands a step to the devices, then waits for the one before it."""
        with jax.transfer_guard("disallow"):
            state, device_metrics = self.train_steps[len(batch.component)](
                state, batch.tokens, batch.component, **batch.packing
            )
        self._collect()
        steps, step = self.resolved.steps, self.progress.step
        if step > steps.first and steps.size(step) != steps.size(step - 1):
            self.watch.another_size()
        self.progress = dataclasses.replace(
            self.progress,
            step=step + 1,
            rows=steps.done(step + 1),
            phase=self.resolved.schedule.phases[steps.phase(step)].name,
        )
        self._pending = (self.progress, device_metrics)
        return state

    def _collect(self) -> None:
        """Waits for the metrics that are pending; reports where a report is due."""
        if self._pending is None:
            return
        (at, device_metrics), self._pending = self._pending, None
        fetched = metrics.fetch(device_metrics)
        self.watch.watchdog.end()
        self.watch.pace.ended()
        self.watch.grace.check(self.watch.pace.step_seconds)
        self._rows += fetched["component_rows"]
        steps = self.resolved.steps
        rows = range(steps.begin(at.step - 1), at.rows)
        if note := self._skipped.note(at.step, rows, fetched):
            self.reports.log.event("skipped", at.step, rows=[rows.start, rows.stop])
            return self.reports.terminal.line(note)
        self.reports.window.add(at.step, fetched)
        if at.step % self.settings.log_every_steps == 0 or at.step == self.resolved.total_steps:
            tokens = steps.trained(at.rows) * self.resolved.experiment.sequence_length
            place = {"phase": at.phase, "rows": at.rows, "tokens": tokens}
            line = place | self.reports.window.report()
            self.reports.log.metrics(at.step, line)
            self.reports.terminal.step(at.step, line)

    def _evaluate(self, state: TrainState) -> bool:
        """Validates and evaluates tasks; True when told to leave meanwhile: a resume does both."""
        self._collect()
        with self._watched("validation"):
            if self._validation_is_on_time() and not self._validate(state):
                return True
            if self._tasks_are_on_time() and not self._score_tasks(state):
                return True
        self.progress = dataclasses.replace(self.progress, evaluated=self.progress.step)
        return False

    def _validate(self, state: TrainState) -> bool:
        """False when told to leave meanwhile; nothing is reported then."""
        validation, weights = self.scoring.validation, self.resolved.experiment.weights
        assert validation is not None  # else none is on time
        scores = validation.run(state.chosen(weights), stop=self._told_to_leave)
        if scores is None:
            return False
        step = self.progress.step
        of = {} if weights == PLAIN else {"weights": weights}
        self.reports.log.validation(step, validation.report(scores, self.scoring.baseline) | of)
        self.reports.terminal.show(
            validation.table(step, scores, self.scoring.baseline, self._scores)
        )
        self._scores = scores
        wrong = sorted(name for name, score in scores.items() if not math.isfinite(score.nats))
        if wrong:
            raise Diverged(
                f"step {step}: the validation of {', '.join(wrong)} is no number; nothing is saved, so "
                "go on from a checkpoint before it (--resume_step=STEP)."
            )
        return True

    def _score_tasks(self, state: TrainState) -> bool:
        """False when told to leave meanwhile; nothing is reported then."""
        self.watch.watchdog.begin("evaluation")
        assert self.scoring.tasks is not None  # else none is on time
        scores = self.scoring.tasks.run(self.scoring.merged(state), stop=self._told_to_leave)
        if scores is None:
            return False
        self.reports.log.evaluation(self.progress.step, scores)
        for line in evaluation.lines(self.progress.step, scores):
            self.reports.terminal.line(line)
        return True

    def _save(self, state: TrainState) -> None:
        self._collect()  # raises if the step went wrong: what is saved has finite loss and gradients
        with self._watched("checkpoint"):
            at = self.progress
            replicas.check(state, at.step)
            self.reports.log.ledger(at.step, self.resolved.ledger(at.rows, self._rows).as_line())
            self.reports.log.event("save", at.step)
            self.watch.grace.saving()
            self.checkpoints.save(state, self.progress)
            self.reports.log.flush()
        self.watch.clock.saved(at.step)

    @contextlib.contextmanager
    def _divergence_told(self) -> Iterator[None]:
        """What is being saved stands before it; nothing is saved after it."""
        try:
            yield
        except Diverged as error:
            self.reports.log.event("diverged", self.progress.step, told=str(error))
            self.reports.log.flush()
            raise

    @contextlib.contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Counts the time of other work than steps, and watches that it ends."""
        self.watch.watchdog.begin(what)
        with self.reports.window.spending(what):
            yield
        self.watch.watchdog.begin("step")
        self.watch.pace.interrupted()
