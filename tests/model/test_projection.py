"""The gradient of a matrix: how precisely it leaves its sum."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.projection import Projection

TOY = PolyLMConfig(
    num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=64, max_length=16, remat="none"
)


def test_gradients_may_be_summed_in_bfloat16():
    """The option rounds each device's part, and biases and what goes back through the layers stay."""
    tokens = jax.random.randint(jax.random.key(1), (8, 16), 0, TOY.vocab_size)
    params = nn.unbox(PolyLM(TOY).init(jax.random.key(0), tokens[:, :1])["params"])
    halved = dataclasses.replace(TOY, gradient_dtype="bfloat16")

    def layers(config):
        def total(params):
            return jnp.sum(PolyLM(config).apply({"params": params}, tokens) ** 3)

        grads = jax.jit(jax.grad(total))(params)["h"]
        return [grads["mlp"]["c_fc"], grads["attn"]["c_attn"], grads["attn"]["c_proj"]]

    def rounded(x):
        return x.astype(jnp.bfloat16).astype(jnp.float32)

    for whole, half in zip(layers(TOY), layers(halved), strict=True):
        np.testing.assert_array_equal(half["bias"], whole["bias"])
        assert half["kernel"].dtype == jnp.float32
        np.testing.assert_array_equal(half["kernel"], rounded(half["kernel"]))
        assert (whole["kernel"] != rounded(whole["kernel"])).any()
        scale = float(jnp.max(jnp.abs(whole["kernel"])))
        np.testing.assert_allclose(half["kernel"], whole["kernel"], rtol=2**-7, atol=1e-5 * scale)


def test_by_default_gradients_are_summed_in_float32():
    """Bit by bit what it was before there was one."""
    x, kernel, dy = (
        jax.random.normal(jax.random.key(n), shape, jnp.bfloat16)
        for n, shape in enumerate([(24, 16), (16, 8), (24, 8)])
    )
    layer = Projection((16,), ("embed",), (8,), ("mlp",), "bfloat16")

    def back(x, kernel, dy):
        variables = {"params": {"kernel": kernel.astype(jnp.float32), "bias": jnp.zeros(8)}}
        return jax.vjp(lambda v: layer.apply(v, x), variables)[1](dy)[0]["params"]["kernel"]

    def before(x, kernel, dy):
        rows = (((0,), (0,)), ((), ()))
        return jax.lax.dot_general(x, dy, rows, preferred_element_type=jnp.float32)

    got, expected = (jax.jit(f)(x, kernel, dy) for f in (back, before))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "shape_in, shape_out", [((6,), (2,)), ((2, 3), (1, 2)), ((2, 4), (3,)), ((2,), (3, 2))]
)
def test_a_gradient_lies_as_its_kernel_does(shape_in, shape_out):
    """Of more columns in than out, out than in, and of several axes each."""
    axes_in, axes_out = ("embed",) * len(shape_in), ("mlp",) * len(shape_out)
    layer = Projection(shape_in, axes_in, shape_out, axes_out, "float32")
    x = jax.random.normal(jax.random.key(0), (2, 5, *shape_in))
    dy = jax.random.normal(jax.random.key(1), (2, 5, *shape_out))
    params = nn.unbox(layer.init(jax.random.key(2), x)["params"])
    _, back = jax.vjp(lambda params: layer.apply({"params": params}, x), params)
    expected = np.einsum(
        "ri,ro->io", np.asarray(x, np.float64).reshape(10, -1), np.reshape(dy, (10, -1))
    )
    got = back(dy)[0]["kernel"]
    np.testing.assert_allclose(got, expected.reshape(shape_in + shape_out), rtol=1e-4, atol=1e-5)
