"""Every implementation of attention against the formula, gradients too."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from polylm_jax.errors import InputError
from polylm_jax.model import attention, partitioning, splash
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.model.splash import SplashBlocks

B, T, N, H = 2, 256, 2, 128


def operands(length=T, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    q, k, v, cotangent = (jax.random.normal(key, (B, length, N, H)) for key in keys)
    return q.astype(dtype), k.astype(dtype), v.astype(dtype), cotangent


def segments(length=T):
    ends = jnp.array([[length // 3], [length // 2]])
    return (jnp.arange(length) >= ends).astype(jnp.int32)


def formula(q, k, v, segment_ids=None):
    q, k, v = (x.astype(jnp.float32) for x in (q, k, v))
    scores = jnp.einsum("BTNH,BSNH->BNTS", q, k) / np.sqrt(H)
    seen = jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool))
    if segment_ids is not None:
        seen = seen & (segment_ids[:, None, :, None] == segment_ids[:, None, None, :])
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
    return jnp.einsum("BNTS,BSNH->BTNH", weights, v)


def with_gradients(function, q, k, v, cotangent):
    @jax.jit  # one program: each of its operations alone would be one, too
    def computed(q, k, v):
        output, pull = jax.vjp(function, q, k, v)
        return output, *pull(cotangent.astype(output.dtype))

    return computed(q, k, v)


IMPLEMENTATIONS = {
    "reference": functools.partial(attention.attend, implementation="reference"),
    "cudnn": functools.partial(attention.attend, implementation="cudnn"),
    "splash": functools.partial(splash.attend, interpret=True),
    "splash, fused": functools.partial(
        splash.attend, blocks=SplashBlocks(256, 128, 128, fused_backward=True), interpret=True
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", sorted(IMPLEMENTATIONS))
def test_equals_the_formula(name, packed):
    """cuDNN's own kernels need a GPU: here its mask and layout are tested on XLA's."""
    ids = segments() if packed else None
    q, k, v, cotangent = operands()
    expected = with_gradients(functools.partial(formula, segment_ids=ids), q, k, v, cotangent)
    function = functools.partial(IMPLEMENTATIONS[name], segment_ids_BT=ids)
    got = with_gradients(function, q, k, v, cotangent)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_splash_in_bfloat16_is_within_its_rounding():
    q, k, v, cotangent = operands(dtype=jnp.bfloat16)
    expected = with_gradients(formula, q, k, v, cotangent)
    got = with_gradients(functools.partial(IMPLEMENTATIONS["splash"]), q, k, v, cotangent)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one.astype(jnp.float32), other, atol=6e-2)


@pytest.mark.parametrize("shape", [(2, 1, 2), (1, 2, 1), (1, 1, 2)])
def test_splash_on_a_mesh_equals_splash_on_one_device(shape):
    q, k, v, _ = operands()
    expected = jax.jit(IMPLEMENTATIONS["splash"])(q, k, v, segments())
    devices = jax.devices()[: int(np.prod(shape))]
    with partitioning.activate(partitioning.make_mesh(MeshConfig(*shape), devices)):
        got = jax.jit(IMPLEMENTATIONS["splash"])(q, k, v, segments())
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_a_program_for_gpus_has_cudnns_kernels(packed, monkeypatch):
    """Lowered for CUDA on this machine, where the question which cuDNN it has needs an answer."""
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    q, k, v, _ = operands(dtype=jnp.bfloat16)
    ids = segments() if packed else None

    def total(q, k, v):
        return jnp.sum(attention.attend(q, k, v, ids, implementation="cudnn").astype(jnp.float32))

    with partitioning.activate(partitioning.make_mesh(MeshConfig(), jax.devices()[:1])):
        traced = jax.jit(jax.grad(total, (0, 1, 2))).trace(q, k, v)
        program = traced.lower(lowering_platforms=("cuda",)).as_text()
    kernels = re.findall(r"@__cudnn\$(\w+)", program)
    assert [kernel.endswith("Backward") for kernel in kernels] == [False, True]


@pytest.mark.parametrize("length", [1, 63, 200, 256])
def test_lengths_that_no_block_divides(length):
    q, k, v, _ = operands(length)
    got = jax.jit(IMPLEMENTATIONS["reference"])(q, k, v)
    np.testing.assert_allclose(got, jax.jit(formula)(q, k, v), atol=1e-5)


def test_cached_rows_see_their_own_columns_only():
    """What lies in the cache beyond a row's last token changes nothing."""
    q, k, v, _ = operands(length=16)
    index = jnp.array([3, 12])
    cache = [x.transpose(0, 2, 3, 1) for x in (k, v)]
    beyond = jnp.arange(16) > index[:, None, None, None] + 1
    spoilt = [jnp.where(beyond, 1e3, x) for x in cache]
    got = attention.attend_cached(q[:, :2], *spoilt, index)
    np.testing.assert_allclose(got, attention.attend_cached(q[:, :2], *cache, index), atol=1e-6)


def test_columns_are_written_where_each_row_ends():
    cache, new = jnp.zeros((2, 1, 1, 6)), jnp.ones((2, 1, 1, 2))
    got = attention.write(cache, new, jnp.array([0, 3]))
    np.testing.assert_array_equal(got[:, 0, 0], [[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])


def test_auto_takes_what_the_platform_has(monkeypatch):
    choose = functools.partial(attention.choose, "auto")
    assert choose(2048) == "reference"  # these tests run on a CPU
    for platform, name in (("tpu", "splash"), ("gpu", "cudnn"), ("cpu", "reference")):
        monkeypatch.setattr(attention, "platform", lambda platform=platform: platform)
        assert choose(2048) == name
    monkeypatch.setattr(attention, "platform", lambda: "tpu")
    assert choose(100) == "reference"
    assert attention.choose("cudnn", 100) == "cudnn"


@pytest.mark.parametrize(
    ("asked", "length", "got"),
    [
        ((512, 512), 2048, (512, 512, 512, 512)),
        ((2048, 512, 0, 256), 1536, (512, 512, 512, 256)),
        ((1024, 256, 2048), 384, (128, 128, 128, 128)),
    ],
)
def test_blocks_divide_the_row(asked, length, got):
    for fused in (False, True):
        made = SplashBlocks(*asked, fused_backward=fused).of(length)
        assert made == SplashBlocks(*got, fused_backward=fused)


def test_the_blocks_are_the_kind_of_chips_or_the_recipes(monkeypatch):
    """What the kernel is made with, by the device that is compiled for."""
    made, fused = [], SplashBlocks(256, 128, 256, 256, fused_backward=True)
    monkeypatch.setattr(
        splash, "_kernel", lambda *given: made.append(given[2]) or (lambda q, *_: q)
    )
    monkeypatch.setattr(splash, "BLOCKS", {"TPU v9": fused})
    q, k, v, _ = operands()
    splash.attend(q, k, v)
    monkeypatch.setattr(splash, "_kind", lambda: "TPU v9")
    splash.attend(q, k, v)
    own = SplashBlocks(128, 128)
    attention.attend(q, k, v, implementation="splash", splash_blocks=own)
    assert made == [SplashBlocks(256, 256, 256, 256), fused, own.of(T)]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (SplashBlocks(512, 500), "SplashBlocks.keys = 500: give one of 128, 256"),
        (SplashBlocks(0), "SplashBlocks.queries = 0"),
        (SplashBlocks(backward_keys=7), "SplashBlocks.backward_keys = 7"),
    ],
)
def test_blocks_that_the_kernel_cannot_have_are_refused(blocks, words):
    with pytest.raises(InputError, match=words):
        blocks.check()


def test_axis_names_are_the_ones_of_the_operands():
    assert len(splash.QUERY_AXES) == 4
    with nn.logical_axis_rules(tuple(partitioning.RULES.items())):
        assert nn.logical_to_mesh_axes(splash.QUERY_AXES)[2] == "tensor"
