"""What the devices execute where only adapters are trained: the base is frozen and never saved."""

import functools
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from polylm_jax.checkpoints import checkpoint
from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.lora import AdaptedModel, Lora
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params
from polylm_jax.training.programs import Programs
from polylm_jax.training.train_state import TrainState


@runtime_checkable
class _Adapting(Protocol):
    """An experiment that trains adapters: `FinetuningExperiment`."""

    lora: Lora | None


class AdaptedPrograms(Programs):
    """`Programs` of a `FinetuningExperiment` that has `lora`: the state's `params` are adapters.

    The base's matrices are held in the dtype of their products, to which they are rounded there
    anyway; gradients and moments are the adapters' alone.
    """

    @functools.cached_property
    def model(self) -> AdaptedModel:
        experiment = self.resolved.experiment
        assert isinstance(experiment, _Adapting) and experiment.lora is not None
        return AdaptedModel(self._plain, experiment.lora)

    @functools.cached_property
    def computed(self) -> AdaptedModel:
        plain = layers_apart.computed(self.resolved.experiment.model)
        return AdaptedModel(plain, self.model.lora)

    @functools.cached_property
    def _plain(self) -> PolyLM:
        return PolyLM(self.resolved.experiment.model)

    @functools.cached_property
    def _boxed(self):
        """The base's parameters and the adapters, in their boxes of axis names."""
        base = abstract_params(self._plain)
        return base, self.model.lora.boxed(base)

    @functools.cached_property
    def abstract_state(self) -> TrainState:
        base, adapters = (partitioning.placed_shapes(boxed, self.mesh) for boxed in self._boxed)
        dtype = jnp.dtype(self.resolved.experiment.model.dtype)

        def held(path, x):
            matrix = path[-1].key == "kernel"
            return jax.ShapeDtypeStruct(x.shape, dtype if matrix else x.dtype, sharding=x.sharding)

        return TrainState(
            step=jax.ShapeDtypeStruct((), jnp.int32, sharding=partitioning.replicated(self.mesh)),
            params=adapters,
            opt_state=self._abstract_moments(adapters),
            frozen=jax.tree_util.tree_map_with_path(held, base),
        )

    def _abstract_moments(self, adapters):
        replicated = partitioning.replicated(self.mesh)
        return optax.tree_map_params(
            self.optimizer,
            lambda x, like: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=like.sharding),
            jax.eval_shape(self.optimizer.init, adapters),
            adapters,
            transform_non_params=lambda x: jax.ShapeDtypeStruct(
                x.shape, x.dtype, sharding=replicated
            ),
        )

    def state_from(self, path: str, step: int | None) -> TrainState:
        """Before the first step: the base, and adapters that change nothing yet."""
        abstract = self.abstract_state
        rng = jax.random.key(self.resolved.experiment.seed)

        def make():
            adapters = self.model.lora.init(self._boxed[0], rng)
            return TrainState(jnp.int32(0), adapters, self.optimizer.init(adapters))

        fresh = abstract.replace(frozen=None)
        shardings = jax.tree.map(lambda x: x.sharding, fresh)
        return self.completed(jax.jit(make, out_shardings=shardings)(), path, step)

    def completed(self, state: TrainState, path: str | None, step: int | None) -> TrainState:
        """The state with the base's parameters; InputError for another model."""
        assert path is not None  # adapters have a base
        return state.replace(
            frozen=checkpoint.restore_params(path, self.abstract_state.frozen, step)
        )

    def merged(self, state: TrainState) -> dict:
        copied = jax.jit(
            lambda tree: jax.tree.map(jnp.copy, tree),
            out_shardings=jax.tree.map(lambda x: x.sharding, state.frozen),
        )
        return self.model.lora.merged(copied(state.frozen), state.params)
