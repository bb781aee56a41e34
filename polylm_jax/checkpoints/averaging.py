"""`run.py average`: checkpoints of one run averaged into one, a block at a time, in little memory.

OUTPUT/checkpoints/STEP/params, progress   what INIT_FROM, export, evaluate and serve read; STEP is
                                           the newest of those averaged; no optimizer
"""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from polylm_jax.checkpoints import damage
from polylm_jax.checkpoints.checkpoint import item_of
from polylm_jax.checkpoints.identity import Checkpoint, identify
from polylm_jax.checkpoints.param_store import Reader, reader_of
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.checkpoints.progress import Progress
from polylm_jax.errors import InputError
from polylm_jax.model.averaging import PLAIN
from polylm_jax.runtime import output_folder
from polylm_jax.runtime.ranges import Natural, Share


def average(
    checkpoint: str,
    output: str,
    steps: Sequence[Natural],
    *,
    weights: str = PLAIN,
    decay: Share = 1.0,
    overwrite: bool = False,
) -> None:
    """Averages checkpoints of one run into a checkpoint of its own, without an optimizer.

    checkpoint: MODEL_DIR of the run, local or gs://.
    steps: which of its checkpoints.
    output: the folder to make, a MODEL_DIR that INIT_FROM, `export`, `evaluate` and `serve` take.
    weights: 'plain', or 'average' for the averages that the run keeps; one step alone is then that.
    decay: what a checkpoint counts of the next newer one; 1: all alike.
    overwrite: replaces an output that exists.

    Sums are made in float64. Raises InputError for bad input, with nothing written.
    """
    steps = _checked(steps, decay, weights)
    place = output_folder.check(output, overwrite, checkpoint)
    with damage.advising(""):  # no other one stands for a damaged one
        found = [identify(checkpoint, step, weights) for step in steps]
        _check_alike(found)
        newest, progress = found[-1]
        item = item_of(checkpoint, progress, weights)
        readers = [reader_of(checkpoint, each, item) for _, each in found]
    shares = decay ** np.arange(len(steps) - 1, -1, -1, dtype=np.float64)
    shares /= shares.sum()
    began, shapes = time.monotonic(), readers[-1].shapes
    size = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    about = {
        "weights": weights,
        "checkpoints": {str(one.step): one.identity for one, _ in found},
        "shares": shares.tolist(),
    }
    # Whose place in the data it would be isn't said: it is a start, not a run to be gone on with.
    made = dataclasses.replace(
        progress, rows=0, phase="average", evaluated=-1,
        fingerprint={**progress.fingerprint, "averaged": about},
    )  # fmt: skip
    with damage.advising(""), output_folder.building(output, size, overwrite) as folder:
        writer = Writer(folder, shapes, made)
        _write(writer, readers, shares)
        writer.close()
    seconds = time.monotonic() - began
    print(
        f"{checkpoint}, steps {', '.join(map(str, steps))} ({weights}) -> {place}: step "
        f"{newest.step}, {size / 1e9:.2f} GB of float32 in {seconds:.1f} s"
    )


def _checked(steps: Sequence[int], decay: float, weights: str) -> list[int]:
    """The steps, rising; InputError for what can't be averaged."""
    wrong = [step for step in steps if not isinstance(step, int) or step < 0]
    if not steps or wrong or len(set(steps)) < len(steps):
        raise InputError(f"steps = {steps!r}: give steps of checkpoints, each once.")
    if len(steps) == 1 and weights == PLAIN:
        raise InputError(
            f"steps = {steps!r}: one checkpoint is its own average; name two, or say "
            "WEIGHTS = 'average' for the average that its run kept."
        )
    if not 0 < decay <= 1:
        raise InputError(f"decay = {decay}: give a number above 0, up to 1.")
    return sorted(steps)


def _check_alike(found: Sequence[tuple[Checkpoint, Progress]]) -> None:
    """InputError for adapters, and for checkpoints that are no points of one run."""
    newest, progress = found[-1]
    if progress.base:
        raise InputError(
            f"{newest.path} holds adapters to {progress.base}: a product of means is no mean of "
            "products; average runs whose parameters are whole."
        )
    for name in ("start", "vocabulary", "model", "seed"):
        for one, other in found:
            if other.fingerprint.get(name) != progress.fingerprint.get(name):
                raise InputError(
                    f"{newest.path}: steps {one.step} and {newest.step} differ in {name}: average "
                    "checkpoints of one run."
                )


def _write(writer: Writer, readers: Sequence[Reader], shares: np.ndarray) -> None:
    """Block by block of all of them, cut as the newest one's chunks lie."""
    for name in readers[-1].shapes:
        block = readers[-1].block(name)
        for parts in zip(*(reader.blocks(name, block) for reader in readers), strict=True):
            start = parts[0][0]
            with np.errstate(invalid="ignore"):  # of damage, which the reader tells of at its end
                mean = sum(
                    share * values.astype(np.float64)
                    for share, (_, values) in zip(shares, parts, strict=True)
                )
            stop = (begin + size for begin, size in zip(start, mean.shape, strict=True))
            writer.write(name, tuple(map(slice, start, stop)), mean.astype(np.float32))
