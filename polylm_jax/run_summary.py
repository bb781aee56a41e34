"""What a run tells before its first step: what is trained, on what, from where, how much of it."""

from collections.abc import Iterator

import jax
import rich.box
import rich.table

from polylm_jax import ledger
from polylm_jax.checkpoint import Progress
from polylm_jax.experiment import Resolved
from polylm_jax.ledger import Ledger
from polylm_jax.terminal import count


def lines(resolved: Resolved, start: Progress, total: int, changes: list[str]) -> Iterator[str]:
    """Sentences for the terminal; the last ones are warnings."""
    experiment = resolved.experiment
    device = jax.devices()[0].device_kind
    shape = " x ".join(map(str, resolved.mesh_shape))
    tokens = (total - start.step) * experiment.batch_size * experiment.sequence_length
    yield (
        f"{count(experiment.model.num_params)} parameters on {jax.device_count()} {device} devices "
        f"as data x fsdp x tensor = {shape}"
    )
    yield (
        f"step {start.step} to {total}, {experiment.batch_size} rows of "
        f"{experiment.sequence_length} tokens each: {count(tokens)} tokens"
    )
    for change in changes:
        yield f"changed since the checkpoint: {change}"
    rows = {name: resolved.rows.num_rows(name) for name in resolved.schedule.trained}
    yield from ledger.warnings(ledger.epochs(resolved.schedule, rows), experiment.max_epochs)


def ledger_table(book: Ledger) -> rich.table.Table:
    """Tokens of each component, then of each language: planned, realised, times read."""
    title = f"Tokens after {book.row:,} rows"
    table = rich.table.Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    for number, column in enumerate(("component", "language", "planned", "rows give", "epochs")):
        table.add_column(column, justify="right" if number > 1 else "left", no_wrap=True)
    for line in book.components:
        epochs = "" if line.epochs is None else f"{line.epochs:.2f}"
        table.add_row(
            line.component, line.language, count(line.planned_tokens), count(line.tokens), epochs
        )
    table.add_section()
    for line in book.languages:
        table.add_row("", line.language, count(line.planned_tokens), count(line.tokens), "")
    return table
