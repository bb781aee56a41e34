"""Where an activation lies on the mesh, by the names of its axes; partitioning's table says what they mean.

And for which platform that mesh is, and in how many places the rows of a batch lie.
"""

import math

import flax.linen as nn
import jax


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """x, laid out as the names of its axes say; without a mesh as it is."""
    return nn.with_logical_constraint(x, names)


def platform() -> str:
    """The platform that is compiled for: that of the mesh in use, else JAX's default."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def batch_places(batch: int) -> int:
    """Places that the rows of a batch lie in: 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return 1
    (axes,) = nn.logical_to_mesh_axes(("batch",)) or (None,)
    places = math.prod(mesh.shape[axis] for axis in jax.tree.leaves(axes))
    return places if batch % places == 0 else 1
