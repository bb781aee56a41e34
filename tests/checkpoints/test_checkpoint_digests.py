"""Digests of arrays: the same from devices, from shards and from blocks; another for any change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from polylm_jax.checkpoints import digests

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (4, 8, 6), (40_000,), (300, 77), (2, 3, 20_000)]


def array(shape, dtype=np.float32, seed=0):
    chance = np.random.default_rng(seed)
    return (chance.normal(size=shape) * 100).astype(dtype)


def digest(values):
    running = digests.Running(values.shape, values.dtype)
    running.add((0,) * values.ndim, values)
    return running.text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.int32, np.int8])
def test_devices_and_numpy_agree(shape, dtype):
    values = array(shape, dtype)
    sums = np.asarray(jax.jit(digests.device_sums)(values))
    assert digest(values).endswith(f" {sums[0]:08x}{sums[1]:08x}")
    assert digests.shape_of(digest(values)) == shape


@pytest.mark.parametrize("axes", [("a",), (None, "b"), ("b", None, "a"), (None, None, ("a", "b"))])
def test_shards_give_the_digest_of_the_whole(axes):
    mesh = jax.make_mesh((2, 4), ("a", "b"))
    values = array((8, 8, 16))
    placed = jax.device_put(values, NamedSharding(mesh, PartitionSpec(*axes)))
    assert digests.of({"x": [placed]}) == {"x.0": digest(values)}
    sums = np.asarray(digests._on_devices(placed))
    assert digest(values) == f"float32 [8, 8, 16] {sums[0]:08x}{sums[1]:08x}"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_blocks_in_any_order_give_the_digest_of_the_whole(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    chunk = tuple(data.draw(st.integers(1, n)) for n in shape)
    values = array(shape)
    counts = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    running = digests.Running(shape, values.dtype)
    for index in data.draw(st.permutations(list(np.ndindex(*counts)))):
        start = tuple(i * c for i, c in zip(index, chunk, strict=True))
        running.add(start, values[tuple(slice(s, s + c) for s, c in zip(start, chunk))])
    assert running.text == digest(values)


def test_large_blocks_on_several_threads_give_the_same(monkeypatch):
    values = array((6, 50, 1000))
    whole = digest(values)
    monkeypatch.setattr(digests, "PART", 4096)
    monkeypatch.setattr(digests, "TILE", 512)
    assert digest(values) == whole
    assert digest(values[:, :, ::1].copy()) == whole


def test_every_change_shows():
    """One bit anywhere; two signs; zeros, a shift, two chunks that changed places."""
    values = array((64, 96))
    whole, chance = digest(values), np.random.default_rng(1)
    seen = {whole}
    for _ in range(200):
        bits = values.copy().view(np.uint32).reshape(-1)
        places = chance.choice(bits.size, chance.integers(1, 4), replace=False)
        bits[places] ^= np.uint32(1) << chance.integers(0, 32, len(places), dtype=np.uint32)
        seen.add(digest(bits.view(np.float32).reshape(values.shape)))
    signs = [values.copy() for _ in range(50)]
    for number, changed in enumerate(signs):
        changed[number, [3, 90]] *= -1
        seen.add(digest(changed))
    zeros, swapped = values.copy(), values.copy()
    zeros[10:20] = 0
    swapped[:32], swapped[32:] = values[32:], values[:32]
    seen |= {digest(zeros), digest(swapped), digest(np.roll(values, 1))}
    assert len(seen) == 1 + 200 + 50 + 3
