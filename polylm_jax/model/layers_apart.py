"""The layers of a small model computed one by one, from parameters that lie in a stack.

A scan keeps compile time and memory from growing with depth, and slices every layer's parameters and
activations out of stacks for it. Of a few narrow layers that is a good part of a step, and there is no
depth to speak of. Parameters, their start and checkpoints stay stacked: nothing but the order of sums
differs.
"""

import dataclasses
from typing import Any

import jax

from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM

MOST_LAYERS = 8
MOST_WEIGHTS = 4_000_000  # of all layers


def computed(config: PolyLMConfig) -> Any:
    """The model whose `apply` takes the parameters of `PolyLM(config)`, as it is computed best."""
    return LayersApart(config) if config.scan_layers and _small(config) else PolyLM(config)


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
