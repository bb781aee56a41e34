"""Shapes and numerics of a model, checked before anything is made of them."""

import dataclasses

import jax

from polylm_jax.errors import InputError, one_of
from polylm_jax.model.attention import IMPLEMENTATIONS
from polylm_jax.model.splash import SplashBlocks
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, NonNegative

POLICIES = {  # what the forward pass keeps for the backward one, besides each layer's input
    "none": None,  # everything: no rematerialisation
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "attention": jax.checkpoint_policies.save_only_these_names("attention"),
    "dots_attention": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
        jax.checkpoint_policies.save_only_these_names("attention"),
    ),
}


@dataclasses.dataclass(frozen=True)
class PolyLMConfig:
    """Shapes and numerics of a model; the defaults are what all of PolyLM's sizes share.

    gradient_dtype: in which gradients of matrices leave their sums over a device's rows, and cross the
    links: 'bfloat16' moves half of the bytes and rounds each device's part, which PolyLM didn't.
    splash_blocks: of attention's kernel on TPUs, by default those of the kind of chip (`splash.BLOCKS`).
    """

    num_layers: Count
    embed_dim: Count
    num_heads: Count
    mlp_dim: Count
    vocab_size: Count = 256_000
    max_length: Count = 2048
    dtype: str = "bfloat16"  # of the matrix products; parameters are float32
    residual_dtype: str = "float32"
    remat: str = "full"
    attention: str = "auto"
    scan_layers: bool = True
    embedding_init_std: NonNegative = 0.02
    gradient_dtype: str = "float32"
    splash_blocks: SplashBlocks | None = None

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def sizes(self) -> dict[str, int]:
        """What its parameters' shapes follow from, by name."""
        names = ("num_layers", "embed_dim", "num_heads", "mlp_dim", "vocab_size", "max_length")
        return {name: getattr(self, name) for name in names}

    @property
    def num_params(self) -> int:
        """Parameters, exactly: the tied embedding counts once."""
        D, F = self.embed_dim, self.mlp_dim
        attention = (3 * D * D + 3 * D) + (D * D + D)
        mlp = (D * F + F) + (F * D + D)
        norm = 2 * D
        block = 2 * norm + attention + mlp
        return (self.vocab_size + self.max_length) * D + self.num_layers * block + norm

    @property
    def numerics(self) -> str:
        """The precision that texts and scores depend on: 'bfloat16', or with its residual stream's."""
        residual = self.residual_dtype
        return self.dtype if residual == "float32" else f"{self.dtype}, residual {residual}"

    def described(self) -> dict:
        """Its fields as plain values, of those that came later only what is used: a description that
        was written before stays the same."""
        fields = dataclasses.asdict(self)
        if self.gradient_dtype == "float32":
            del fields["gradient_dtype"]
        return fields

    def check(self) -> "PolyLMConfig":
        """Itself, or InputError for shapes and names that make no model."""
        check_ranges(self)
        if self.embed_dim % self.num_heads:
            raise InputError(
                f"embed_dim = {self.embed_dim} does not divide into num_heads = {self.num_heads}: "
                "make it a multiple."
            )
        one_of("remat", self.remat, POLICIES)
        one_of("attention", self.attention, IMPLEMENTATIONS)
        if self.splash_blocks:
            self.splash_blocks.check()
        for field in ("dtype", "residual_dtype", "gradient_dtype"):
            one_of(field, getattr(self, field), ("float32", "bfloat16"))
        if self.dtype == "float32" and self.gradient_dtype != "float32":
            raise InputError(
                f"gradient_dtype = {self.gradient_dtype!r} with dtype = 'float32': products in float32 "
                "have gradients in float32; give dtype = 'bfloat16', or leave gradient_dtype out."
            )
        return self
