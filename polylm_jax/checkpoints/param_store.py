"""Parameters on disk, read and written in pieces: a checkpoint of any size in little memory.

Orbax restores whole arrays; 13B parameters are 52 GB of them. Below Orbax each is a zarr array in
an OCDBT database, which TensorStore reads chunk by chunk, from local disk or gs://.
"""

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np
import tensorstore as ts
from etils import epath

from polylm_jax.checkpoints import checkpoint, damage, layout
from polylm_jax.checkpoints.damage import DamagedCheckpoint
from polylm_jax.checkpoints.digests import Running, shape_of
from polylm_jax.model.averaging import PLAIN
from polylm_jax.model.lora import Lora

ARRAY = ".zarray"
PIECE_BYTES = 64 << 20
# A run on a mesh saves the embedding as chunks of all rows and a few columns: chunks side by side
# are read together, so that what is written from them is not 20 million runs of 256 bytes.
RUN_BYTES = 1 << 20
JOINED_BYTES = 1 << 30
CONCURRENCY = 4  # chunks decoded or encoded at once: each holds two copies of itself

Shape = tuple[int, ...]


def folder_of(path: str, step: int) -> str:
    """Where the parameters of a step lie; `path` as in `checkpoint.read_progress`."""
    return str(layout.split(path)[0] / str(step) / checkpoint.PARAMS)


def _spec(folder: str, name: str = "") -> dict:
    base = folder if folder.startswith("gs://") else f"file://{folder}"
    return {"driver": "ocdbt", "base": f"{base}/", "path": f"{name}/" if name else ""}


def _context() -> ts.Context:
    limit = {"limit": CONCURRENCY}
    return ts.Context({"data_copy_concurrency": limit, "cache_pool": {"total_bytes_limit": 0}})


class Reader:
    """The parameters of one checkpoint. names are as 'h.mlp.c_fc.kernel'.

    folder: of an item. saved: name -> digest, none where nothing is known of what was saved. What is
    read whole, or to the end of its blocks, is what was saved: else DamagedCheckpoint.
    """

    def __init__(self, folder: str, saved: Mapping[str, str] | None = None):
        self._folder, self._saved = folder, saved or {}
        self._of, _, self._item = folder.rpartition("/")
        self._context = _context()
        with damage.reading(self._of):
            store = ts.KvStore.open(_spec(folder), context=self._context).result()
            keys = (key.decode() for key in store.list().result())
            names = [key.removesuffix(f"/{ARRAY}") for key in keys if key.endswith(f"/{ARRAY}")]
            self._arrays = {name: self._open(name) for name in sorted(names)}
            if self._saved:  # the list that Orbax needs; whoever reads refuses the same checkpoints
                (epath.Path(folder) / "_METADATA").read_bytes()
        if self._saved and self.shapes != {n: shape_of(text) for n, text in self._saved.items()}:
            raise DamagedCheckpoint(self._of, f"it doesn't hold the {self._item} that were saved")

    def _open(self, name: str) -> ts.TensorStore:
        spec = {"driver": "zarr", "kvstore": _spec(self._folder, name)}
        return ts.open(spec, context=self._context, read=True).result()

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: tuple(array.shape) for name, array in self._arrays.items()}

    def whole(self, name: str) -> np.ndarray:
        """A parameter in memory."""
        with damage.reading(self._of):
            values = self._arrays[name].read().result()
        if self._saved:
            found = Running(values.shape, values.dtype)
            found.add((0,) * values.ndim, values)
            self._compare(name, found)
        return values

    def _compare(self, name: str, found: Running) -> None:
        damage.compare(self._of, self._item, self._saved, {name: found.text})

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        return {name: array.dtype.numpy_dtype for name, array in self._arrays.items()}

    def block(self, name: str) -> Shape:
        """The shape of a parameter's blocks: its chunks, those of short rows joined."""
        array = self._arrays[name]
        stored = array.chunk_layout.read_chunk.shape or ()
        return block_shape(tuple(array.shape), tuple(size or 1 for size in stored))

    def blocks(self, name: str, block: Shape | None = None) -> Iterator[tuple[Shape, np.ndarray]]:
        """All of a parameter, each chunk read once: (the index of the first element, values).

        block: their shape, by default as its chunks lie. The next one is read while one is in use.
        """
        array = self._arrays[name]
        chunk = self.block(name) if block is None else block
        starts = list(
            itertools.product(*(range(0, n, c) for n, c in zip(array.shape, chunk, strict=True)))
        )

        def read(start: Shape) -> ts.Future:
            stop = (min(s + c, n) for s, c, n in zip(start, chunk, array.shape, strict=True))
            return array[tuple(map(slice, start, stop))].read()

        found = Running(array.shape, array.dtype.numpy_dtype) if self._saved else None
        ahead = read(starts[0])
        for number, start in enumerate(starts):
            with damage.reading(self._of):
                values = ahead.result()
            if number + 1 < len(starts):
                ahead = read(starts[number + 1])
            if found:
                found.add(start, values)
            yield start, values
        if found:
            self._compare(name, found)


class MergedReader:
    """A base's parameters with adapters added to its matrices, block by block."""

    def __init__(self, base: "AnyReader", adapters: Reader, lora: Lora):
        self._base = base
        self._pairs: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
        for a in (name for name in adapters.shapes if name.endswith(".a")):
            layers, part, matrix, _ = a.split(".")
            target = f"{part}.{matrix}"
            kernel = f"{layers}.{target}.kernel"
            first, second = (adapters.whole(f"{layers}.{target}.{name}") for name in ("a", "b"))
            self._pairs[kernel] = first, second, lora.scale(target)

    @property
    def shapes(self) -> dict[str, Shape]:
        return self._base.shapes

    def blocks(self, name: str) -> Iterator[tuple[Shape, np.ndarray]]:
        for start, values in self._base.blocks(name):
            if name in self._pairs:
                values = values + self._delta(name, start, values.shape)
            yield start, values

    def _delta(self, name: str, start: Shape, shape: Shape) -> np.ndarray:
        """What the adapters add to a block."""
        a, b, scale = self._pairs[name]
        here = [slice(s, s + n) for s, n in zip(start, shape, strict=True)]
        layered = name.startswith("h.")
        cut = a.ndim - 1  # of the kernel's axes: the layers' and the inputs
        of_a, of_b = a[tuple(here[:cut])], b[(*here[:layered], slice(None), *here[cut:])]
        if not layered:
            return scale * np.tensordot(of_a, of_b, 1)
        return scale * np.stack([np.tensordot(x, y, 1) for x, y in zip(of_a, of_b, strict=True)])


AnyReader = Reader | MergedReader


def open_params(path: str, step: int, weights: str = PLAIN) -> AnyReader:
    """The parameters of a checkpoint, adapters merged into their base's; InputError without it.

    weights: 'plain', or 'average' for the average that the run keeps, in the dtype that it has.
    """
    progress = checkpoint.read_progress(path, step)
    reader = reader_of(path, progress, checkpoint.item_of(path, progress, weights))
    if not progress.base:
        return reader
    lora, base_step = checkpoint.adapters_of(progress)
    return MergedReader(open_params(progress.base, base_step), reader, lora)


def reader_of(path: str, progress: checkpoint.Progress, item: str) -> Reader:
    """An item of a checkpoint as it was saved; `path` and `progress` as in `read_progress`."""
    folder = folder_of(path, progress.step).removesuffix(checkpoint.PARAMS)
    return Reader(f"{folder}{item}", progress.digests.get(item))


def runs(start: Shape, values: np.ndarray, shape: Shape) -> Iterator[tuple[int, np.ndarray]]:
    """A block of an array of `shape` as its contiguous runs: (number of the first element, values).

    A block that holds the first axes one by one and the last ones whole is one run. In shape (4, 6):

        start (1, 0), block (2, 6)  ->  one run, from element 6, of 12
        start (1, 3), block (2, 3)  ->  two runs, from elements 9 and 15, of 3
    """
    whole = len(shape)  # axes from here on are held whole
    while whole and values.shape[whole - 1] == shape[whole - 1]:
        whole -= 1
    outer = max(whole - 1, 0)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    first = sum(s * stride for s, stride in zip(start, strides, strict=True))
    for index in np.ndindex(values.shape[:outer]):
        place = first + sum(i * stride for i, stride in zip(index, strides, strict=False))
        yield place, values[index].reshape(-1)


def block_shape(shape: Shape, chunk: Shape) -> Shape:
    """Whole chunks to read at once: joined along the last axes until their runs are RUN_BYTES long.

    At most JOINED_BYTES of float32, or one chunk.
    """
    block = list(chunk)
    for axis in reversed(range(len(shape))):
        run, whole = 4 * math.prod(block[axis:]), 4 * math.prod(block)
        times = max(1, min(-(-RUN_BYTES // run), JOINED_BYTES // whole))
        block[axis] = min(shape[axis], block[axis] * times)
        if block[axis] < shape[axis]:
            break
    return tuple(block)


def chunk_shape(shape: Shape, layered: bool, piece_bytes: int = PIECE_BYTES) -> Shape:
    """One layer at most, whole last axes, and at most `piece_bytes` of float32 where that divides."""
    head = (1,) if layered else ()
    rest = shape[len(head) :]
    row = 4 * math.prod(rest[1:])
    return (*head, max(1, min(rest[0], piece_bytes // row)), *rest[1:])


class ArrayWriter:
    """Fills the arrays of a checkpoint that Orbax laid out with one element each, at their sizes.

    folder: of the item. shapes: of all arrays by name; they are float32, or what `dtypes` says
    ('<i4'). The axis of the layers is cut into chunks of one.
    """

    def __init__(
        self, folder: str, shapes: Mapping[str, Shape], dtypes: Mapping[str, str] | None = None
    ):
        self.shapes = dict(shapes)
        self._folder, self._dtypes = folder, dict(dtypes or {})
        self._context = _context()
        self._arrays = {name: self._create(name, shape) for name, shape in shapes.items()}
        self._pending: list[ts.WriteFutures] = []

    def _create(self, name: str, shape: Shape) -> ts.TensorStore:
        chunks = chunk_shape(shape, layered=".h." in f".{name}") if shape else ()
        spec = {
            "driver": "zarr",
            "kvstore": _spec(self._folder, name),
            "metadata": {
                "shape": shape,
                "chunks": chunks,
                "dtype": self._dtypes.get(name, "<f4"),
                # zstd takes 7 % off normally distributed float32, at 0.2 GB/s a core.
                "compressor": None,
            },
            "store_data_equal_to_fill_value": True,
            "create": True,
            "delete_existing": True,
        }
        return ts.open(spec, context=self._context).result()

    def pieces(self, name: str, layer: int | None) -> Iterator[tuple[tuple, int, int]]:
        """The chunks of a parameter, or of one layer of it: (index, first element, how many).

        Elements are numbered within the layer.
        """
        head = () if layer is None else (layer,)
        shape = self.shapes[name][len(head) :]
        rows = chunk_shape(self.shapes[name], bool(head))[len(head)]
        row = math.prod(shape[1:])
        for first in range(0, shape[0], rows):
            stop = min(first + rows, shape[0])
            yield (*head, slice(first, stop)), first * row, (stop - first) * row

    def write(self, name: str, index: tuple, values: np.ndarray) -> None:
        """The values of a piece, float32 and flat; they are written in the background."""
        array = self._arrays[name][index]
        while len(self._pending) >= CONCURRENCY:
            self._pending.pop(0).result()
        self._pending.append(array.write(values.reshape(array.shape)))

    def close(self) -> None:
        """Until all is written; raises the error of what wasn't."""
        while self._pending:
            self._pending.pop(0).result()
