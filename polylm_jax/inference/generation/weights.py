"""A checkpoint's parameters laid out for generation: on the mesh, layers apart, in the model's dtype."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.identity import Checkpoint
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params


def load(found: Checkpoint, config: PolyLMConfig, mesh: Mesh):
    """(config, params) for `decode.Decoder` from a run's checkpoint.

    config: of the model as it was trained; what only training needs is left out of the result.
    InputError where there is no such checkpoint, or one of another model.
    """
    abstract = partitioning.placed_shapes(abstract_params(PolyLM(config)), mesh)
    return laid_out(
        config, checkpoint.restore_params(found.path, abstract, found.step, found.weights)
    )


def generating(config: PolyLMConfig) -> PolyLMConfig:
    """The model as `Decoder` runs it."""
    return dataclasses.replace(config, remat="none", scan_layers=False)


def laid_out(config: PolyLMConfig, params):
    """(config, params) with the layers apart, their matrices in the model's dtype, and a head.

    Layers apart are not sliced out of a stack at each token, nor their caches copied. 'head' is the
    embedding [D, V] in the model's dtype: as the output matrix it is read whole for each token, and
    so without a conversion or a transposition. Products are in that dtype anyway: nothing is
    rounded that was not. The given parameters are used up, one by one, so that no more than one of
    the layers' is there twice.
    """
    head = _head(params["wte"]["embedding"], config.dtype)
    if not config.scan_layers:
        cast = {name: _cast(name, value, config) for name, value in params.items()}
        return generating(config), cast | {"head": head}
    layers: list[dict] = [{} for _ in range(config.num_layers)]
    for path, stacked in jax.tree_util.tree_flatten_with_path(params["h"])[0]:
        for layer, value in zip(layers, _apart(stacked, _dtype(path, config)), strict=True):
            *branches, leaf = [key.key for key in path]
            for branch in branches:
                layer = layer.setdefault(branch, {})
            layer[leaf] = value
        stacked.delete()
    rest = {name: value for name, value in params.items() if name != "h"}
    apart = {f"h_{number}": layer for number, layer in enumerate(layers)}
    return generating(config), rest | apart | {"head": head}


def _head(wte_VD, dtype):
    sharding = wte_VD.sharding
    if isinstance(sharding, NamedSharding):
        V, D = (*sharding.spec, None, None)[:2]
        sharding = NamedSharding(sharding.mesh, PartitionSpec(D, V))
    return jax.jit(lambda x: x.T.astype(dtype), out_shardings=sharding)(wte_VD)


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
