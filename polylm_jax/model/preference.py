"""Direct preference optimisation (arXiv 2305.18290): -log sigmoid(beta x (margin - reference's margin)).

A pair's margin is log p(chosen answer) - log p(rejected answer), summed over their tokens, EOS
included. Label smoothing e takes (1 - e) of that and e of the pair turned round (cDPO).

Shapes: B rows, T tokens, L labels of a row (T = L), D embedding, P pairs of a row, counted from 1: a
row of L labels has L at most, and place 0 is for what is in none.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from polylm_jax.model.loss import cross_entropy


class Pairs(NamedTuple):
    """Per pair [B, P], zero where there is none: its loss, whether there is one, chosen and rejected
    log-ratios to the reference (the margins' difference, in nats)."""

    loss_BP: jax.Array
    there_BP: jax.Array
    gain_BP: jax.Array


def sums(values_BL: jax.Array, pair_BL: jax.Array) -> jax.Array:
    """Sums over the labels of each pair, [B, L + 1]."""
    places = values_BL.shape[1] + 1
    return jax.vmap(lambda values, pair: jax.ops.segment_sum(values, pair, places))(
        values_BL, pair_BL
    )


def pair_losses(
    nll_BL: jax.Array,
    sign_BL: jax.Array,
    pair_BL: jax.Array,
    reference_BL: jax.Array,
    beta: float,
    label_smoothing: float = 0.0,
) -> Pairs:
    """The loss of each pair from -log p per label. sign_BL: 1 in chosen, -1 in rejected answers."""
    gain_BP = -sums(sign_BL * nll_BL, pair_BL) - sums(reference_BL, pair_BL)
    there_BP = (sums(jnp.abs(sign_BL), pair_BL) > 0) & (jnp.arange(gain_BP.shape[1]) > 0)
    logits_BP = beta * gain_BP
    loss_BP = -(1 - label_smoothing) * jax.nn.log_sigmoid(logits_BP)
    loss_BP -= label_smoothing * jax.nn.log_sigmoid(-logits_BP)
    return Pairs(jnp.where(there_BP, loss_BP, 0), there_BP, jnp.where(there_BP, gain_BP, 0))


def preference_loss(
    x_BTD: jax.Array,
    wte_VD: jax.Array,
    labels_BL: jax.Array,
    sign_BL: jax.Array,
    pair_BL: jax.Array,
    reference_BL: jax.Array,
    *,
    beta: float,
    label_smoothing: float = 0.0,
    num_chunks: int = 8,
    vocab_blocks: int = 1,
) -> tuple[jax.Array, Pairs]:
    """The sum of the pairs' losses, differentiable in x and wte, and each pair's.

    The logits of a batch are never held whole: the first pass gives the pairs' losses, and how much
    each label's -log p counts in their gradient; the second is a cross entropy with these weights.
    """
    entropy = functools.partial(cross_entropy, num_chunks=num_chunks, vocab_blocks=vocab_blocks)
    held = jax.lax.stop_gradient((x_BTD, wte_VD))
    _, nll_BL = entropy(*held, labels_BL, jnp.abs(sign_BL))

    def total(nll_BL):
        pairs = pair_losses(nll_BL, sign_BL, pair_BL, reference_BL, beta, label_smoothing)
        return jnp.sum(pairs.loss_BP), pairs

    (loss, pairs), slope_BL = jax.value_and_grad(total, has_aux=True)(nll_BL)
    linear, _ = entropy(x_BTD, wte_VD, labels_BL, slope_BL)
    return loss + linear - jax.lax.stop_gradient(linear), pairs
