"""Digests of arrays: what a checkpoint's numbers are, however they are laid out.

A digest depends on an array's elements and their places alone, not on mesh, chunks, compression or
files. It is a sum over elements, so that devices make it of the shards that they hold, and a reader
of the blocks as they come: whoever has the numbers in hand checks them without reading anything twice.

    h = mix(bits of element i, xor i * GOLDEN)    mix: MurmurHash3's finalizer, one to one on 32 bits
    digest = sum of h, sum of fold(h)             both modulo 2^32

It is written with what the elements are of: 'float32 [2, 16] 1e7ff0f31f87d4cb'.

One changed element always shows; any other damage goes unseen once in 2^64 times. On a core NumPy
does 1.3 GB/s; a GPU or TPU reads its memory once.

Shapes: E elements of a run, R runs of a block.
"""

import concurrent.futures
import functools
import math
import os
import re
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

GOLDEN = 0x9E3779B1
MIX = (0x85EBCA6B, 0xC2B2AE35)
FOLD = 0x2C1B3C6D
TILE = 1 << 14  # words at a time: 64 KB and as much again stay in a core's cache
PART = 1 << 20  # words that a thread takes; below two of them one thread does all
_M32 = 0xFFFFFFFF
# As many bits as an element has, read as a number.
_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32}


class Running:
    """The digest of an array whose blocks come one by one, each element once."""

    def __init__(self, shape: Sequence[int], dtype: np.dtype):
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)
        self._sums = (0, 0)

    def add(self, start: Sequence[int], values: np.ndarray) -> None:
        """A block: where its first element stands, and its values, in the array's axes."""
        self._sums = _added(self._sums, _block(self._shape, tuple(start), np.asarray(values)))

    @property
    def text(self) -> str:
        """The digest, written."""
        return _text(self._shape, self._dtype, self._sums)


def of(tree) -> dict[str, str]:
    """Name ('h.mlp.c_fc.kernel') -> digest, of every array of a tree, on the devices or NumPy's.

    Every process that has a part of an array calls it; each gets the same answer.
    """
    named = [(name_of(path), x) for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]]
    sums = [_on_host(x) if _is_here(x) else _on_devices(x) for _, x in named]
    return {
        name: _text(x.shape, x.dtype, (int(one[0]), int(one[1])))
        for (name, x), one in zip(named, jax.device_get(sums), strict=True)
    }


def name_of(path) -> str:
    """What Orbax calls an array of a tree: its keys, with dots."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _is_here(x: jax.Array | np.ndarray) -> bool:
    """Whether it lies in this process's own memory, where nothing needs to be compiled."""
    if isinstance(x, np.ndarray):
        return True
    return x.is_fully_addressable and _on_cpus(x)


def _on_cpus(x: jax.Array) -> bool:
    return all(d.platform == "cpu" for d in x.devices())


def _on_host(x: jax.Array | np.ndarray) -> tuple[int, int]:
    if isinstance(x, np.ndarray):
        return _block(x.shape, (0,) * x.ndim, x)
    sums = (0, 0)
    for shard in x.addressable_shards:
        if shard.replica_id == 0:
            start = tuple(s.indices(n)[0] for s, n in zip(shard.index, x.shape, strict=True))
            sums = _added(sums, _block(x.shape, start, np.asarray(shard.data)))
    return sums


def _on_devices(x: jax.Array) -> jax.Array:
    sharding = x.sharding
    if isinstance(sharding, jax.sharding.NamedSharding):
        sharding = jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
    sums = _program(sharding)(x)
    if _on_cpus(x):
        # Sums of several processes wait for one another for ever on CPUs that are busy, where many
        # such programs are under way at once.
        sums.block_until_ready()
    return sums


@functools.lru_cache(maxsize=8)
def _program(sharding):
    return jax.jit(device_sums, out_shardings=sharding)


def device_sums(x: jax.Array) -> jax.Array:
    """uint32 [2]: both sums of an array, as its devices compute them."""
    bits = jax.lax.bitcast_convert_type(x, _WORDS[x.dtype.itemsize]).astype(jnp.uint32)
    place, stride = jnp.zeros(x.shape, jnp.uint32), GOLDEN
    for axis in reversed(range(x.ndim)):
        along = jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
        place, stride = place + along * jnp.uint32(stride & _M32), stride * x.shape[axis]
    h = bits ^ place
    h = (h ^ (h >> 16)) * jnp.uint32(MIX[0])
    h = (h ^ (h >> 13)) * jnp.uint32(MIX[1])
    h = h ^ (h >> 16)
    folded = (h ^ (h >> 15)) * jnp.uint32(FOLD)
    return jnp.stack([jnp.sum(h, dtype=jnp.uint32), jnp.sum(folded, dtype=jnp.uint32)])


def shape_of(text: str) -> tuple[int, ...]:
    """The shape that a written digest is of."""
    return tuple(map(int, re.findall(r"\d+", text[text.index("[") : text.index("]")])))


def _text(shape: Sequence[int], dtype: np.dtype, sums: tuple[int, int]) -> str:
    return f"{np.dtype(dtype).name} {list(shape)} {sums[0] & _M32:08x}{sums[1] & _M32:08x}"


def _added(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return (a[0] + b[0]) & _M32, (a[1] + b[1]) & _M32


def _block(shape: tuple[int, ...], start: tuple[int, ...], values: np.ndarray) -> tuple[int, int]:
    """The sums of one block, on as many threads as its size is worth (NumPy lets go of Python)."""
    if not values.size:
        return 0, 0
    first_R, words_RE = _runs(shape, start, values)
    parts = list(_parts(first_R, words_RE))
    done = map(_sums, parts) if len(parts) == 1 else _pool().map(_sums, parts)
    return functools.reduce(_added, done)


def _runs(
    shape: tuple[int, ...], start: tuple[int, ...], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A block as contiguous runs: the place of each one's first element times GOLDEN, their bits."""
    whole = len(shape)  # axes from here on are held whole
    while whole and values.shape[whole - 1] == shape[whole - 1]:
        whole -= 1
    outer = max(whole - 1, 0)
    first = np.zeros((), np.uint32)
    for axis in range(len(shape)):
        stride = math.prod(shape[axis + 1 :]) * GOLDEN
        steps = np.arange(values.shape[axis] if axis < outer else 1, dtype=np.uint32)
        begin = np.uint32(start[axis] * stride & _M32)
        first = np.add.outer(first, steps * np.uint32(stride & _M32) + begin)
    words = np.ascontiguousarray(values).view(_WORDS[values.dtype.itemsize])
    return first.reshape(-1), words.reshape(math.prod(values.shape[:outer]), -1)


def _parts(first_R: np.ndarray, words_RE: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Pieces of about PART words, whole runs or parts of one."""
    R, E = words_RE.shape
    rows, columns = max(1, PART // E), max(PART, 1)
    for row in range(0, R, rows):
        for column in range(0, E, columns):
            offset = np.uint32(column * GOLDEN & _M32)
            yield (
                first_R[row : row + rows] + offset,
                words_RE[row : row + rows, column : column + columns],
            )


def _sums(part: tuple[np.ndarray, np.ndarray]) -> tuple[int, int]:
    first_R, words_RE = part
    R, E = words_RE.shape
    rows, columns = max(1, TILE // E), min(E, TILE)
    along = np.arange(columns, dtype=np.uint32) * np.uint32(GOLDEN)
    both = np.empty((2, rows, columns), np.uint32)
    sums = (0, 0)
    for row in range(0, R, rows):
        for column in range(0, E, columns):
            words = words_RE[row : row + rows, column : column + columns]
            h, t = both[:, : words.shape[0], : words.shape[1]]
            first = first_R[row : row + rows, None] + np.uint32(column * GOLDEN & _M32)
            np.add(first, along[: words.shape[1]], out=h)
            sums = _added(sums, _mixed(h, t, words))
    return sums


def _mixed(h: np.ndarray, t: np.ndarray, words: np.ndarray) -> tuple[int, int]:
    """The sums of one tile. h: places, used up. t: room for as much."""
    h ^= words
    for shift, factor in ((16, MIX[0]), (13, MIX[1])):
        np.right_shift(h, shift, out=t)
        h ^= t
        h *= np.uint32(factor)
    np.right_shift(h, 16, out=t)
    h ^= t
    np.right_shift(h, 15, out=t)
    t ^= h
    t *= np.uint32(FOLD)
    return int(h.sum(dtype=np.uint32)), int(t.sum(dtype=np.uint32))


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    threads = min(8, os.cpu_count() or 1)
    return concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="digests")
