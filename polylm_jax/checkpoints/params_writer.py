"""Parameters from elsewhere become a checkpoint of ours, element ranges in any order, in little memory."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import flax.traverse_util
import numpy as np
import orbax.checkpoint as ocp

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.digests import Running
from polylm_jax.checkpoints.layout import FOLDER, located
from polylm_jax.checkpoints.param_store import ArrayWriter, Shape, folder_of


class Writer(ArrayWriter):
    """Writes the parameters of a new checkpoint of ours, float32, element ranges in any order.

    shapes: of all parameters. Closing it writes what the checkpoint says of itself.
    """

    def __init__(
        self, model_dir: pathlib.Path, shapes: Mapping[str, Shape], progress: checkpoint.Progress
    ):
        self._place, self._progress = model_dir, progress
        _write_structure(model_dir, shapes, progress)
        super().__init__(folder_of(str(model_dir), progress.step), shapes)
        self._digests = {
            name: Running(shape, np.dtype(np.float32)) for name, shape in shapes.items()
        }

    def write(self, name: str, index: tuple, values: np.ndarray) -> None:
        """As an `ArrayWriter` does; each element once."""
        shape, index = self.shapes[name], () if index == (...,) else index
        places = [
            i.indices(n)[:2] if isinstance(i, slice) else (i, i + 1) for i, n in zip(index, shape)
        ]
        places += [(0, n) for n in shape[len(index) :]]
        block = values.astype(np.float32, copy=False).reshape(
            [end - begin for begin, end in places]
        )
        self._digests[name].add([begin for begin, _ in places], block)
        super().write(name, index, values)

    def close(self) -> None:
        super().close()
        taken = {checkpoint.PARAMS: {name: one.text for name, one in self._digests.items()}}
        sealed = dataclasses.replace(self._progress, digests=taken).sealed()
        path = located(str(self._place)) / FOLDER / str(self._progress.step)
        (path / "progress" / "metadata").write_text(json.dumps(sealed))


def placeholders(shapes: Mapping[str, Shape]) -> dict:
    """The tree that the names spell, an array of one element for each."""
    ones = {name: np.zeros((1,) * len(shape), np.float32) for name, shape in shapes.items()}
    return flax.traverse_util.unflatten_dict(ones, sep=".")


def _write_structure(
    model_dir: pathlib.Path, shapes: Mapping[str, Shape], progress: checkpoint.Progress
) -> None:
    manager = ocp.CheckpointManager(
        located(str(model_dir)) / FOLDER,
        options=ocp.CheckpointManagerOptions(create=True, enable_async_checkpointing=False),
    )
    manager.save(
        progress.step,
        args=ocp.args.Composite(
            params=ocp.args.StandardSave(placeholders(shapes)),
            progress=ocp.args.JsonSave(progress.sealed()),
        ),
    )
    manager.close()
