"""Causal attention: one rule, four implementations, and the one that reads a cache of keys.

Shapes: B batch, T query positions, S key positions, N heads, H width of a head.

All of them compute softmax(q k / sqrt(H)) v with the softmax in float32 (PolyLM, section 3.3: the
13B run was stable once the attention was). A query sees the keys at or before it and, where
segment ids are given, those of its own segment.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from polylm_jax.model import precision

IMPLEMENTATIONS = ("auto", "reference", "splash", "cudnn")
MASKED = -1e30  # finite, so that a row that sees nothing gives no NaN
QUERY_AXES = ("batch", "length", "heads", "head_dim")
SEGMENT_AXES = ("batch", "length")


def attend(
    q_BTNH: jax.Array,
    k_BTNH: jax.Array,
    v_BTNH: jax.Array,
    segment_ids_BT: jax.Array | None = None,
    *,
    implementation: str = "auto",
) -> jax.Array:
    """Causal self-attention over rows of tokens -> [B, T, N, H] in the dtype of the values."""
    name = choose(implementation, q_BTNH.shape[1], q_BTNH.dtype)
    if name == "splash":
        return splash(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)
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


def platform() -> str:
    """The platform that is compiled for: that of the mesh in use, else JAX's default."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


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
    return jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BSNH, precision=precision.of(v_BSNH))


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


def splash(
    q_BTNH: jax.Array,
    k_BTNH: jax.Array,
    v_BTNH: jax.Array,
    segment_ids_BT: jax.Array | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """`attend` by the Pallas TPU kernel, each device on its own rows and heads (`shard_map`).

    interpret: run the kernel's program without a TPU, slowly.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return _splash_local(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT, interpret=interpret)
    local = functools.partial(_splash_local, interpret=interpret)
    rows = nn.logical_to_mesh_axes(QUERY_AXES)
    segments = PartitionSpec() if segment_ids_BT is None else nn.logical_to_mesh_axes(SEGMENT_AXES)
    return jax.shard_map(
        local, in_specs=(rows, rows, rows, segments), out_specs=rows, check_vma=False
    )(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)


def _splash_local(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT, *, interpret):
    kernel = _splash_kernel(q_BTNH.shape[1], q_BTNH.shape[2], interpret)
    heads_first = functools.partial(jnp.swapaxes, axis1=1, axis2=2)
    q_BNTH = heads_first(q_BTNH * q_BTNH.shape[-1] ** -0.5)
    k_BNTH, v_BNTH = heads_first(k_BTNH), heads_first(v_BTNH)
    if segment_ids_BT is None:
        return heads_first(jax.vmap(kernel)(q_BNTH, k_BNTH, v_BNTH))
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds

    segments = SegmentIds(segment_ids_BT, segment_ids_BT)
    return heads_first(jax.vmap(kernel)(q_BNTH, k_BNTH, v_BNTH, segments))


def _splash_kernel(length: int, heads: int, interpret: bool):
    """The kernel for one row; blocks of 512 fit VMEM at a head width of 128."""
    from jax.experimental.pallas.ops.tpu import splash_attention as splash  # needs Pallas for TPU

    block = next(size for size in (512, 256, 128) if length % size == 0)
    blocks = splash.BlockSizes(
        block_q=block, block_kv=block, block_q_dkv=block, block_kv_dkv=block,
        block_q_dq=block, block_kv_dq=block,
    )  # fmt: skip
    mask = splash.MultiHeadMask([splash.CausalMask((length, length))] * heads)
    return splash.make_splash_mha(
        mask, head_shards=1, q_seq_shards=1, block_sizes=blocks,
        residual_checkpoint_name="attention", interpret=interpret,
    )  # fmt: skip
