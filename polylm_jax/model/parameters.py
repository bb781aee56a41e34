"""Parameters before there are any: made, or their shapes alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def init_params(model: nn.Module, rng: jax.Array):
    """Parameters in their boxes of axis names; `jax.eval_shape` of it costs no memory."""
    return model.init(rng, jnp.zeros((1, 1), jnp.int32))["params"]


def abstract_params(model: nn.Module):
    """The same tree with a shape and a dtype for each array; nothing is computed."""
    return jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
