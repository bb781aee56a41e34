"""Checkpoints from t5x to ours and back, bit by bit, a piece at a time; t5x needn't be installed.

t5x (with Orbax, its default) has the same arrays under other names:

    t5x  MODEL_DIR/checkpoint_STEP/state     target.wte.embedding, state.param_states.1.mu.wte...
    ours MODEL_DIR/checkpoints/STEP/params   wte.embedding
                                  /optimizer 1.mu.wte.embedding

and beside `state`, where t5x looks for its place in the data, export_t5x writes ours as rows.json,
which t5x_rows goes on from.
"""

import json
import pathlib
import re
import time
from collections.abc import Mapping

import numpy as np
import orbax.checkpoint as ocp

from polylm_jax.checkpoints.checkpoint import OPTIMIZER, Progress
from polylm_jax.checkpoints.hf import param_table
from polylm_jax.checkpoints.identity import Selection, fitting_tokenizer, imported
from polylm_jax.checkpoints.layout import located
from polylm_jax.checkpoints.param_store import (
    AnyReader,
    ArrayWriter,
    Reader,
    folder_of,
    open_params,
    reader_of,
)
from polylm_jax.checkpoints.params_writer import Writer, placeholders
from polylm_jax.errors import InputError
from polylm_jax.model.averaging import PLAIN
from polylm_jax.runtime import output_folder
from polylm_jax.runtime.ranges import Natural
from polylm_jax.runtime.spread import spread

PREFIX, ITEM = "checkpoint", "state"
DATA, PLACE = "dataset", "rows.json"
TARGET, MOMENTS, STEP = "target.", "state.param_states.", "state.step"


def import_t5x(
    t5x_checkpoint: str,
    output: str,
    vocabulary: str,
    *,
    step: Natural | None = None,
    overwrite: bool = False,
) -> None:
    """Makes a checkpoint of ours from one of t5x: parameters in float32, no optimizer state.

    t5x_checkpoint, step: MODEL_DIR of a t5x run and which checkpoint (its newest one), or the
    folder checkpoint_STEP.
    output: the folder to make, a MODEL_DIR that INIT_FROM, `generate`, `evaluate` and `export` take.
    vocabulary: what it was trained with.
    overwrite: replaces an output that exists.

    Raises InputError for bad input, with nothing written.
    """
    output_folder.check(output, overwrite, t5x_checkpoint)
    folder, step = _find(t5x_checkpoint, step)
    reader = Reader(f"{folder}/{ITEM}")
    names = {n: n.removeprefix(TARGET) for n in reader.shapes if n.startswith(TARGET)}
    shapes = {ours: reader.shapes[theirs] for theirs, ours in names.items()}
    config = param_table.config_of(shapes)
    tokenizer = fitting_tokenizer(vocabulary, config.vocab_size)
    progress = imported(step, "t5x", f"t5x {folder}", tokenizer.fingerprint, config.described())
    began = time.monotonic()
    with output_folder.building(output, 4 * config.num_params, overwrite) as made:
        writer = Writer(made, shapes, progress)
        _copy(reader, writer, names)
        writer.close()
    _report(folder, output, config.num_params, began)


@spread("selection")
def export_t5x(
    checkpoint: str,
    output: str,
    *,
    selection: Selection,
    optimizer: bool = True,
    overwrite: bool = False,
) -> None:
    """Makes a t5x MODEL_DIR with one checkpoint from one of ours: t5x goes on from it.

    checkpoint: MODEL_DIR of a run, local or gs://.
    output: the folder to make.
    optimizer: AdamW's moments and counts too, where the checkpoint has them: an average and adapters
    of low rank, which are merged into their base, go without.
    overwrite: replaces an output that exists.

    Raises InputError for bad input, with nothing written.
    """
    output_folder.check(output, overwrite, checkpoint)
    _, progress = selection.identify(checkpoint)
    params = open_params(checkpoint, progress.step, selection.weights)
    config = param_table.config_of(params.shapes)
    sources: list[tuple[AnyReader, str]] = [(params, TARGET)]
    moments = f"{folder_of(checkpoint, progress.step).removesuffix('params')}optimizer"
    dtypes = {STEP: "<i4"}
    optimizer = optimizer and selection.weights == PLAIN
    if optimizer and not progress.base and located(moments).exists():  # a base: adapters' moments
        state = reader_of(checkpoint, progress, OPTIMIZER)
        sources.append((state, MOMENTS))
        dtypes |= {MOMENTS + name: dtype.str for name, dtype in state.dtypes.items()}
    shapes: dict[str, tuple[int, ...]] = {STEP: ()}
    for reader, prefix in sources:
        shapes |= {prefix + name: shape for name, shape in reader.shapes.items()}
    began, size = time.monotonic(), 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    with output_folder.building(output, size, overwrite) as made:
        _lay_out(made, progress, shapes)
        writer = ArrayWriter(f"{made}/{PREFIX}_{progress.step}/{ITEM}", shapes, dtypes)
        for reader, prefix in sources:
            _copy(reader, writer, {name: prefix + name for name in reader.shapes})
        writer.write(STEP, (), np.array(progress.step, np.int32))
        writer.close()
    _report(checkpoint, output, config.num_params, began)


def _find(path: str, step: int | None) -> tuple[str, int]:
    """(folder of the checkpoint, its step), or InputError where it isn't one that can be read."""
    folder = located(path)
    if found := re.fullmatch(rf"{PREFIX}_(\d+)", folder.name):
        folder, step = folder.parent, int(found[1]) if step is None else step
    there = {p.name: p for p in folder.iterdir()} if folder.is_dir() else {}
    matches = (re.fullmatch(rf"{PREFIX}_(\d+)", name) for name in there)
    steps = sorted(int(found[1]) for found in matches if found)
    if not steps or (step is not None and step not in steps):
        has = f"it has {', '.join(map(str, steps))}" if steps else "give the MODEL_DIR of a t5x run"
        raise InputError(
            f"T5X_CHECKPOINT = {path!r} has no checkpoint{'' if step is None else f' {step}'}: {has}."
        )
    place = there[f"{PREFIX}_{steps[-1] if step is None else step}"]
    if not (place / ITEM).exists():
        raise InputError(
            f"T5X_CHECKPOINT = {str(place)!r} was not saved with Orbax: let t5x save it again, with "
            "train.use_orbax = True."
        )
    return str(place), steps[-1] if step is None else step


def _copy(reader: AnyReader, writer: ArrayWriter, names: Mapping[str, str]) -> None:
    """Array by array, chunk by chunk; bfloat16 becomes the float32 of the same value."""
    for source, target in names.items():
        for start, values in reader.blocks(source):
            stop = (begin + size for begin, size in zip(start, values.shape, strict=True))
            writer.write(target, tuple(map(slice, start, stop)), values)


def _lay_out(
    model_dir: pathlib.Path, progress: Progress, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """t5x's folders, the state's by Orbax, and the place in the rows."""
    manager = ocp.CheckpointManager(
        model_dir,
        options=ocp.CheckpointManagerOptions(
            create=True, step_prefix=PREFIX, enable_async_checkpointing=False
        ),
    )
    tree = placeholders(shapes)
    manager.save(progress.step, args=ocp.args.Composite(**{ITEM: ocp.args.PyTreeSave(tree)}))
    manager.close()
    place = {"next_row": progress.rows, "schedule": progress.fingerprint.get("rows_sha256")}
    folder = model_dir / f"{PREFIX}_{progress.step}" / DATA
    folder.mkdir()
    (folder / PLACE).write_text(json.dumps(place), encoding="ascii")


def _report(source: str, output: str, parameters: int, began: float) -> None:
    seconds = time.monotonic() - began
    print(f"{source} -> {output}: {parameters:,} parameters in {seconds:.1f} s")
