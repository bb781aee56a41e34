"""A batch computed in parts, one in memory at a time.

Part i of M takes rows i, i + M, i + 2M, ...: each device cuts the rows that it has.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from polylm_jax.model import layers_apart


def of(model: Any, rows: int, length: int, num_chunks: int) -> tuple[int, int]:
    """(parts, chunks): how many parts a step takes rows of a model in, and chunks of the loss in each, so
    that a chunk has as many tokens as one of the whole batch."""
    parts = layers_apart.parts(model, rows, length)
    return parts, max(1, num_chunks // parts)


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


def each(function: Callable[[Any], jax.Array], batch: Any, parts: int) -> jax.Array:
    """What `function` gives of each row, [B, ...], in the order of the rows."""
    if parts == 1:
        return function(batch)
    values = jnp.moveaxis(jax.lax.map(function, _cut(batch, parts)), 0, 1)
    return values.reshape(-1, *values.shape[2:])


def _cut(batch, parts: int):
    return jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch)
