"""The weights of both sides, tensor by tensor under their names: a checkpoint's and a folder's.

A folder is read in transformers' order: model.safetensors, an index of safetensors,
pytorch_model.bin, an index of those; the first that is there is the model.
"""

import pathlib
from collections.abc import Iterator

import numpy as np

from polylm_jax.checkpoints.hf import param_table, torch_files
from polylm_jax.checkpoints.hf import safetensors_stream as stream
from polylm_jax.checkpoints.param_store import AnyReader, runs
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig

Place = stream.Place | torch_files.TorchPlace
Places = dict[str, Place]
FILES = [
    (reader, name) for reader in (stream, torch_files) for name in (reader.SINGLE, reader.INDEX)
]


def read_places(folder: pathlib.Path, quiet: bool = False) -> Places:
    """Every tensor of the folder's model; InputError where it holds none, or a damaged one.

    Other files of weights beside it are named, unless `quiet`: nobody reads them.
    """
    there = [(reader, folder / name) for reader, name in FILES if (folder / name).exists()]
    if not there:
        raise InputError(
            f"HF_DIR = {str(folder)!r} has neither {stream.SINGLE} nor {torch_files.SINGLE}, nor an "
            "index of shards: name the folder of a model."
        )
    reader, path = there[0]
    if not quiet and (others := ", ".join(other.name for _, other in there[1:])):
        print(f"{path} is read, as transformers does; not read: {others}")
    if path.name == reader.INDEX:
        return reader.read_places(stream.indexed_files(folder, path))
    return reader.read_places([path])


def named_places(
    config: PolyLMConfig, folder: pathlib.Path, quiet: bool = False
) -> tuple[Places, dict[str, Place]]:
    """(every tensor by the folder's names, the parameters by our table's names).

    Raises InputError where one is missing, too many, of another shape, or not of a float dtype.
    """
    places = read_places(folder, quiet)
    where = f"HF_DIR = {str(folder)!r}"
    shapes = {name: place.shape for name, place in places.items()}
    named = param_table.check_theirs(config, shapes, where)
    for name in named.values():
        if places[name].dtype not in stream.DTYPES.values():
            raise InputError(
                f"{where} has {name} in dtype {places[name].dtype}: save the model in float32, "
                "bfloat16 or float16."
            )
    return places, {ours: places[name] for ours, name in named.items()}


def pieces(reader: AnyReader, config: PolyLMConfig) -> Iterator[tuple[str, int, np.ndarray]]:
    """All of a checkpoint, each chunk read once: (their tensor, the first element, float32 values)."""
    theirs = {(tensor.ours, tensor.layer): tensor.theirs for tensor in param_table.tensors(config)}
    for ours, shape in reader.shapes.items():
        for start, values in reader.blocks(ours):
            values = values.astype(np.float32, copy=False)  # an average may be bfloat16
            if (ours, None) in theirs:
                layers = [(theirs[ours, None], start, values, shape)]
            else:
                layers = [
                    (theirs[ours, layer], start[1:], of_layer, shape[1:])
                    for layer, of_layer in enumerate(values, start[0])
                ]
            for name, first, block, whole in layers:
                for element, run in runs(first, block, whole):
                    yield name, element, run
