"""What the devices execute, compiled ahead of the first step and kept for the next start."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from polylm_jax.checkpoints import checkpoint
from polylm_jax.errors import InputError
from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.averaging import Average
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import make_optimizer
from polylm_jax.training import executables, train_state
from polylm_jax.training.compile_turns import Awaited
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.step import Likelihood, make_train_step
from polylm_jax.training.train_state import TrainState

# For TPUs: gathers and sums of weights run beside the products that don't need them. By default
# libtpu waits for each of them, or, where one axis has all chips, cuts products into pieces that
# add up in HBM: the last option (MiB) keeps them whole.
TPU_OPTIONS = {
    "xla_tpu_enable_async_collective_fusion": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_reduce_scatter": "true",
    "xla_tpu_enable_async_collective_fusion_multiple_steps": "true",
    "xla_tpu_overlap_compute_collective_tc": "true",
    "xla_enable_async_all_gather": "true",
    "xla_tpu_enable_data_parallel_all_reduce_opt": "true",
    "xla_tpu_data_parallel_opt_different_sized_ops": "true",
    "xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000",
}

# And sums of gradients beside products, for the kinds of chip that were planned with it: on v5e
# a fusion of 13B has no room in VMEM so.
TPU_SUMS = {"xla_enable_async_reduce_scatter_fusion": "true"}
TPU_SUMS_KINDS = ("TPU v6 lite", "TPU v6e")  # JAX has said both


# How much of VMEM (KiB) one fusion may take. libtpu's default is 16 MiB, and its products then wait
# for their operands: 13B's step on 128 chips takes 1.32 (v5p) and 1.68 times (v6e) as long by
# libtpu's own cycles (docs/speed.md). v4's cores have 16 MiB in all.
TPU_VMEM = "xla_tpu_scoped_vmem_limit_kib"
TPU_VMEM_KIB = {
    "TPU v5": 65536,
    "TPU v5p": 65536,
    "TPU v5 lite": 65536,
    "TPU v5e": 65536,
    "TPU v6 lite": 98304,
    "TPU v6e": 98304,
}


def compiler_options(device: jax.Device, own: Mapping | None = None) -> dict[str, object]:
    """What XLA is told beyond its defaults for a device like this one.

    own: the recipe's, which come first; None in place of a value leaves one to XLA's default.
    """
    options: dict[str, object] = {}
    if device.platform == "tpu":
        options |= TPU_OPTIONS
        options |= TPU_SUMS if device.device_kind in TPU_SUMS_KINDS else {}
        if kib := TPU_VMEM_KIB.get(device.device_kind):
            options[TPU_VMEM] = str(kib)
    options |= _checked(own or {})
    return {name: value for name, value in options.items() if value is not None}


def _checked(options: Mapping) -> Mapping:
    for name, value in options.items():
        if not isinstance(value, str | bool | int | float | None):
            raise InputError(
                f"COMPILER_OPTIONS has {name!r} = {value!r}: give text, a number, True, False, or "
                "None for XLA's own default."
            )
    return options


# (state, tokens [B, L+1], component [B], **packing) -> (state, metrics)
Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Programs:
    """A run's model and optimizer on its mesh.

    devices: where it runs, JAX's own by default.
    """

    resolved: Resolved
    devices: Sequence[jax.Device] | None = None

    @functools.cached_property
    def mesh(self) -> Mesh:
        return partitioning.make_mesh(self.resolved.experiment.mesh, self.devices)

    @property
    def options(self) -> dict[str, object]:
        """What the compiler is told of each of the run's programs."""
        own = self.resolved.experiment.compiler_options
        return compiler_options(self.mesh.devices.flat[0], own)

    @functools.cached_property
    def model(self) -> Any:
        """What is applied: a `PolyLM`, or a `lora.AdaptedModel` of one."""
        return PolyLM(self.resolved.experiment.model)

    @functools.cached_property
    def computed(self) -> Any:
        """The model as steps apply it, to the same parameters."""
        return layers_apart.computed(self.resolved.experiment.model)

    @property
    def objective(self) -> Likelihood:
        """The loss that a step minimises."""
        return self.resolved.experiment.objective

    @functools.cached_property
    def learning_rate(self) -> Callable[[jax.Array], jax.Array]:
        return self.resolved.learning_rate()

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.resolved.experiment.optimizer, self.learning_rate)

    @property
    def average(self) -> Average | None:
        """What the state keeps of its parameters beside them."""
        return self.resolved.experiment.average

    @functools.cached_property
    def abstract_state(self) -> TrainState:
        return executables.made_of(_abstract_state, *self._state_parts)

    @property
    def _state_parts(self) -> tuple:
        return self.model, self.resolved.experiment.optimizer, self.mesh, self.average

    def lower_step(self, batch_size: int | None = None) -> jax.stages.Lowered:
        """The train step, traced: (state, rate, tokens [B, L+1], component [B], **packing) -> (state,
        metrics).

        The state is donated; metrics come back whole to every process. rate: float32, the step's
        learning rate, so that runs of other rates have the same program. batch_size: B, by default of
        the run's largest steps.
        """
        experiment = self.resolved.experiment
        options = {
            "microbatches": experiment.microbatches,
            "num_chunks": experiment.num_chunks,
            "vocab_blocks": experiment.vocab_blocks,
            "z_loss": experiment.z_loss,
            "skip_non_finite": experiment.skip_non_finite > 0,
            "objective": self.objective,
            "average": self.average,
            "seed": experiment.seed if self.average else 0,  # nothing else is drawn of it
        }
        shardings = jax.tree.map(lambda x: x.sharding, self.abstract_state)
        leaves, tree = jax.tree.flatten(shardings)
        jitted = executables.made_of(
            _jitted_step,
            self.computed,
            experiment.optimizer,
            len(self.resolved.schedule.components),
            tuple(options.items()),
            self.mesh,
            (tree, tuple(leaves)),
        )
        whole, by_row = partitioning.replicated(self.mesh), partitioning.batch_sharding(self.mesh)
        B, L = batch_size or max(self.resolved.steps.sizes), experiment.sequence_length

        def by_rows(shape, dtype):
            return jax.ShapeDtypeStruct((B, *shape), dtype, sharding=by_row)

        packing = {name: by_rows((L,), dtype) for name, dtype in experiment.rows.packing.items()}
        rate = jax.ShapeDtypeStruct((), jnp.float32, sharding=whole)
        batch = by_rows((L + 1,), jnp.int32), by_rows((), jnp.int32)
        with partitioning.activate(self.mesh):
            return jitted.lower(self.abstract_state, rate, *batch, **packing)

    def compile_step(self, batch_size: int | None = None) -> jax.stages.Compiled | Awaited:
        """The train step, compiled; `train_steps` give it its learning rate."""
        return executables.compiled(self.lower_step(batch_size), self.options, self.mesh)

    def train_steps(self, step: int) -> dict[int, Step]:
        """Rows of a step -> the train step of such a batch, ready to run, for all steps from one on."""
        whole = partitioning.replicated(self.mesh)
        rate = jax.jit(self.learning_rate, out_shardings=whole)
        rate(jax.device_put(jnp.int32(0), whole))  # compiled here, not between two steps

        def paced(program: jax.stages.Compiled | Awaited) -> Step:
            return lambda state, *batch, **packing: program(
                state, rate(state.step), *batch, **packing
            )

        sizes = self.resolved.steps.sizes_from(step)
        return {size: paced(self.compile_step(size)) for size in sizes}

    def fresh_state(self) -> TrainState:
        """Before the first step, from the seed."""
        rng = jax.random.key(self.resolved.experiment.seed)
        make = executables.made_of(_first_state, *self._state_parts)
        return train_state.made(make, self.mesh, rng)

    def merged(self, state: TrainState) -> dict:
        """The parameters of a plain model, or their average where the recipe chooses it."""
        return state.chosen(self.resolved.experiment.weights)

    def completed(self, state: TrainState, path: str | None, step: int | None) -> TrainState:
        """A state of a checkpoint with what the checkpoint has not. path, step: of its base."""
        del path, step
        return state

    def state_from(self, path: str, step: int | None) -> TrainState:
        """Before the first step, with the parameters of another run; InputError for another model."""
        abstract = self.abstract_state
        params = checkpoint.restore_params(path, abstract.params, step)

        def beside(params):
            return self.optimizer.init(params), self.average.begun(params) if self.average else None

        wanted = (abstract.opt_state, abstract.average)
        shardings = jax.tree.map(lambda x: x.sharding, wanted)
        made = jax.jit(beside, out_shardings=shardings)
        opt_state, kept = executables.called(made, self.mesh, params)
        zero = jax.device_put(jnp.int32(0), abstract.step.sharding)
        return TrainState(zero, params, opt_state, average=kept)


# Made of their parts alone, see `executables.made_of`. A state's start knows no learning rate.


def _abstract_state(model, optimizer, mesh: Mesh, average: Average | None) -> TrainState:
    return train_state.abstract(model, make_optimizer(optimizer, jnp.zeros_like), mesh, average)


def _first_state(
    model, optimizer, mesh: Mesh, average: Average | None
) -> Callable[[jax.Array], TrainState]:
    return train_state.maker(model, make_optimizer(optimizer, jnp.zeros_like), mesh, average)


def _jitted_step(
    computed, optimizer, components: int, options: tuple, mesh: Mesh, shardings: tuple
) -> jax.stages.Wrapped:
    """See `Programs.lower_step`. shardings: of the state, its tree and leaves."""

    def step(state, rate, tokens, component, **packing):
        def paced(_):
            return rate

        tx = make_optimizer(optimizer, paced)
        made = make_train_step(computed, tx, paced, components, **dict(options))
        return made(state, tokens, component, **packing)

    out = jax.tree.unflatten(*shardings), partitioning.replicated(mesh)
    return jax.jit(step, donate_argnums=0, out_shardings=out)
