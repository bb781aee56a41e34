"""The training run, straight down: check, open, compile, restore, step after step, leave.

`loop` has what happens between two steps. Which rows a step reads follows from its number.
"""

import contextlib
import dataclasses
import functools
import sys
import time
from typing import Any

import jax

from polylm_jax.checkpoints.checkpoint import Checkpoints, Progress
from polylm_jax.data import batches as data
from polylm_jax.data.stores.verify import verify
from polylm_jax.errors import InputError
from polylm_jax.model import devices, partitioning
from polylm_jax.runtime import paths
from polylm_jax.runtime.ranges import Natural
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.terminal import Terminal
from polylm_jax.training import (
    agreement,
    metrics,
    preemption,
    rewind,
    run_directory,
    run_summary,
    time_account,
    validation,
)
from polylm_jax.training import start as run_start
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.heartbeat import Peers
from polylm_jax.training.log import RunLog
from polylm_jax.training.loop import Loop, Reports, Scoring, Watch
from polylm_jax.training.preemption import Preemption
from polylm_jax.training.profiling import Profile, on_demand
from polylm_jax.training.programs import Programs
from polylm_jax.training.settings import Settings


@spread("settings")
def train(
    experiment: Experiment,
    model_dir: str,
    *,
    init_from: str | None = None,
    init_step: Natural | None = None,
    settings: Settings,
) -> None:
    """Trains a model, or goes on training it: the newest checkpoint in MODEL_DIR is the start.

    experiment: what is trained: a `training.Experiment`.
    model_dir: the run's folder, local or gs://.
    init_from, init_step: the experiment's, where earlier versions had them.

    Raises InputError for bad input, before anything compiles; Diverged where the numbers end;
    CorruptReplica where devices disagree; SystemExit(143) when told to leave.
    """
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
    settings.check()
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

    # Log, profile and terminal, which each step reports to.
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
    evaluates = settings.eval_every_steps or settings.tasks_every_steps
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
    if settings.eval_every_steps:
        with terminal.timed("compiling validation"):
            held_out, baseline = validation.compiled(programs, settings.eval_rows)
        if held_out is None:
            terminal.line("no text is held out: there is no validation")
    if state is None:
        state = programs.fresh_state()
    log.event("compiled", start.step, seconds=time.time() - begun)
    window = metrics.window(resolved, programs.objective.metrics)
    loop = Loop(
        resolved,
        settings,
        start,
        train_steps,
        Scoring(held_out, baseline, tasks, programs.merged),
        Reports(window, log, terminal, profile),
        checkpoints,
        watch,
    )
    done = loop.run(state, batches)
    last = loop.reports.window.unreported  # a validation and a save after the last report
    log.event("end" if done else "leave", loop.progress.step, rows=loop.progress.rows, seconds=last)
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
