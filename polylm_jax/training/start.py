"""Where a run begins: at its newest checkpoint, with another run's parameters, or from the seed."""

import dataclasses

from polylm_jax.checkpoints.checkpoint import Checkpoints, Progress, read_progress
from polylm_jax.errors import InputError
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.programs import Programs
from polylm_jax.training.run_directory import check_resume
from polylm_jax.training.train_state import TrainState


def progress(
    checkpoints: Checkpoints, model_dir: str, resolved: Resolved, recipe: str, allow_changes: bool
) -> tuple[Progress, list[str]]:
    """Where the run goes on, and in what it differs from the checkpoint (if that is allowed)."""
    fresh = Progress(
        step=0,
        rows=0,
        batch_size=resolved.experiment.batch_size,
        phase=resolved.schedule.phases[0].name,
        fingerprint=resolved.fingerprint(),
        recipe=recipe,
        base=resolved.experiment.adapted_base(),
    )
    newest = checkpoints.newest()
    if newest is None:
        return fresh, []
    old = checkpoints.progress(newest)
    changes = check_resume(
        f"{model_dir}, at step {newest},",
        old.fingerprint,
        fresh.fingerprint,
        allow_changes,
    )
    if old.batch_size != fresh.batch_size:
        changes.append(f"batch_size: {old.batch_size} -> {fresh.batch_size}")
    kept = {name: getattr(old, name) for name in ("step", "rows", "phase", "evaluated")}
    return dataclasses.replace(fresh, **kept), changes


def state(
    programs: Programs,
    checkpoints: Checkpoints,
    start: Progress,
    init_from: str | None,
    init_step: int | None,
    allow_changes: bool,
) -> TrainState:
    """Restored, or born from another run's parameters or from the seed."""
    if start.step:
        restored = checkpoints.restore(start.step, programs.abstract_state)
        return programs.completed(restored, init_from, init_step)
    if init_from is None:
        return programs.fresh_state()
    theirs = read_progress(init_from, init_step).fingerprint["vocabulary"]
    if theirs != start.fingerprint["vocabulary"] and not allow_changes:
        raise InputError(
            f"INIT_FROM = {init_from!r} was trained with the vocabulary {theirs[:12]} and "
            f"this recipe has {start.fingerprint['vocabulary'][:12]}: give it that one, or "
            "allow_changes = True where the change is meant."
        )
    return programs.state_from(init_from, init_step)
