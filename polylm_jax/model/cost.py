"""What a model weighs: parameters per part and bytes per device of a training step.

Parameters, moments and gradients follow from shapes and the mesh, to the byte. Activations are an
estimate from what the rematerialisation policy keeps; the compiled step knows the exact number.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from polylm_jax.model import loss, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params

FLOAT32 = 4
# Values of a token and layer that the forward pass keeps for the backward one besides the layer's
# input, in multiples of (D, F): attention's output; outputs of c_attn and both c_proj, and of c_fc.
KEPT = {
    "full": (0, 0), "attention": (1, 0), "dots": (5, 1), "dots_attention": (6, 1), "none": (9, 3),
}  # fmt: skip


def parts(config: PolyLMConfig) -> dict[str, int]:
    """Part ('wte', 'h/attn', ...) -> its parameters, all layers together; sums to num_params."""
    counts: dict[str, int] = {}
    for path, array in _parameters(config):
        name = "/".join(path[:2]) if path[0] == "h" else path[0]
        counts[name] = counts.get(name, 0) + math.prod(array.value.shape)
    return counts


def flops_per_token(model: PolyLMConfig, length: int, adapters: int | None = None) -> float:
    """Model FLOPs of training on one token: 6 per parameter, plus causal attention.

    adapters: parameters of adapters, where they alone are trained: a frozen parameter has no
    gradient of its own, so 4 of its 6 are left.

    The positions' table is looked up, not multiplied. Attention: two products of 2 T D forward,
    three times that with the backward pass, half of it masked: 6 T D a layer. Rematerialisation
    doesn't count.
    """
    multiplied = model.num_params - model.max_length * model.embed_dim
    attention = 6.0 * model.num_layers * model.embed_dim * length
    if adapters is not None:
        return 4.0 * multiplied + 6.0 * adapters + attention
    return 6.0 * multiplied + attention


def per_device(
    config: PolyLMConfig,
    mesh_shape: Sequence[int],
    *,
    batch_size: int,
    length: int,
    microbatches: int,
    num_chunks: int,
    vocab_blocks: int = 1,
    average: int = 0,
) -> dict[str, int]:
    """Bytes of a training step on each device of a data x fsdp x tensor mesh.

    'parameters', 'moments', 'gradients' are exact (float32), 'activations' and 'logits' estimates.
    average: bytes per parameter of what is kept of them beside them; 'average' where there is one.
    """
    sizes = dict(zip(partitioning.AXES, mesh_shape, strict=True))
    held = sum(
        math.prod(array.value.shape) // _shards(array.names, sizes)
        for _, array in _parameters(config)
    )
    data, fsdp, tensor = mesh_shape
    rows = math.ceil(batch_size / (data * fsdp * microbatches))
    kept_D, kept_F = KEPT[config.remat]
    residual = jnp.dtype(config.residual_dtype).itemsize * config.embed_dim
    compute = jnp.dtype(config.dtype).itemsize
    kept = compute * (kept_D * config.embed_dim + kept_F * config.mlp_dim)
    # One layer at a time is recomputed whole, with the gradients of what it makes.
    working = 2 * compute * (9 * config.embed_dim + 3 * config.mlp_dim)
    activations = rows * length * (config.num_layers * (residual + kept) + working) // tensor
    pieces = (config.vocab_size, vocab_blocks) if vocab_blocks > 1 else (length, num_chunks)
    logits = rows * length * config.vocab_size // loss.divisor(*pieces)
    return {
        "parameters": FLOAT32 * held,
        "moments": 2 * FLOAT32 * held,
        **({"average": average * held} if average else {}),
        "gradients": FLOAT32 * held * (2 if microbatches > 1 else 1),
        "activations": activations,
        "logits": 2 * FLOAT32 * logits // tensor,
    }


def _parameters(config: PolyLMConfig) -> Iterator[tuple[list[str], nn.Partitioned]]:
    """(path, shape with axis names) of every parameter; nothing is computed."""
    model = PolyLM(dataclasses.replace(config, scan_layers=True))
    boxed = abstract_params(model)
    leaves = jax.tree_util.tree_flatten_with_path(
        boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned)
    )[0]
    return (([str(key.key) for key in path], array) for path, array in leaves)


def _shards(names: Sequence[str | None], sizes: dict[str, int]) -> int:
    """Into how many pieces the mesh cuts an array with these axis names."""
    axes = [axis for axis in partitioning.mesh_axes(names) if axis]
    return math.prod(sizes[axis] for axis in axes)
