"""Causal attention: one rule, four implementations, and the one that reads a cache of keys.

Shapes: B batch, T query positions, S key positions, N heads, H width of a head.

All of them compute softmax(q k / sqrt(H)) v with the softmax in float32 (PolyLM, section 3.3: the
13B run was stable once the attention was). A query sees the keys at or before it and, where
segment ids are given, those of its own segment.
"""

import functools

import jax
import jax.numpy as jnp

from polylm_jax.model import precision, splash
from polylm_jax.model.axes import platform

IMPLEMENTATIONS = ("auto", "reference", "splash", "cudnn")
MASKED = -1e30  # finite, so that a row that sees nothing gives no NaN


def attend(
    q_BTNH: jax.Array,
    k_BTNH: jax.Array,
    v_BTNH: jax.Array,
    segment_ids_BT: jax.Array | None = None,
    *,
    implementation: str = "auto",
    splash_blocks: splash.SplashBlocks | None = None,
) -> jax.Array:
    """Causal self-attention over rows of tokens -> [B, T, N, H] in the dtype of the values.

    splash_blocks: of the TPU's kernel, by default those of the kind of chip.
    """
    name = choose(implementation, q_BTNH.shape[1], q_BTNH.dtype)
    if name == "splash":
        return splash.attend(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT, blocks=splash_blocks)
    if name == "cudnn":
        return _cudnn(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)
    return _reference(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)


def choose(implementation: str, length: int, dtype=jnp.bfloat16) -> str:
    """What 'auto' means here: splash on TPU, cuDNN on GPU, the reference elsewhere.

    The TPU kernel works on tiles of 128 positions, and rounds float32 operands to bfloat16: other
    lengths and float32 take the reference.
    """
    if implementation != "auto":
        return implementation
    if platform() == "tpu" and length % 128 == 0 and dtype != jnp.float32:
        return "splash"
    return "cudnn" if platform() == "gpu" else "reference"


def _reference(q_BTNH, k_BSNH, v_BSNH, segment_ids_BT):
    """Queries in blocks, each against the keys up to its end: half of the products are skipped."""
    length = q_BTNH.shape[1]
    block = _query_block(length)
    outputs = []
    for start in range(0, length, block):
        stop = min(start + block, length)
        visible_TS = jnp.arange(start, stop)[:, None] >= jnp.arange(stop)
        mask_BTS = visible_TS[None]
        if segment_ids_BT is not None:
            queries_BT, keys_BS = segment_ids_BT[:, start:stop], segment_ids_BT[:, :stop]
            mask_BTS = mask_BTS & (queries_BT[:, :, None] == keys_BS[:, None, :])
        outputs.append(_block(q_BTNH[:, start:stop], k_BSNH[:, :stop], v_BSNH[:, :stop], mask_BTS))
    return outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=1)


def _query_block(length: int) -> int:
    """Positions in a block of queries: an eighth of the row, 64 at least."""
    return max(64, -(-length // 8))


def _block(q_BTNH, k_BSNH, v_BSNH, mask_BTS):
    scale = q_BTNH.shape[-1] ** -0.5
    scores_BNTS = jnp.einsum(
        "BTNH,BSNH->BNTS",
        q_BTNH * scale,
        k_BSNH,
        precision=precision.of(q_BTNH),
        preferred_element_type=jnp.float32,
    )
    scores_BNTS = jnp.where(mask_BTS[:, None], scores_BNTS, MASKED)
    weights_BNTS = jax.nn.softmax(scores_BNTS, axis=-1).astype(v_BSNH.dtype)
    # Said so and not by einsum, which puts the values first, and a CPU then turns both operands.
    mixed_BNTH = jax.lax.dot_general(
        weights_BNTS, v_BSNH, (((3,), (1,)), ((0, 1), (0, 2))), precision=precision.of(v_BSNH)
    )
    return mixed_BNTH.swapaxes(1, 2)


def attend_cached(
    q_BTNH: jax.Array, key_BNHS: jax.Array, value_BNHS: jax.Array, index_B: jax.Array
) -> jax.Array:
    """Attention of T new tokens over a cache that already holds their keys -> [B, T, N, H].

    The first new token of row b stands in column index_B[b]; token t of it sees the columns up
    to index_B[b] + t. What a row's padding wrote lies beyond and is not seen.
    """
    scale = q_BTNH.shape[-1] ** -0.5
    scores_BNTS = jnp.einsum(
        "BTNH,BNHS->BNTS",
        q_BTNH * scale,
        key_BNHS,
        precision=precision.of(q_BTNH),
        preferred_element_type=jnp.float32,
    )
    columns_S = jnp.arange(key_BNHS.shape[-1])
    last_BT = index_B[:, None] + jnp.arange(q_BTNH.shape[1])
    seen_BTS = columns_S <= last_BT[:, :, None]
    scores_BNTS = jnp.where(seen_BTS[:, None], scores_BNTS, MASKED)
    weights_BNTS = jax.nn.softmax(scores_BNTS, axis=-1).astype(value_BNHS.dtype)
    return jnp.einsum(
        "BNTS,BNHS->BTNH", weights_BNTS, value_BNHS, precision=precision.of(value_BNHS)
    )


def write(cache_BNHS: jax.Array, new_BNHT: jax.Array, index_B: jax.Array) -> jax.Array:
    """The cache with T new columns in row b from column index_B[b] on (no room: moved left)."""
    one_row = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=2)
    return jax.vmap(one_row)(cache_BNHS, new_BNHT, index_B)


def _cudnn(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT):
    """cuDNN's flash attention; its kernels take 16-bit operands, so float32 ones go to XLA's."""
    mask_B1TT = None
    if segment_ids_BT is not None:
        mask_B1TT = segment_ids_BT[:, None, :, None] == segment_ids_BT[:, None, None, :]
    kernel = "xla" if q_BTNH.dtype == jnp.float32 else "cudnn"
    return jax.nn.dot_product_attention(
        q_BTNH, k_BTNH, v_BTNH, mask=mask_B1TT, is_causal=True, implementation=kernel
    )
