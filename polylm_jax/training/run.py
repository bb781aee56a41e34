"""The training run, straight down: check, open, compile, restore, step after step, leave.

`loop` has what happens between two steps. Which rows a step reads follows from its number.
"""

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from polylm_jax.checkpoints.checkpoint import Checkpoints, Progress
from polylm_jax.data import batches as data
from polylm_jax.data.stores.verify import verify
from polylm_jax.errors import InputError
from polylm_jax.model import devices, partitioning
from polylm_jax.runtime import paths
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Positive
from polylm_jax.runtime.terminal import Terminal
from polylm_jax.training import (
    agreement,
    metrics,
    preemption,
    rewind,
    run_directory,
    run_summary,
    save_clock,
    time_account,
    validation,
)
from polylm_jax.training import start as run_start
from polylm_jax.training.evaluation import Evaluation
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.heartbeat import SILENT_SECONDS, Peers
from polylm_jax.training.log import RunLog
from polylm_jax.training.loop import Cadence, Loop, Watch
from polylm_jax.training.preemption import Preemption
from polylm_jax.training.profiling import Profile, on_demand
from polylm_jax.training.programs import Programs
from polylm_jax.training.watchdog import HUNG_SECONDS


@dataclasses.dataclass(frozen=True)
class Settings:
    """The parameters of `train`, as it documents them."""

    save_every_steps: int
    save_every_minutes: float | None
    keep_last: int
    keep_every: int | None
    keep_at: Sequence[int]
    eval_every_steps: int
    eval_rows: int
    evaluation: Evaluation | None
    log_every_steps: int
    resume_step: int | None
    allow_changes: bool
    grace_seconds: float
    silent_seconds: int
    hung_seconds: float
    tensorboard: bool
    wandb_project: str | None
    profile_steps: int
    compilation_cache_dir: str
    recipe: str
    allow_older_checkpoint: bool
    verify_stores: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Settings":
        """From a mode's arguments by their names, `locals()` at its head; the others are left."""
        return cls(**{field.name: arguments[field.name] for field in dataclasses.fields(cls)})

    @property
    def cadence(self) -> Cadence:
        tasks = self.evaluation.check().every_steps if self.evaluation else 0
        every = (self.log_every_steps, self.eval_every_steps, self.save_every_steps, tasks)
        return Cadence(*every, frozenset(self.keep_at)).check()


def train(
    experiment: Experiment,
    model_dir: str,
    *,
    save_every_steps: Count = 1000,
    save_every_minutes: Positive | None = save_clock.MINUTES,
    keep_last: Count = 2,
    keep_every: Count | None = None,
    keep_at: Sequence[Natural] = (),
    eval_every_steps: Natural = 1000,
    eval_rows: Count = 128,
    evaluation: Evaluation | None = None,
    log_every_steps: Count = 10,
    init_from: str | None = None,
    init_step: Natural | None = None,
    resume_step: Natural | None = None,
    allow_changes: bool = False,
    grace_seconds: NonNegative = 25.0,
    silent_seconds: Count = SILENT_SECONDS,
    hung_seconds: Positive = HUNG_SECONDS,
    tensorboard: bool = True,
    wandb_project: str | None = None,
    profile_steps: Natural = 0,
    compilation_cache_dir: str = "~/.cache/polylm_jax",
    recipe: str = "",
    allow_older_checkpoint: bool = False,
    verify_stores: bool = False,
) -> None:
    """Trains a model, or goes on training it: the newest checkpoint in MODEL_DIR is the start.

    save_every_steps, save_every_minutes: a checkpoint after so many steps, and after so many minutes
    without one (None: by steps alone). keep_last, keep_every: how many stay; every `keep_every` steps
    one for good. keep_at: steps whose checkpoints are saved and stay, too: where others branch off.
    eval_every_steps, eval_rows: validation, on at most so many rows of each component.
    evaluation: SeqIO tasks that are evaluated on the way, and every how many steps.
    init_from, init_step: the experiment's, where earlier versions had them.
    resume_step: goes on from this checkpoint; newer ones are moved to MODEL_DIR/set_aside, once for a
    recipe, so that the same command may be started again.
    allow_changes: goes on although the recipe differs from the checkpoint's.
    grace_seconds: after SIGTERM the run saves and leaves with exit code 143 within this time, or with
    75 when that was too short.
    silent_seconds: of several processes, after how long without a sign from one the others leave.
    hung_seconds: a step that takes ten times as long as any before it, and at least this, hangs: the
    run leaves with exit code 1.
    wandb_project: also reports to Weights & Biases, where it is installed.
    profile_steps: so many steps are traced, from the fourth on, into MODEL_DIR/profile for TensorBoard.
    compilation_cache_dir: compiled programs are kept here (by JAX; gs:// too) for the next start; ''
    keeps none.
    recipe: the resolved config, written beside the checkpoints before the first step.
    allow_older_checkpoint: a damaged checkpoint is set aside, and the next older one is the start.
    verify_stores: the token stores are read whole first, and every part compared with its SHA-256.

    Raises InputError for bad input, before anything compiles; Diverged where the numbers end;
    CorruptReplica where devices disagree; SystemExit(143) when told to leave.
    """
    settings = Settings.of(locals())
    run(_begun(experiment, init_from, init_step), model_dir, settings)


def _begun(experiment: Experiment, init_from: str | None, init_step: int | None) -> Experiment:
    """The experiment with the start that `train` was given, as earlier versions had it."""
    both = {"init_from": init_from, "init_step": init_step}
    given: dict[str, Any] = {name: value for name, value in both.items() if value is not None}
    for name, value in given.items():
        if (own := getattr(experiment, name)) not in (None, value):
            raise InputError(
                f"train.{name} = {value!r} and Experiment.{name} = {own!r}: leave train's out."
            )
    return dataclasses.replace(experiment, **given)


def run(
    experiment: Experiment,
    model_dir: str,
    settings: Settings,
    programs: type[Programs] = Programs,
) -> None:
    """`train` and `finetune` alike; the experiment says which rows, `programs` what is trained."""
    devices.start(settings.compilation_cache_dir)
    with Preemption(settings.grace_seconds) as leaving, contextlib.ExitStack() as stack:
        stack.enter_context(Peers(lambda: leaving.flush(), settings.silent_seconds))
        try:
            done = _run(experiment, model_dir, settings, programs, leaving, stack)
        except Exception as error:
            if jax.process_count() == 1:
                raise
            if isinstance(error, InputError):
                agreement.refuse(error)
            preemption.leave_alone(error, leaving.flush)
    if not done:
        sys.exit(leaving.exit_code)


def _run(
    experiment: Experiment,
    model_dir: str,
    settings: Settings,
    programs_type: type[Programs],
    leaving: Preemption,
    stack: contextlib.ExitStack,
) -> bool:
    """Whether the run is done; not, when it was told to leave. `stack` closes what it opens."""
    # All that can be wrong, in seconds.
    cadence = settings.cadence
    resolved = experiment.resolve()
    if settings.verify_stores:
        for store in resolved.stores.values():
            verify(store, (jax.process_index(), jax.process_count()))
    agreement.agree("recipe", lambda: agreement.decides(resolved, settings))
    directory = run_directory.held(model_dir)
    if directory:
        stack.callback(directory.close)
    rewind.to(directory, settings.resume_step, settings.recipe)
    keep = {name: getattr(settings, name) for name in ("keep_last", "keep_every", "keep_at")}
    checkpoints = Checkpoints(model_dir, **keep)
    stack.callback(checkpoints.close)
    start, changes, programs, state = run_start.begin(
        checkpoints, model_dir, resolved, settings, programs_type
    )
    resolved = programs.resolved  # as it stands where the run goes on
    total = resolved.total_steps

    # Who hears of it.
    log = RunLog.of(directory, start.step, settings)
    stack.callback(log.close)
    stack.callback(checkpoints.wait)  # its commits are told in the log
    leaving.flush = log.flush
    folder = f"{paths.resolve(model_dir, 'MODEL_DIR')}/profile"
    profile = Profile(folder, start.step, settings.profile_steps, log.event)
    stack.enter_context(on_demand(profile, directory.folder.local if directory else None))
    terminal = Terminal(total, start.step, enabled=directory is not None)
    watch = Watch.of(settings, start.step, leaving, terminal, log)
    stack.enter_context(watch.watchdog)
    checkpoints.on_commit = functools.partial(_committed, watch, log)
    if directory:
        directory.write_fingerprint(start.fingerprint)
        recipe = directory.write_recipe(settings.recipe)
        log.event("start", start.step, **_place(start, total, log, recipe, changes))
    run_summary.show(terminal, resolved, start, total, changes)
    assert resolved.rows is not None and resolved.tokenizer is not None
    tasks = None
    if settings.evaluation:
        with terminal.timed("reading evaluation tasks"):
            tasks = settings.evaluation.open(experiment.model, resolved.tokenizer, programs.mesh)
    evaluates = cadence.evaluate or cadence.tasks
    if total == start.step and (start.evaluated == total or not evaluates):
        terminal.line(f"all {total} steps are done")
        return True

    # Rows on their way and programs compiled, then step after step.
    batches = data.batches(
        resolved.rows,
        partitioning.batch_sharding(programs.mesh),
        resolved.steps,
        start.step,
    )
    stack.callback(batches.close)
    begun = time.time()
    with terminal.timed("compiling the train step"):
        train_steps = programs.train_steps(start.step)
    held_out, baseline = None, dict[str, validation.Score]()
    if cadence.evaluate:
        with terminal.timed("compiling validation"):
            held_out, baseline = validation.compiled(programs, settings.eval_rows)
        if held_out is None:
            terminal.line("no text is held out: there is no validation")
    log.event("compiled", start.step, seconds=time.time() - begun)
    loop = Loop(
        resolved=resolved,
        progress=start,
        total=total,
        cadence=cadence,
        train_steps=train_steps,
        validation=held_out,
        baseline=baseline,
        tasks=tasks,
        window=metrics.window(resolved, programs.objective.metrics),
        checkpoints=checkpoints,
        preemption=leaving,
        log=log,
        terminal=terminal,
        profile=profile,
        merged=programs.merged,
        watch=watch,
    )
    done = loop.run(state, batches)
    log.event("end" if done else "leave", loop.progress.step, rows=loop.progress.rows)
    if directory:
        log.flush()
        terminal.line(time_account.line(time_account.of(directory.folder)))
    return done


def _committed(watch: Watch, log: RunLog, step: int) -> None:
    watch.grace.committed()
    log.event("commit", step)


def _place(start: Progress, total: int, log: RunLog, recipe: str, changes: list[str]) -> dict:
    """What the log keeps of a start; `reached` minus its step is how many steps are done again."""
    return {
        "rows": start.rows,
        "total": total,
        "reached": log.reached,
        **log.before,
        "recipe": recipe,
        "changes": changes,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
    }
