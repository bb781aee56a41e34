"""The loss against a plain cross entropy over full logits: values, gradients, memory."""

import functools
import pathlib
import runpy

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.model import partitioning
from polylm_jax.model.loss import cross_entropy, divisor
from polylm_jax.model.partitioning import MeshConfig

B, T, D, V = 8, 24, 16, 128
CHUNKS, BLOCKS = {"num_chunks": 6}, {"vocab_blocks": 4}
REPO = pathlib.Path(__file__).resolve().parents[2]


def operands(dtype=jnp.float32):
    """Hidden states, embedding, labels, and weights of which a third are 0 (padding)."""
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (B, T, D)).astype(dtype)
    wte = jax.random.normal(keys[1], (V, D))
    labels = jax.random.randint(keys[2], (B, T), 0, V)
    uniform = jax.random.uniform(keys[3], (B, T))
    return x, wte, labels, jnp.where(uniform < 1 / 3, 0.0, uniform)


def plain(x, wte, labels, weights, z_loss):
    logits = jnp.einsum("BTD,VD->BTV", x, wte.astype(x.dtype), preferred_element_type=jnp.float32)
    log_z = jax.nn.logsumexp(logits, axis=-1)
    nll = log_z - jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jnp.sum(weights * (nll + z_loss * log_z**2)), nll


def with_gradients(function, x, wte, labels, weights, scale=1.0):
    def scaled(x, wte):
        loss, nll = function(x, wte, labels, weights)
        return scale * loss, (loss, nll)

    both = jax.jit(jax.value_and_grad(scaled, (0, 1), has_aux=True))
    (_, (loss, nll)), gradients = both(x, wte)
    return loss, nll, *gradients


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("pieces", [{"num_chunks": 1}, CHUNKS, BLOCKS], ids=str)
def test_equals_plain_cross_entropy(pieces, z_loss):
    expected = with_gradients(functools.partial(plain, z_loss=z_loss), *operands(), scale=0.3)
    function = functools.partial(cross_entropy, z_loss=z_loss, **pieces)
    for got, want in zip(with_gradients(function, *operands(), scale=0.3), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pieces", [CHUNKS, BLOCKS], ids=str)
def test_bfloat16_hidden_states_keep_a_float32_loss(pieces):
    """Both sides multiply in bfloat16; gradients agree to its rounding."""
    x, wte, labels, weights = operands(jnp.bfloat16)
    expected = with_gradients(functools.partial(plain, z_loss=1e-3), x, wte, labels, weights)
    function = functools.partial(cross_entropy, z_loss=1e-3, **pieces)
    loss, nll, dx, dwte = with_gradients(function, x, wte, labels, weights)
    assert (loss.dtype, nll.dtype, dwte.dtype) == (jnp.float32,) * 3
    assert dx.dtype == jnp.bfloat16
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(nll, expected[1], atol=1e-4)
    for got, want in zip((dx, dwte), expected[2:], strict=True):
        scale = float(jnp.max(jnp.abs(want)))
        np.testing.assert_allclose(
            got.astype(jnp.float32), want.astype(jnp.float32), atol=2e-2 * scale
        )


@pytest.mark.parametrize("pieces", [CHUNKS, BLOCKS], ids=str)
@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 1, 8)])
def test_a_mesh_changes_nothing(shape, pieces):
    expected = with_gradients(functools.partial(plain, z_loss=1e-3), *operands())
    function = functools.partial(cross_entropy, z_loss=1e-3, **pieces)
    mesh = partitioning.make_mesh(MeshConfig(*shape))
    rows = partitioning.batch_sharding(mesh)
    x, wte, labels, weights = operands()
    matrix = jax.sharding.NamedSharding(mesh, partitioning.mesh_axes(("vocab", "embed")))
    x, labels, weights = jax.device_put((x, labels, weights), rows)
    with partitioning.activate(mesh):
        got = jax.jit(functools.partial(with_gradients, function))(
            x, jax.device_put(wte, matrix), labels, weights
        )
    for one, want in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, want, rtol=1e-5, atol=1e-5)


def test_the_nats_of_padding_are_there_but_weigh_nothing():
    x, wte, labels, weights = operands()
    loss, nll = cross_entropy(x, wte, labels, weights, **CHUNKS)
    assert jnp.all(nll > 0)
    np.testing.assert_allclose(loss, jnp.sum(weights * nll), rtol=1e-6)
    padding = weights == 0
    dx = jax.grad(lambda x: cross_entropy(x, wte, labels, weights, **CHUNKS)[0])(x)
    assert not jnp.any(dx[padding])
    assert jnp.any(dx[~padding])


def test_nats_per_token_carry_no_gradient():
    x, wte, labels, weights = operands()
    dx = jax.grad(lambda x: jnp.sum(cross_entropy(x, wte, labels, weights, **CHUNKS)[1]))(x)
    assert not jnp.any(dx)


@pytest.mark.parametrize("pieces", [CHUNKS, BLOCKS], ids=str)
def test_logits_far_from_zero_neither_overflow_nor_vanish(pieces):
    x, wte, labels, weights = operands()
    for scale in (1e3, 1e-6):
        got = with_gradients(
            functools.partial(cross_entropy, **pieces), scale * x, wte, labels, weights
        )
        want = with_gradients(functools.partial(plain, z_loss=0.0), scale * x, wte, labels, weights)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_pieces_are_equal():
    assert [divisor(24, n) for n in (1, 5, 6, 7, 100)] == [1, 4, 6, 6, 24]


def largest_array(function, *arguments):
    """Elements of the largest array in a traced function, loops included."""

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            yield from (v.aval.size for v in equation.outvars if hasattr(v.aval, "size"))
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                yield from sizes(inner)

    return max(sizes(jax.make_jaxpr(function)(*arguments).jaxpr))


@pytest.mark.parametrize("pieces", [CHUNKS, BLOCKS], ids=str)
def test_the_logits_of_a_batch_are_never_there(pieces):
    function = functools.partial(cross_entropy, **pieces)
    got = largest_array(functools.partial(with_gradients, function), *operands())
    assert got == B * T * V // next(iter(pieces.values()))
    full = functools.partial(with_gradients, functools.partial(plain, z_loss=0.0))
    assert largest_array(full, *operands()) == B * T * V


def test_a_step_takes_a_fifth_of_the_memory_of_full_logits():
    """The real step at a vocabulary of 256,000, compiled (not run) by the benchmark itself."""
    measure = runpy.run_path(str(REPO / "benchmarks" / "loss_memory.py"))["measure"]
    assert measure("full logits") >= 5 * measure("chunks")
