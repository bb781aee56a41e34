"""What a run tells before its first step: what is trained, on what, from where, how much of it."""

from collections.abc import Iterator

import jax
import rich.table

from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.data.mixture import ledger
from polylm_jax.runtime.fingerprint import shown
from polylm_jax.runtime.terminal import Terminal, count
from polylm_jax.training import inspection_view
from polylm_jax.training.experiment import SEED, Resolved


def lines(resolved: Resolved, start: Progress, total: int, changes: list[str]) -> Iterator[str]:
    """Sentences for the terminal; the last ones are warnings."""
    experiment = resolved.experiment
    device = jax.devices()[0].device_kind
    shape = " x ".join(map(str, resolved.mesh_shape))
    steps = resolved.steps
    tokens = (steps.place(total) - steps.place(start.step)) * experiment.sequence_length
    yield (
        f"{count(experiment.model.num_params)} parameters on {jax.device_count()} {device} devices "
        f"as data x fsdp x tensor = {shape}"
    )
    sizes = " then ".join(map(str, steps.sizes_from(start.step) or steps.sizes[-1:]))
    yield (
        f"step {start.step} to {total}, {sizes} rows of {experiment.sequence_length} tokens each: "
        f"{count(tokens)} tokens"
    )
    if start.step == 0 and start.fingerprint["start"] != SEED:
        path = experiment.start_place()[0]
        yield f"starts with the parameters of {path} ({shown(start.fingerprint['start'])})"
    if ahead := steps.skipped.since(start.rows):
        yield f"SKIP_ROWS: {ahead.text} are left out, {ahead.count} of the run's {steps.boundaries[-1]}"
    assert resolved.rows is not None  # a run has its stores
    yield from resolved.rows.notes()
    yield from experiment.notes()
    for change in changes:
        yield f"changed since the checkpoint: {change}"
    rows = {name: resolved.rows.num_rows(name) for name in resolved.schedule.trained}
    if repetition := resolved.rows.repetition:
        yield from repetition.notes(rows)
    yield from ledger.warnings(ledger.epochs(resolved.schedule, rows), experiment.max_epochs)


def ledger_tables(resolved: Resolved, start: Progress, total: int) -> list[rich.table.Table]:
    """Tokens by component and by language, of all rows up to the last step, `total`."""
    row = resolved.steps.done(total)
    repeats = resolved.experiment.repeat_as_tokens is not None
    book = resolved.ledger(row).as_dict() | {"step": total, "repeats": repeats}
    return inspection_view.ledger_tables(book, (), resolved.experiment.max_epochs)


def show(
    terminal: Terminal, resolved: Resolved, start: Progress, total: int, changes: list[str]
) -> None:
    """All of it, in the terminal."""
    for line in lines(resolved, start, total, changes):
        terminal.line(line)
    for table in ledger_tables(resolved, start, total):
        terminal.show(table)
