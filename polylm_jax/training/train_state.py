"""What training changes: step, parameters, optimizer state; born sharded."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from polylm_jax.model import partitioning
from polylm_jax.model.parameters import abstract_params, init_params


class TrainState(flax.struct.PyTreeNode):
    """A checkpoint's arrays. step: int32 scalar, the steps done.

    frozen: the base's parameters, where `params` are adapters to them; no checkpoint has them.
    """

    step: jax.Array
    params: dict
    opt_state: optax.OptState
    frozen: dict | None = None

    @property
    def whole(self) -> dict:
        """What the model is applied with."""
        return whole(self.params, self.frozen)


def whole(params: dict, frozen: dict | None) -> dict:
    """Trained parameters, or adapters with the frozen ones that they adapt."""
    return params if frozen is None else {**frozen, "adapters": params}


def init_fn(model: nn.Module, tx: optax.GradientTransformation, rng: jax.Array) -> TrainState:
    """The state before the first step."""
    params = nn.unbox(init_params(model, rng))
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, opt_state=tx.init(params))


def shardings(model: nn.Module, tx: optax.GradientTransformation, mesh: Mesh) -> TrainState:
    """The state's tree with a NamedSharding per array: moments lie as their parameters do."""
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
    return TrainState(step=replicated, params=params, opt_state=opt_state)


def abstract(model: nn.Module, tx: optax.GradientTransformation, mesh: Mesh) -> TrainState:
    """The state's tree with shape, dtype and sharding per array; nothing is computed."""
    state = jax.eval_shape(lambda: init_fn(model, tx, jax.random.key(0)))
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        state,
        shardings(model, tx, mesh),
    )


def create(
    model: nn.Module, tx: optax.GradientTransformation, mesh: Mesh, rng: jax.Array
) -> TrainState:
    """A fresh state on the mesh: each device makes its own shards, none holds the whole."""
    make = jax.jit(lambda rng: init_fn(model, tx, rng), out_shardings=shardings(model, tx, mesh))
    with partitioning.activate(mesh):
        return make(rng)
