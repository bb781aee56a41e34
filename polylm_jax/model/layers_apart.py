"""The layers of a small model computed one by one, from parameters that lie in a stack.

A scan keeps compile time and memory from growing with depth, and slices every layer's parameters and
activations out of stacks for it. Of a few narrow layers that is a good part of a step, and there is no
depth to speak of. Parameters, their start and checkpoints stay stacked: nothing but the order of sums
differs.

Nor does a CPU take the whole batch of a small model at once: of 1,024 tokens a layer's activations stay
in a core's cache, of 4,096 they are written out and read again between any two products (docs/log.md).
"""

import dataclasses
from typing import Any

import jax

from polylm_jax.model.axes import batch_places, platform
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.loss import divisor
from polylm_jax.model.network import PolyLM

MOST_LAYERS = 8
MOST_WEIGHTS = 4_000_000  # of all layers
TOKENS_AT_ONCE = 1_024  # at the least, on each device
MOST_PARAMETERS = 2_000_000  # gradients of more cost as much to sum up as is gained


def computed(config: PolyLMConfig) -> Any:
    """The model whose `apply` takes the parameters of `PolyLM(config)`, as it is computed best."""
    return LayersApart(config) if config.scan_layers and _small(config) else PolyLM(config)


def parts(model: Any, rows: int, length: int) -> int:
    """In how many equal parts a step of so many rows of `length` tokens takes them, for a model that is
    `computed`: 1, but of small models on a CPU."""
    small = isinstance(model, LayersApart) and model.config.num_params <= MOST_PARAMETERS
    if not small or platform() != "cpu":
        return 1
    here = rows // batch_places(rows)
    return divisor(here, max(1, here * length // TOKENS_AT_ONCE))


def _small(config: PolyLMConfig) -> bool:
    embeddings = (config.vocab_size + config.max_length) * config.embed_dim
    weights = config.num_params - embeddings
    return config.num_layers <= MOST_LAYERS and weights <= MOST_WEIGHTS


@dataclasses.dataclass(frozen=True)
class LayersApart:
    """`PolyLM(config).apply` without a scan, for collections whose layers are stacked."""

    config: PolyLMConfig

    def apply(self, variables, *args, **kwargs):
        apart = {name: split(tree) for name, tree in variables.items()}
        model = PolyLM(dataclasses.replace(self.config, scan_layers=False))
        return model.apply(apart, *args, **kwargs)


def split(tree: dict) -> dict:
    """{'h': stacked, ...} -> {'h_0': ..., 'h_1': ..., ...}; the gradient is one concatenation."""
    if "h" not in tree:
        return tree
    stacked, structure = jax.tree.flatten(tree["h"])
    layers = zip(*map(_apart, stacked), strict=True)
    apart = {f"h_{n}": jax.tree.unflatten(structure, layer) for n, layer in enumerate(layers)}
    return {name: value for name, value in tree.items() if name != "h"} | apart


def _apart(stacked_L: jax.Array) -> list[jax.Array]:
    pieces = jax.lax.split(stacked_L, [1] * stacked_L.shape[0])
    return [piece.reshape(piece.shape[1:]) for piece in pieces]
