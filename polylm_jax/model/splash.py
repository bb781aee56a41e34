"""The TPU's attention kernel: splash attention of Pallas, in blocks whose sizes go by the kind of chip.

Shapes: B batch, T positions, N heads, H width of a head.
"""

import dataclasses
import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from polylm_jax.errors import InputError
from polylm_jax.runtime.ranges import Count, Natural

QUERY_AXES = ("batch", "length", "heads", "head_dim")
SEGMENT_AXES = ("batch", "length")
SIZES = (128, 256, 512, 1024, 2048, 4096)  # the kernel's tiles have 128 positions


@dataclasses.dataclass(frozen=True)
class SplashBlocks:
    """How the kernel cuts a row's scores: larger blocks are fewer, and hide less of what is masked.

    queries, keys: positions of a block, one of `SIZES`; a row that they don't divide has halves of
    them, or quarters. backward_queries, backward_keys: of the backward pass, 0 for the same.
    fused_backward: one kernel for all gradients makes the scores once in place of twice (5 products
    of the backward pass for 7); it writes the queries' gradient, in the operands' dtype, once for
    each block of keys.
    """

    queries: Count = 512
    keys: Count = 512
    backward_queries: Natural = 0
    backward_keys: Natural = 0
    fused_backward: bool = False

    def check(self) -> "SplashBlocks":
        """Itself, or InputError for sizes that the kernel can't have."""
        for field in ("queries", "keys", "backward_queries", "backward_keys"):
            size = getattr(self, field)
            if size not in SIZES and (size or not field.startswith("backward")):
                sizes = ", ".join(map(str, SIZES))
                raise InputError(f"SplashBlocks.{field} = {size}: give one of {sizes}.")
        return self

    def of(self, length: int) -> "SplashBlocks":
        """Those of rows of so many positions, a multiple of 128; each size is said."""

        def fit(most: int) -> int:
            return next(one for one in reversed(SIZES) if one <= most and length % one == 0)

        return SplashBlocks(
            fit(self.queries),
            fit(self.keys),
            fit(self.backward_queries or self.queries),
            fit(self.backward_keys or self.keys),
            self.fused_backward,
        )


# By kind of chip. All compile with these; none was timed (docs/speed.md).
BLOCKS: Mapping[str, SplashBlocks] = {
    kind: SplashBlocks()
    for kind in (
        "TPU v4", "TPU v5", "TPU v5p", "TPU v5 lite", "TPU v5e", "TPU v6 lite", "TPU v6e",
    )
}  # fmt: skip


def attend(
    q_BTNH: jax.Array,
    k_BTNH: jax.Array,
    v_BTNH: jax.Array,
    segment_ids_BT: jax.Array | None = None,
    *,
    blocks: SplashBlocks | None = None,
    interpret: bool = False,
) -> jax.Array:
    """`attention.attend` by the kernel, each device on its own rows and heads (`shard_map`).

    blocks: by default those of the kind of chip that is compiled for. interpret: run the kernel's
    program without a TPU, slowly.
    """
    mesh = jax.sharding.get_abstract_mesh()
    blocks = (blocks or BLOCKS.get(_kind(), SplashBlocks())).of(q_BTNH.shape[1])
    local = functools.partial(_local, blocks=blocks, interpret=interpret)
    if mesh.empty:
        return local(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)
    rows = nn.logical_to_mesh_axes(QUERY_AXES)
    segments = PartitionSpec() if segment_ids_BT is None else nn.logical_to_mesh_axes(SEGMENT_AXES)
    return jax.shard_map(
        local, in_specs=(rows, rows, rows, segments), out_specs=rows, check_vma=False
    )(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT)


def _kind() -> str:
    """Of the chip that is compiled for: that of the mesh in use, else JAX's default device."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return (jax.devices()[0] if device is None else device).device_kind


def _local(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT, *, blocks, interpret):
    kernel = _kernel(q_BTNH.shape[1], q_BTNH.shape[2], blocks, interpret)
    heads_first = functools.partial(jnp.swapaxes, axis1=1, axis2=2)
    q_BNTH = heads_first(q_BTNH * q_BTNH.shape[-1] ** -0.5)
    k_BNTH, v_BNTH = heads_first(k_BTNH), heads_first(v_BTNH)
    if segment_ids_BT is None:
        return heads_first(jax.vmap(kernel)(q_BNTH, k_BNTH, v_BNTH))
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds

    segments = SegmentIds(segment_ids_BT, segment_ids_BT)
    return heads_first(jax.vmap(kernel)(q_BNTH, k_BNTH, v_BNTH, segments))


def _kernel(length: int, heads: int, blocks: SplashBlocks, interpret: bool):
    """The kernel for one row."""
    from jax.experimental.pallas.ops.tpu import splash_attention as splash  # needs Pallas for TPU

    queries, keys = blocks.backward_queries, blocks.backward_keys
    apart = not blocks.fused_backward
    sizes = splash.BlockSizes(
        block_q=blocks.queries, block_kv=blocks.keys,
        block_q_dkv=queries, block_kv_dkv=keys,
        block_q_dq=queries if apart else None, block_kv_dq=keys if apart else None,
        use_fused_bwd_kernel=blocks.fused_backward,
    )  # fmt: skip
    mask = splash.MultiHeadMask([splash.CausalMask((length, length))] * heads)
    return splash.make_splash_mha(
        mask, head_shards=1, q_seq_shards=1, block_sizes=sizes,
        residual_checkpoint_name="attention", interpret=interpret,
    )  # fmt: skip
