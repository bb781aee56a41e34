"""PolyLM's GPT-2: learned positions, pre-LN, tanh GELU, tied embedding, scanned layers.

Shapes: B batch, T tokens of a row, S columns of the cache, D embedding, N heads, H width of a
head, F width of the MLP, V vocabulary, X the three of query, key and value.

Parameters carry logical axis names ('embed', 'heads', ...); a table elsewhere maps the names to a
mesh, and the model knows neither the table nor the mesh. PolyLM (arXiv 2307.06018), section 3.3;
bfloat16 products with the residual stream, the layer norms and the softmax in float32.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from polylm_jax.model import precision
from polylm_jax.model.attention import attend, attend_cached, write
from polylm_jax.model.axes import constrain
from polylm_jax.model.config import POLICIES, PolyLMConfig
from polylm_jax.model.projection import Projection

EPSILON = 1e-5  # of the layer norms, GPT-2's


def _layer_norm(name, dtype):
    return nn.LayerNorm(
        epsilon=EPSILON,
        dtype=dtype,
        scale_init=nn.with_logical_partitioning(nn.initializers.ones, ("norm",)),
        bias_init=nn.with_logical_partitioning(nn.initializers.zeros, ("norm",)),
        name=name,
    )


class Attention(nn.Module):
    """Multi-head causal self-attention; `mode` says whether a cache of keys is filled or read."""

    config: PolyLMConfig
    mode: str
    cache_length: int

    @nn.compact
    def __call__(self, x_BTD, segment_ids_BT, index_B):
        c = self.config
        embed, heads = ((c.embed_dim,), ("embed",)), (c.num_heads, c.head_dim)
        precise = c.dtype, c.gradient_dtype
        qkv_BTXNH = Projection(
            *embed, (3, *heads), ("qkv", "heads", "head_dim"), *precise, name="c_attn"
        )(x_BTD)
        qkv_BTXNH = constrain(qkv_BTXNH, "batch", "length", "qkv", "heads", "head_dim")
        q_BTNH, k_BTNH, v_BTNH = (qkv_BTXNH[:, :, i] for i in range(3))
        if self.mode != "train":
            key_BNHS = self._append("cached_key", k_BTNH, index_B)
            value_BNHS = self._append("cached_value", v_BTNH, index_B)
        if self.mode == "decode":
            out_BTNH = attend_cached(q_BTNH, key_BNHS, value_BNHS, index_B)
        else:
            kernel = {"implementation": c.attention, "splash_blocks": c.splash_blocks}
            out_BTNH = attend(q_BTNH, k_BTNH, v_BTNH, segment_ids_BT, **kernel)
        out_BTNH = constrain(out_BTNH, "batch", "length", "heads", "head_dim")
        out_BTNH = checkpoint_name(out_BTNH, "attention")
        return Projection(heads, ("heads", "head_dim"), *embed, *precise, name="c_proj")(out_BTNH)

    def _append(self, name, new_BTNH, index_B):
        """Writes new keys or values from column index_B[b] of row b on -> the whole cache."""
        B, _, N, H = new_BTNH.shape
        shape = (B, N, H, self.cache_length)
        cache = self.variable("cache", name, jnp.zeros, shape, new_BTNH.dtype)
        written_BNHS = write(cache.value, new_BTNH.transpose(0, 2, 3, 1), index_B)
        cache.value = constrain(written_BNHS, "batch", "heads", "head_dim", "cache_length")
        return cache.value


class Mlp(nn.Module):
    """c_proj(gelu(c_fc(x))), the tanh GELU of GPT-2."""

    config: PolyLMConfig

    @nn.compact
    def __call__(self, x_BTD):
        c = self.config
        embed, mlp = ((c.embed_dim,), ("embed",)), ((c.mlp_dim,), ("mlp",))
        precise = c.dtype, c.gradient_dtype
        h_BTF = Projection(*embed, *mlp, *precise, name="c_fc")(x_BTD)
        h_BTF = nn.gelu(constrain(h_BTF, "batch", "length", "mlp"), approximate=True)
        return Projection(*mlp, *embed, *precise, name="c_proj")(h_BTF)


class Block(nn.Module):
    """x + attention(ln_1(x)), then x + mlp(ln_2(x)); returns a pair as `nn.scan` wants it."""

    config: PolyLMConfig
    mode: str
    cache_length: int

    @nn.compact
    def __call__(self, x_BTD, segment_ids_BT, index_B):
        c = self.config
        y_BTD = constrain(_layer_norm("ln_1", c.dtype)(x_BTD), "batch", "length", None)
        attention = Attention(c, self.mode, self.cache_length, name="attn")
        x_BTD = _residual(x_BTD, attention(y_BTD, segment_ids_BT, index_B))
        y_BTD = constrain(_layer_norm("ln_2", c.dtype)(x_BTD), "batch", "length", None)
        return _residual(x_BTD, Mlp(c, name="mlp")(y_BTD)), None


def _residual(x_BTD, update_BTD):
    update_BTD = constrain(update_BTD, "batch", "residual_length", None)
    return constrain(x_BTD + update_BTD.astype(x_BTD.dtype), "batch", "residual_length", None)


class PolyLM(nn.Module):
    """Tokens to the final hidden states; `logits` goes on to the vocabulary.

    Training: `model.apply(variables, tokens_BT)`. Packed rows add `segment_ids_BT` and
    `positions_BT`. Generation keeps the collection 'cache' (`mutable=["cache"]`):
    `prefill=True` starts one of `cache_length` columns from right-padded prompts of `lengths_B`
    tokens each; `decode=True` then appends T tokens to every row where it ended. `cache_index`
    [B] counts the tokens that each row has; positions follow from it. A collection 'adapters' has
    matrices of low rank, which are added to those of its names (finetuning/lora.py).
    """

    config: PolyLMConfig

    def setup(self):
        c = self.config
        normal = nn.initializers.normal(c.embedding_init_std)
        self.wte = nn.Embed(
            c.vocab_size,
            c.embed_dim,
            embedding_init=nn.with_logical_partitioning(normal, ("vocab", "embed")),
        )
        self.wpe = nn.Embed(
            c.max_length,
            c.embed_dim,
            embedding_init=nn.with_logical_partitioning(normal, ("position", "embed")),
        )
        self.ln_f = _layer_norm(None, c.dtype)

    @nn.compact
    def __call__(
        self,
        tokens_BT: jax.Array,
        *,
        positions_BT: jax.Array | None = None,
        segment_ids_BT: jax.Array | None = None,
        prefill: bool = False,
        decode: bool = False,
        lengths_B: jax.Array | None = None,
        cache_length: int | None = None,
    ) -> jax.Array:
        """-> hidden states after ln_f, [B, T, D] in the compute dtype."""
        mode = "prefill" if prefill else "decode" if decode else "train"
        index_B = self._advance(tokens_BT, lengths_B, mode)
        if positions_BT is None and mode == "decode":
            positions_BT = index_B[:, None] + jnp.arange(tokens_BT.shape[1])
        x_BTD = self._embed(tokens_BT, positions_BT)
        columns = cache_length or self.config.max_length
        x_BTD = self._layers(x_BTD, segment_ids_BT, index_B, mode, columns)
        return constrain(self.ln_f(x_BTD), "batch", "length", None)

    def _advance(self, tokens_BT, lengths_B, mode):
        """The tokens that each row had before these, [B]; the cache counts these in."""
        B, T = tokens_BT.shape
        if mode == "train":
            return None
        count = self.variable("cache", "cache_index", jnp.zeros, (B,), jnp.int32)
        index_B = jnp.zeros((B,), jnp.int32) if mode == "prefill" else count.value
        count.value = index_B + (T if lengths_B is None else lengths_B)
        return index_B

    def _embed(self, tokens_BT, positions_BT):
        wpe = self.wpe.embedding
        if positions_BT is None:
            position_BTD = wpe[None, : tokens_BT.shape[1]]
        else:
            position_BTD = jnp.take(wpe, positions_BT, axis=0, mode="clip")
        # Each device looks all rows up in its columns of the table; only the result moves.
        x_BTD = jnp.take(self.wte.embedding, tokens_BT, axis=0, mode="clip")
        x_BTD = constrain(x_BTD, "lookup_batch", "length", "embed")
        x_BTD = constrain(x_BTD, "batch", "residual_length", None) + position_BTD
        x_BTD = x_BTD.astype(self.config.residual_dtype)
        return constrain(x_BTD, "batch", "residual_length", None)

    def _layers(self, x_BTD, segment_ids_BT, index_B, mode, cache_length):
        c = self.config
        block = Block
        if c.remat != "none" and mode == "train":
            block = nn.remat(Block, policy=POLICIES[c.remat], prevent_cse=not c.scan_layers)
        if not c.scan_layers:
            for layer in range(c.num_layers):
                one = block(c, mode, cache_length, name=f"h_{layer}")
                x_BTD, _ = one(x_BTD, segment_ids_BT, index_B)
            return x_BTD
        scanned = nn.scan(
            block,
            variable_axes={"params": 0, "cache": 0, "adapters": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=c.num_layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        x_BTD, _ = scanned(c, mode, cache_length, name="h")(x_BTD, segment_ids_BT, index_B)
        return x_BTD

    def logits(self, x_BTD: jax.Array) -> jax.Array:
        """Hidden states -> float32 logits [B, T, V] by the tied embedding."""
        wte_VD = self.wte.embedding.astype(x_BTD.dtype)
        logits_BTV = jnp.einsum(
            "BTD,VD->BTV",
            x_BTD,
            wte_VD,
            precision=precision.of(x_BTD),
            preferred_element_type=jnp.float32,
        )
        return constrain(logits_BTV, "batch", "length", "vocab")
