"""Where a run begins: at its newest checkpoint, with another run's parameters, or from the seed."""

import dataclasses
import functools
import sys
from collections.abc import Callable

from etils import epath

from polylm_jax.checkpoints import damage
from polylm_jax.checkpoints.checkpoint import Checkpoints, Progress, read_progress
from polylm_jax.checkpoints.damage import DamagedCheckpoint
from polylm_jax.data.mixture import row_ranges
from polylm_jax.errors import InputError
from polylm_jax.training import agreement, identity
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.programs import Programs
from polylm_jax.training.run_directory import UNKNOWN, check_resume
from polylm_jax.training.settings import Settings
from polylm_jax.training.train_state import TrainState


def begin(
    checkpoints: Checkpoints,
    model_dir: str,
    resolved: Resolved,
    settings: Settings,
    programs: type[Programs],
) -> tuple[Progress, list[str], Programs, TrainState | None]:
    """Where the run goes on, what has changed since, its programs and its state.

    The state is None where it comes from the seed: that reads nothing, and can follow what is compiled.
    InputError for what can't be gone on from; a damaged checkpoint of this
    run is passed over where that is allowed.
    """
    passed_over: list[str] = []
    while True:
        try:
            start, changes = progress(
                checkpoints, model_dir, resolved, settings.recipe, settings.allow_changes
            )
            place: Callable[[], dict] = functools.partial(dict, step=start.step, rows=start.rows)
            agreement.agree(f"start {len(passed_over)}", place)
            skipped = identity.skipped(start.fingerprint)
            made = programs(resolved.going_on(start.step, start.rows, skipped))
            if room := checkpoints.room_for(made.abstract_state):
                print(room, file=sys.stderr)
            begun = state(made, checkpoints, start, settings.allow_changes)
            return start, passed_over + changes, made, begun
        except DamagedCheckpoint as error:
            if not checkpoints.owns(error):
                base = getattr(resolved.experiment, "base", "")
                flag = "--gin.BASE_STEP={step}" if base else "--init_step={step}"
                raise DamagedCheckpoint(error.folder, error.why, flag) from error
            older = damage.older(epath.Path(error.folder))
            if older is None or not settings.allow_older_checkpoint:
                flag = "--allow_older_checkpoint"
                raise DamagedCheckpoint(error.folder, error.why, flag) from error
            passed_over.append(
                f"{error.folder} is damaged ({error.why}), set aside as "
                f"{checkpoints.set_aside(error)}: goes on from step {older}"
            )


def progress(
    checkpoints: Checkpoints, model_dir: str, resolved: Resolved, recipe: str, allow_changes: bool
) -> tuple[Progress, list[str]]:
    """Where the run goes on, and in what it differs from the checkpoint (if that is allowed)."""
    newest = checkpoints.newest()
    old = None if newest is None else checkpoints.progress(newest)
    begun, gone = _begun(resolved, old)
    notes: list[str] = []
    if old is not None:
        was = identity.skipped(old.fingerprint)
        skipped, notes = row_ranges.going_on(was, resolved.steps.skipped, old.rows)
        resolved = resolved.going_on(old.step, old.rows, skipped)
    fresh = Progress(
        step=0,
        rows=0,
        batch_size=resolved.experiment.batch_size,
        phase=resolved.schedule.phases[0].name,
        fingerprint=identity.fingerprint(resolved, begun),
        recipe=recipe,
        base=resolved.experiment.adapted_base(),
    )
    if old is None:
        return fresh, []
    known = {**old.fingerprint, "batch_size": old.batch_size}
    known, new = (
        {n: v for n, v in one.items() if n != identity.SKIPPED}
        for one in (known, fresh.fingerprint)
    )
    where = f"{model_dir}, at step {newest},"
    changes = check_resume(where, known, new, allow_changes, ("batch_size", "batch_sizes"))
    kept = {name: getattr(old, name) for name in ("step", "rows", "phase", "evaluated")}
    return dataclasses.replace(fresh, **kept), [*changes, *notes, *gone]


def _begun(resolved: Resolved, old: Progress | None) -> tuple[str, list[str]]:
    """Where the run has begun, and a sentence where that isn't there to be compared any more."""
    try:
        return resolved.start, []
    except InputError as error:
        if old is None:
            raise
        path = resolved.experiment.start_place()[0]
        begun = old.fingerprint.get("start", UNKNOWN)
        return begun, [f"start: {path!r} can't be compared, the run goes on without it ({error})"]


def state(
    programs: Programs, checkpoints: Checkpoints, start: Progress, allow_changes: bool
) -> TrainState | None:
    """Restored, or born from another run's parameters; None where it is to come from the seed."""
    init_from, init_step = programs.resolved.experiment.start_place()
    if start.step:
        restored = checkpoints.restore(start.step, programs.abstract_state)
        return programs.completed(restored, init_from, init_step)
    if init_from is None:
        return None
    theirs = read_progress(init_from, init_step).fingerprint["vocabulary"]
    if theirs != start.fingerprint["vocabulary"] and not allow_changes:
        raise InputError(
            f"INIT_FROM = {init_from!r} was trained with the vocabulary {theirs[:12]} and "
            f"this recipe has {start.fingerprint['vocabulary'][:12]}: give it that one, or "
            "--allow_changes where the change is meant."
        )
    return programs.state_from(init_from, init_step)
