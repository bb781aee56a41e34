"""Copies of one array on several devices are compared: they differ where a device computes wrongly.

What is replicated over the mesh (all parameters over `data`, layer norms and biases over `fsdp` too)
is computed by each device for itself and never compared by JAX. Before each save every device makes
digests of its shards (`checkpoints.digests`), and those of copies must be equal. Costs one read of
the state from the devices' memory.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from polylm_jax.checkpoints.digests import device_sums
from polylm_jax.errors import CorruptReplica


def check(state, step: int) -> None:
    """CorruptReplica, on every process, with the array and the devices; `state`: sharded arrays."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    arrays = [leaf for _, leaf in leaves]
    if jax.device_count() == 1 or not arrays:
        return
    mesh = arrays[0].sharding.mesh
    # On all devices, before another program of several processes begins (see `digests`).
    sums = np.asarray(_sums(mesh, arrays).block_until_ready())
    devices = mesh.devices.ravel()
    for column, (name, array) in enumerate(zip(names, arrays, strict=True)):
        for copies in _copies(array, devices):
            values = sums[copies, column]
            if len(np.unique(values, axis=0)) > 1:
                raise CorruptReplica(_sentence(step, name, [devices[i] for i in copies], values))


def _copies(array: jax.Array, devices: np.ndarray) -> list[list[int]]:
    """Places in `devices` of those that hold the same shard, for each shard with several."""
    index = array.sharding.devices_indices_map(array.shape)
    holders: dict[tuple, list[int]] = {}
    for place, device in enumerate(devices):
        shard = tuple((piece.start, piece.stop) for piece in index[device])
        holders.setdefault(shard, []).append(place)
    return [places for places in holders.values() if len(places) > 1]


def _sums(mesh: Mesh, arrays: Sequence[jax.Array]) -> jax.Array:
    """uint32 [devices, arrays, 2], the same on every process: the digest of each device's shard."""
    return _program(mesh, tuple(map(_spec, arrays)))(*arrays)


def _spec(array: jax.Array) -> PartitionSpec:
    assert isinstance(array.sharding, NamedSharding)  # as all of a state's are
    return array.sharding.spec


@functools.cache
def _program(mesh: Mesh, specs: tuple[PartitionSpec, ...]):
    def local(*shards):
        return jnp.stack([device_sums(shard) for shard in shards])[None]

    everywhere = jax.shard_map(
        local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(mesh.axis_names), check_vma=False
    )
    return jax.jit(everywhere, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _sentence(step: int, name: str, holders: Sequence[jax.Device], values: np.ndarray) -> str:
    found, counts = np.unique(values, axis=0, return_counts=True)
    usual = found[np.argmax(counts)]
    odd = [d for d, value in zip(holders, values, strict=True) if (value != usual).any()]
    if counts.max() * 2 > len(values):
        who = ", ".join(f"device {device.id} of process {device.process_index}" for device in odd)
        blame = f"{who} differs from the {counts.max()} others: leave its machine out"
    else:
        who = ", ".join(f"{device.id} (process {device.process_index})" for device in holders)
        blame = (
            f"devices {who}, and nothing says which is right: leave one machine out after another"
        )
    return (
        f"step {step}: {name} is not the same on all devices that hold it, and nothing was saved; "
        f"{blame}, and start again from the newest checkpoint."
    )
