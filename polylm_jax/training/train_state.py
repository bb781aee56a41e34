"""What training changes: step, parameters, optimizer state; born sharded."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from polylm_jax.model import partitioning
from polylm_jax.model.averaging import AVERAGE, PLAIN, Average, exact
from polylm_jax.model.parameters import abstract_params, init_params
from polylm_jax.training import executables


class TrainState(flax.struct.PyTreeNode):
    """A checkpoint's arrays. step: int32 scalar, the steps done.

    frozen: the base's parameters, where `params` are adapters to them; no checkpoint has them.
    average: what an `Average` of the parameters keeps, tree by tree, where there is one.
    """

    step: Any  # in a tree of shapes or shardings, its own
    params: dict
    opt_state: optax.OptState
    frozen: dict | None = None
    average: dict | None = None

    def chosen(self, weights: str) -> dict:
        """What the model is applied with: the parameters as they are trained, or their average."""
        if weights == PLAIN:
            return self.whole
        assert self.average is not None  # refused where none is kept
        return exact(self.average[AVERAGE])

    @property
    def whole(self) -> dict:
        """What the model is applied with."""
        return whole(self.params, self.frozen)


def whole(params: dict, frozen: dict | None) -> dict:
    """Trained parameters, or adapters with the frozen ones that they adapt."""
    return params if frozen is None else {**frozen, "adapters": params}


def init_fn(
    model: nn.Module,
    tx: optax.GradientTransformation,
    rng: jax.Array,
    average: Average | None = None,
) -> TrainState:
    """The state before the first step."""
    params = nn.unbox(init_params(model, rng))
    kept = average.begun(params) if average else None
    return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params), average=kept)


def shardings(
    model: nn.Module,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    average: Average | None = None,
) -> TrainState:
    """The state's tree with a NamedSharding per array: moments and averages lie as parameters do."""
    boxed = abstract_params(model)
    params = partitioning.param_shardings(boxed, mesh)
    replicated = partitioning.replicated(mesh)
    opt_state = optax.tree_map_params(
        tx,
        lambda _, sharding: sharding,
        jax.eval_shape(tx.init, nn.unbox(boxed)),
        params,
        transform_non_params=lambda _: replicated,
    )
    kept = dict.fromkeys(average.trees, params) if average else None
    return TrainState(replicated, params, opt_state, average=kept)


def abstract(
    model: nn.Module,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    average: Average | None = None,
) -> TrainState:
    """The state's tree with shape, dtype and sharding per array; nothing is computed."""
    state = jax.eval_shape(lambda: init_fn(model, tx, jax.random.key(0), average))
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        state,
        shardings(model, tx, mesh, average),
    )


def maker(
    model: nn.Module,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    average: Average | None = None,
) -> Callable[[jax.Array], TrainState]:
    """A random key -> a fresh state on the mesh: each device makes its own shards, none holds the whole."""
    placed = shardings(model, tx, mesh, average)
    return jax.jit(lambda rng: init_fn(model, tx, rng, average), out_shardings=placed)


def create(
    model: nn.Module,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    rng: jax.Array,
    average: Average | None = None,
) -> TrainState:
    """A fresh state on the mesh, see `maker`."""
    return made(maker(model, tx, mesh, average), mesh, rng)


def made(make: Callable[[jax.Array], TrainState], mesh: Mesh, rng: jax.Array) -> TrainState:
    """What a `maker` makes of a random key."""
    with partitioning.activate(mesh):
        return executables.called(make, mesh, rng)
