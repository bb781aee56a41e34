"""A checkpoint's parameters laid out for generation: on the mesh, layers apart, in the model's dtype."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from polylm_jax import checkpoint, partitioning, train_state
from polylm_jax.model import PolyLM, PolyLMConfig


def load(path: str, config: PolyLMConfig, mesh: Mesh, step: int | None = None):
    """(config, params) for `decode.Decoder` from a run's checkpoint; path, step: as restored.

    config: of the model as it was trained; what only training needs is left out of the result.
    InputError where there is no such checkpoint, or one of another model.
    """
    abstract = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        nn.unbox(_boxed(config)),
        shardings(config, mesh),
    )
    return laid_out(config, checkpoint.restore_params(path, abstract, step))


def shardings(config: PolyLMConfig, mesh: Mesh):
    """Where training keeps each parameter: the tree of `PolyLM.init`."""
    return partitioning.param_shardings(_boxed(config), mesh)


def _boxed(config):
    model = PolyLM(config)
    return jax.eval_shape(lambda: train_state.init_params(model, jax.random.key(0)))


def generating(config: PolyLMConfig) -> PolyLMConfig:
    """The model as `Decoder` runs it."""
    return dataclasses.replace(config, remat="none", scan_layers=False)


def laid_out(config: PolyLMConfig, params):
    """(config, params) with the layers apart and the layers' matrices in the model's dtype.

    Layers apart are not sliced out of a stack at each token, nor their caches copied. The products
    are in that dtype anyway: no bit of a result changes. The given parameters are used up, one by
    one, so that no more than one is there twice.
    """
    if not config.scan_layers:
        return generating(config), {
            name: _cast(name, value, config) for name, value in params.items()
        }
    layers: list[dict] = [{} for _ in range(config.num_layers)]
    for path, stacked in jax.tree_util.tree_flatten_with_path(params["h"])[0]:
        for layer, value in zip(layers, _apart(stacked, _dtype(path, config)), strict=True):
            *branches, leaf = [key.key for key in path]
            for branch in branches:
                layer = layer.setdefault(branch, {})
            layer[leaf] = value
        stacked.delete()
    rest = {name: value for name, value in params.items() if name != "h"}
    return generating(config), rest | {f"h_{number}": layer for number, layer in enumerate(layers)}


def _dtype(path, config):
    """Norms compute in float32; the projections in the model's dtype."""
    return jnp.float32 if any(key.key.startswith("ln_") for key in path) else config.dtype


def _cast(name, value, config):
    if not name.startswith("h_"):
        return value
    return jax.tree_util.tree_map_with_path(lambda path, x: x.astype(_dtype(path, config)), value)


def _apart(stacked, dtype):
    """[layers, ...] -> a list of [...], each placed as the stack was."""
    sharding = stacked.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))
    split = jax.jit(lambda x: list(x.astype(dtype)), out_shardings=sharding)
    return split(stacked)
