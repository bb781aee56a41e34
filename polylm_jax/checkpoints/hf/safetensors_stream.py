"""safetensors files read and written piece by piece, and split into shards with an index.

The format: 8 bytes of length (little-endian), that many of JSON (name -> dtype, shape, offsets into
what follows), then the tensors' bytes. So all offsets are known before the first byte of data, and
pieces may be written in any order.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import ml_dtypes
import numpy as np

from polylm_jax.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
# What masks and other buffers are saved as; no parameter is.
OTHERS = {
    "F64": np.dtype(np.float64),
    "BOOL": np.dtype(np.bool_),
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
}
CODES = {dtype.name: code for code, dtype in DTYPES.items()}
MAX_HEADER = 100_000_000  # bytes; the format's own limit

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a tensor lies: its file, the offset of its first byte there, dtype and shape."""

    path: pathlib.Path
    offset: int
    dtype: np.dtype
    shape: Shape

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, start: int, count: int) -> np.ndarray:
        """Elements [start, start + count) of the tensor laid flat."""
        values = np.empty(count, self.dtype)
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset + start * self.dtype.itemsize)
            if file.readinto(values.view(np.uint8).data) != values.nbytes:
                raise InputError(f"{self.path} is shorter than its header says: copy it again.")
        return values


def plan_shards(sizes: Mapping[str, int], max_bytes: int) -> list[list[str]]:
    """Names in order -> groups of at most `max_bytes`; a tensor above that has a group alone."""
    groups: list[list[str]] = []
    left = 0
    for name, size in sizes.items():
        if not groups or size > left:
            groups.append([])
            left = max_bytes
        groups[-1].append(name)
        left -= size
    return groups


def create(
    folder: pathlib.Path, shapes: Mapping[str, Shape], dtype: np.dtype, max_shard_bytes: int
) -> dict[str, Place]:
    """Makes the shard files, headers and index, their data still zeros (sparse) -> tensor's place."""
    sizes = {name: math.prod(shape) * dtype.itemsize for name, shape in shapes.items()}
    groups = plan_shards(sizes, max_shard_bytes)
    places: dict[str, Place] = {}
    for number, names in enumerate(groups, 1):
        file = SINGLE if len(groups) == 1 else f"model-{number:05}-of-{len(groups):05}.safetensors"
        places |= _create_file(folder / file, {name: shapes[name] for name in names}, dtype)
    if len(groups) > 1:
        index = {
            "metadata": {"total_size": sum(sizes.values())},
            "weight_map": {name: place.path.name for name, place in places.items()},
        }
        (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return places


def _create_file(
    path: pathlib.Path, shapes: Mapping[str, Shape], dtype: np.dtype
) -> dict[str, Place]:
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * dtype.itemsize
        entry = {"dtype": CODES[dtype.name], "shape": list(shape), "data_offsets": [start, end]}
        header[name] = entry
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data is aligned for whoever maps the file
    data = 8 + len(text)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(data + end)
    return {
        name: Place(path, data + header[name]["data_offsets"][0], dtype, shape)
        for name, shape in shapes.items()
    }


class Writer:
    """Pieces of tensors written where they belong; the files stay open until `close`."""

    def __init__(self, places: Mapping[str, Place]):
        self._places = places
        self._files: dict[pathlib.Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        for file in self._files.values():
            os.close(file)

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Contiguous elements of tensor `name`, the first being number `start` of it laid flat."""
        place = self._places[name]
        file = self._files.get(place.path)
        if file is None:
            file = self._files[place.path] = os.open(place.path, os.O_WRONLY)
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        offset = place.offset + start * place.dtype.itemsize
        while data:
            written = os.pwrite(file, data, offset)
            data, offset = data[written:], offset + written

    def sync(self) -> None:
        """Until all that was written is on the disk."""
        for file in self._files.values():
            os.fsync(file)


def read_places(files: Iterable[pathlib.Path]) -> dict[str, Place]:
    """Every tensor of the files; InputError for one that is damaged or stands in two of them."""
    return joined(files, _read_header)


def joined(files: Iterable[pathlib.Path], read: Callable[[pathlib.Path], Mapping]) -> dict:
    """What `read` finds of each file, together; InputError for a tensor that stands in two."""
    places: dict = {}
    for path in files:
        for name, place in read(path).items():
            if name in places:
                raise InputError(f"{path} and {places[name].path} both hold {name}: remove one.")
            places[name] = place
    return places


def _read_header(path: pathlib.Path) -> dict[str, Place]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise InputError(f"{path} is not a safetensors file: copy or download it again.")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        foreign = {n: e["dtype"] for n, e in header.items() if e["dtype"] not in DTYPES | OTHERS}
        own = {name: entry for name, entry in header.items() if name not in foreign}
        found = {name: _place(path, 8 + length, entry) for name, entry in own.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error if isinstance(error, InputError) else "its header can't be read"
        raise InputError(
            f"{path}: {str(reason).rstrip('.')}: copy or download it again."
        ) from error
    for name, dtype in foreign.items():
        raise InputError(
            f"{path} has {name} in dtype {dtype}, which can't be read: save the model in float32, "
            "bfloat16 or float16."
        )
    for name, place in found.items():
        if place.offset + place.nbytes > size:
            raise InputError(f"{path} ends within {name}: copy or download it again.")
    return found


def _place(path: pathlib.Path, data: int, entry: Mapping) -> Place:
    start, end = entry["data_offsets"]
    dtype = (DTYPES | OTHERS)[entry["dtype"]]
    place = Place(path, data + start, dtype, tuple(entry["shape"]))
    if place.nbytes != end - start or start < 0 or min(place.shape, default=0) < 0:
        raise InputError("its header contradicts itself")
    return place


def indexed_files(folder: pathlib.Path, index: pathlib.Path) -> Sequence[pathlib.Path]:
    """The shard files that an index names; InputError for one outside `folder` or not there."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is not an index of shards: download it again.") from error
    for name in names:
        if not isinstance(name, str) or name in (".", "..") or pathlib.PurePath(name).name != name:
            raise InputError(
                f"{index} names the shard {name!r}, which is not a file of its folder: don't use "
                "this download."
            )
        if not (folder / name).is_file():
            raise InputError(f"{index} names {name}, which isn't there: download it again.")
    return [folder / name for name in names]
