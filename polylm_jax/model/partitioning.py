"""The mesh, and the one table that maps the model's axis names to it.

Axes of the mesh: `data` replicates parameters (and spans slices over the data-center network),
`fsdp` shards parameters, gradients and optimizer state besides the batch, `tensor` shards heads,
MLP and vocabulary, and the length of the residual stream between blocks.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Sequence

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime.processes import ALONE
from polylm_jax.runtime.ranges import Axis, Count

AXES = ("data", "fsdp", "tensor")

RULES = {  # axis name of the model -> axes of the mesh
    # parameters
    "vocab": "tensor",
    "embed": "fsdp",
    "position": None,
    "qkv": None,
    "heads": "tensor",
    "head_dim": None,
    "mlp": "tensor",
    "norm": None,
    "layers": None,
    "rank": None,
    # activations, and the embedding while the loss reads it block by block
    "vocab_rows": ("tensor", "fsdp"),
    "batch": ("data", "fsdp"),
    "lookup_batch": "data",
    "length": None,
    "residual_length": "tensor",
    "cache_length": None,
}


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis; -1 for one axis takes what the others leave.

    num_slices: TPU slices joined by the data-center network; they split the `data` axis.
    """

    data: Axis = -1
    fsdp: Axis = 1
    tensor: Axis = 1
    num_slices: Count = 1

    def shape(self, num_devices: int) -> tuple[int, int, int]:
        """(data, fsdp, tensor) over `num_devices`, or InputError where they don't fit."""
        sizes = [self.data, self.fsdp, self.tensor]
        if self.num_slices < 1:
            raise InputError(f"num_slices = {self.num_slices}: give a positive number.")
        for name, size in zip(AXES, sizes, strict=True):
            if size < 1 and size != -1:
                raise InputError(f"mesh axis {name} = {size}: give a positive number, or -1.")
        if sizes.count(-1) > 1:
            raise InputError(f"mesh {self._text()}: -1 may stand for one axis, not for several.")
        known = int(np.prod([size for size in sizes if size != -1]))
        if -1 in sizes and num_devices % known == 0:
            sizes[sizes.index(-1)] = num_devices // known
        if -1 in sizes or int(np.prod(sizes)) != num_devices:
            raise InputError(
                f"mesh {self._text()} does not fit {num_devices} devices: "
                f"choose data x fsdp x tensor with the product {num_devices}."
            )
        if sizes[0] % self.num_slices:
            raise InputError(
                f"num_slices = {self.num_slices} does not divide data = {sizes[0]}: slices split "
                "the data axis, so make it a multiple."
            )
        data, fsdp, tensor = sizes
        return data, fsdp, tensor

    def _text(self):
        return f"{self.data}x{self.fsdp}x{self.tensor}"


def check_mesh(
    config: MeshConfig,
    num_devices: int,
    model: PolyLMConfig,
    *,
    length: int,
    batch_size: int,
    microbatches: int = 1,
) -> tuple[int, int, int]:
    """(data, fsdp, tensor), or InputError naming what does not divide over which axis."""
    data, fsdp, tensor = config.shape(num_devices)
    divisions = (
        ("tensor", tensor, "num_heads", model.num_heads),
        ("tensor", tensor, "vocab_size", model.vocab_size),
        ("tensor", tensor, "mlp_dim", model.mlp_dim),
        ("tensor", tensor, "sequence_length", length),
        ("fsdp", fsdp, "embed_dim", model.embed_dim),
        ("microbatches x data x fsdp", microbatches * data * fsdp, "batch_size", batch_size),
    )
    for axis, parts, field, size in divisions:
        if size % parts:
            raise InputError(
                f"{field} = {size} does not divide over {axis} = {parts} of the mesh "
                f"{data}x{fsdp}x{tensor}: make it a multiple or change the mesh."
            )
    return data, fsdp, tensor


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over `devices` (all of them by default), laid out along the TPU's own links."""
    devices = list(jax.devices() if devices is None else devices)
    shape = config.shape(len(devices))
    slices = {getattr(device, "slice_index", 0) for device in devices}
    if config.num_slices > 1 and len(slices) != config.num_slices:
        raise InputError(
            f"num_slices = {config.num_slices}, but the devices are on {len(slices)}: "
            "set it to the number of slices that the run was started on."
        )
    return Mesh(device_grid(config, shape, devices), AXES)


def device_grid(config: MeshConfig, shape: tuple[int, int, int], devices: Sequence) -> np.ndarray:
    """The devices, [data, fsdp, tensor]: neighbours of an axis are neighbours on the torus."""

    def grid(split: bool) -> np.ndarray:
        if config.num_slices == 1:
            return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=split)
        within = (shape[0] // config.num_slices, *shape[1:])
        return mesh_utils.create_hybrid_device_mesh(
            within, (config.num_slices, 1, 1), devices, allow_split_physical_axes=split
        )

    try:
        return grid(split=False)
    except NotImplementedError:  # no axis of the torus has that size, so parts of one must do
        return grid(split=True)


@contextlib.contextmanager
def activate(mesh: Mesh):
    """Within it, what is traced sees the mesh and the rules."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(tuple(RULES.items())):
        yield mesh


def mesh_axes(names: Sequence[str | None]) -> PartitionSpec:
    """Axis names of one array -> its PartitionSpec.

    KeyError for a name without a rule; ValueError when two names want the same mesh axis.
    """
    wanted = [None if name is None else RULES[name] for name in names]
    flat = [axis for axes in wanted if axes for axis in ((axes,) if axes in AXES else axes)]
    if len(flat) != len(set(flat)):
        raise ValueError(f"axes {tuple(names)} collide on the mesh: {tuple(wanted)}")
    return PartitionSpec(*wanted)


def param_shardings(boxed_params, mesh: Mesh):
    """The sharding of every parameter, from the axis names in its `nn.Partitioned` box."""

    def sharding(boxed):
        return NamedSharding(mesh, mesh_axes(boxed.names))

    return jax.tree.map(sharding, boxed_params, is_leaf=lambda x: isinstance(x, nn.Partitioned))


def placed_shapes(boxed_params, mesh: Mesh):
    """Shape, dtype and sharding of every parameter."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        nn.unbox(boxed_params),
        param_shardings(boxed_params, mesh),
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows over `data` and `fsdp`; for arrays [B, ...] of any rank."""
    return NamedSharding(mesh, mesh_axes(("batch",)))


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def initialize_distributed(
    heartbeat_timeout_seconds: int = 100, initialization_timeout_seconds: int = 300
) -> bool:
    """Joins the processes of a multi-host run; True where there are several.

    JAX_COORDINATOR_ADDRESS with JAX_NUM_PROCESSES and JAX_PROCESS_ID names them; else the cluster
    (TPU pod, GKE, Slurm, Open MPI) does; on a machine that is no cluster nothing happens.
    heartbeat_timeout_seconds: after how long a silent process counts as dead. A process that has a
    part of its host to itself (POLYLM_ALONE) joins nobody.
    """
    if os.environ.get(ALONE):
        return False
    initialize = functools.partial(
        jax.distributed.initialize,
        heartbeat_timeout_seconds=heartbeat_timeout_seconds,
        initialization_timeout=initialization_timeout_seconds,
    )
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        initialize(
            os.environ["JAX_COORDINATOR_ADDRESS"],
            num_processes=_environment_number("JAX_NUM_PROCESSES"),
            process_id=_environment_number("JAX_PROCESS_ID"),
        )
        return jax.process_count() > 1
    try:
        initialize()
    except ValueError as error:
        if "coordinator_address should be defined" not in str(error):
            raise
        return False
    return jax.process_count() > 1


def _environment_number(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdigit():
        raise InputError(f"{name} = {value!r}: JAX_COORDINATOR_ADDRESS is set, so give a number.")
    return int(value)
