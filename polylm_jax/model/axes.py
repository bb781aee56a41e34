"""Where an activation lies on the mesh, by the names of its axes; partitioning's table says what they mean."""

import flax.linen as nn
import jax


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """x, laid out as the names of its axes say; without a mesh as it is."""
    return nn.with_logical_constraint(x, names)
