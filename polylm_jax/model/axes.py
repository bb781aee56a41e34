"""Where an activation lies on the mesh, by the names of its axes; partitioning's table says what they mean.

And for which platform that mesh is.
"""

import flax.linen as nn
import jax


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """x, laid out as the names of its axes say; without a mesh as it is."""
    return nn.with_logical_constraint(x, names)


def platform() -> str:
    """The platform that is compiled for: that of the mesh in use, else JAX's default."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform
