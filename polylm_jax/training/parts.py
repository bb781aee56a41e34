"""A batch computed in parts, one in memory at a time.

Part i of M takes rows i, i + M, i + 2M, ...: each device cuts the rows that it has.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def summed(function: Callable[[Any], Any], batch: Any, parts: int) -> Any:
    """The sum of `function` over the parts of a batch, a tree of arrays [B, ...]."""
    if parts == 1:
        return function(batch)
    cut = _cut(batch, parts)
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], cut))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def add(sums, part):
        return jax.tree.map(jnp.add, sums, function(part)), None

    return jax.lax.scan(add, zeros, cut)[0]


def _cut(batch, parts: int):
    return jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch)
