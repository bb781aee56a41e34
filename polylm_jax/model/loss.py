"""Cross entropy over a large vocabulary that never holds the logits of a batch.

Shapes: B batch, T tokens of a row, D embedding, V vocabulary; P parts of the batch, one for each
place that rows lie in, M tokens of a chunk in a part, K blocks of the vocabulary, U tokens of a
block.

One 2,048-token row over 256,000 tokens is 2 GB of float32 logits. Two ways around them, both with
the gradient made in the forward pass, so that the backward pass only scales it:

- by chunks of positions against the whole vocabulary: three matrix products, nothing recomputed.
  Each device holds the whole matrix (its `tensor` share) and a float32 gradient of it.
- by blocks of the vocabulary for all positions: the logits are made twice, four products. A
  device holds one block of matrix and gradient: at 13B, 0.3 GB in place of 7.8 GB.
"""

import functools

import jax
import jax.numpy as jnp

from polylm_jax.model import precision
from polylm_jax.model.axes import batch_places, constrain, platform


def cross_entropy(
    x_BTD: jax.Array,
    wte_VD: jax.Array,
    labels_BT: jax.Array,
    weights_BT: jax.Array,
    *,
    num_chunks: int = 8,
    vocab_blocks: int = 1,
    z_loss: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Sum over tokens of weight x (-log p(label) + z_loss x log(Z)^2), and -log p per token.

    x_BTD: final hidden states; their dtype is the one of the matrix products.
    wte_VD: the tied embedding, in float32.
    num_chunks: pieces that the length is cut into; the nearest smaller divisor of it is used.
    vocab_blocks: above 1, pieces of the vocabulary in place of chunks, likewise.
    z_loss: coefficient of the square of the log of the softmax's normaliser Z.

    Returns the loss sum (scalar, nats, differentiable in x and wte) and nll_BT (float32, nats,
    unweighted, without z-loss, no gradient). Softmax in float32.
    """
    if vocab_blocks > 1:
        pieces, function = divisor(wte_VD.shape[0], vocab_blocks), _by_blocks
    else:
        pieces, function = divisor(x_BTD.shape[1], num_chunks), _by_chunks
    loss, nll_BT = _loss(x_BTD, wte_VD, labels_BT, weights_BT, function, pieces, z_loss)
    return loss, jax.lax.stop_gradient(nll_BT)


def divisor(size: int, at_most: int) -> int:
    """The largest number of equal pieces that `size` divides into, `at_most` many."""
    return next(n for n in range(min(at_most, size), 0, -1) if size % n == 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _loss(x_BTD, wte_VD, labels_BT, weights_BT, function, pieces, z_loss):
    log_z_BT, nll_BT, _ = function(x_BTD, wte_VD, labels_BT, weights_BT, pieces, z_loss, False)
    return jnp.sum(weights_BT * (nll_BT + z_loss * log_z_BT**2)), nll_BT


def _forward(x_BTD, wte_VD, labels_BT, weights_BT, function, pieces, z_loss):
    """The loss, with its gradients for a cotangent of one kept for `_backward`."""
    log_z_BT, nll_BT, gradients = function(
        x_BTD, wte_VD, labels_BT, weights_BT, pieces, z_loss, True
    )
    return (jnp.sum(weights_BT * (nll_BT + z_loss * log_z_BT**2)), nll_BT), gradients


def _backward(function, pieces, z_loss, gradients, cotangents):
    del function, pieces, z_loss
    dx_BTD, dwte_VD = gradients
    scale, _ = cotangents
    return (scale * dx_BTD).astype(dx_BTD.dtype), scale * dwte_VD, None, None


_loss.defvjp(_forward, _backward)


def _by_chunks(x_BTD, wte_VD, labels_BT, weights_BT, chunks, z_loss, differentiate):
    """log Z, -log p and the gradients (dx_BTD, dwte_VD), a chunk of positions at a time.

    The gradient of the matrix is summed apart in each part of the batch and joined once, after
    the loop: summed over the devices inside it, it would cross the network for every chunk. It is
    summed transposed, and from slopes that are made once: on a CPU, x is cheaper to turn than the
    slopes, and they would be made once more, turned (docs/log.md).
    """
    parts = batch_places(x_BTD.shape[0])
    matrix_VD = constrain(wte_VD.astype(x_BTD.dtype), "vocab", None)

    def body(dwte_PDV, chunk):
        x_PMD, labels_PM, weights_PM = chunk
        logits_PMV = _logits("PMD,VD->PMV", x_PMD, matrix_VD)
        powers_PMV, total_PM, log_z_PM = _normalised(logits_PMV, differentiate)
        label_PM = jnp.take_along_axis(logits_PMV, labels_PM[..., None], axis=-1)[..., 0]
        nll_PM = log_z_PM - label_PM
        if not differentiate:
            return dwte_PDV, (log_z_PM, nll_PM, None)
        hit_PMV = labels_PM[..., None] == jnp.arange(logits_PMV.shape[-1])
        p_PMV = powers_PMV / total_PM[..., None]
        slope_PMV = _slope(p_PMV, log_z_PM, hit_PMV, weights_PM, z_loss)
        slope_PMV = jax.lax.optimization_barrier(slope_PMV.astype(x_PMD.dtype))
        dx_PMD = jnp.einsum("PMV,VD->PMD", slope_PMV, matrix_VD, precision=precision.of(matrix_VD))
        dwte_PDV += jnp.einsum(
            "PMD,PMV->PDV",
            x_PMD,
            slope_PMV,
            precision=precision.of(x_PMD),
            preferred_element_type=jnp.float32,
        )
        return constrain(dwte_PDV, "batch", None, "vocab"), (log_z_PM, nll_PM, dx_PMD)

    split = functools.partial(_split, parts=parts, chunks=chunks)
    join = functools.partial(_join, rows=x_BTD.shape[0])
    start = jnp.zeros((parts, *wte_VD.shape[::-1]), jnp.float32) if differentiate else None
    dwte_PDV, (log_z, nll, dx) = jax.lax.scan(
        body, start, (split(x_BTD), split(labels_BT), split(weights_BT))
    )
    if not differentiate:
        return join(log_z), join(nll), None
    dwte_VD = constrain(jnp.sum(dwte_PDV, axis=0).T, "vocab", "embed")
    return join(log_z), join(nll), (join(dx), dwte_VD)


def _normalised(logits_PMV, kept):
    """exp(logits - the largest of a position), its sum and log Z.

    kept: it is needed again. A CPU would make it once more then, which costs more than writing it.
    """
    largest_PM = jnp.max(logits_PMV, axis=-1)
    powers_PMV = jnp.exp(logits_PMV - largest_PM[..., None])
    if kept and platform() == "cpu":
        powers_PMV = jax.lax.optimization_barrier(powers_PMV)
    total_PM = jnp.sum(powers_PMV, axis=-1)
    return powers_PMV, total_PM, largest_PM + jnp.log(total_PM)


def _by_blocks(x_BTD, wte_VD, labels_BT, weights_BT, blocks, z_loss, differentiate):
    """The same, a block of the vocabulary at a time: first log Z, then the gradients.

    Block k holds the tokens k, k + K, k + 2K, ...: each device cuts the rows that it has. The
    matrix lies in rows over all devices here, so that a block is gathered when it is used.
    """
    matrix_KUD = constrain(wte_VD.astype(x_BTD.dtype), "vocab_rows", None)
    matrix_KUD = jnp.moveaxis(matrix_KUD.reshape(-1, blocks, wte_VD.shape[1]), 1, 0)
    xs = (matrix_KUD, jnp.arange(blocks))

    def block_logits(matrix_UD, block):
        matrix_UD = constrain(matrix_UD, "vocab", None)
        logits_BTU = _logits("BTD,UD->BTU", x_BTD, matrix_UD)
        tokens_U = jnp.arange(matrix_UD.shape[0]) * blocks + block
        return logits_BTU, labels_BT[..., None] == tokens_U, matrix_UD

    def normalise(carry, x):
        largest_BT, total_BT, label_BT = carry
        logits_BTU, hit_BTU, _ = block_logits(*x)
        new_BT = jnp.maximum(largest_BT, jnp.max(logits_BTU, axis=-1))
        total_BT *= jnp.exp(largest_BT - new_BT)
        total_BT += jnp.sum(jnp.exp(logits_BTU - new_BT[..., None]), axis=-1)
        label_BT += jnp.sum(jnp.where(hit_BTU, logits_BTU, 0.0), axis=-1)
        return (new_BT, total_BT, label_BT), None

    zeros_BT = jnp.zeros(labels_BT.shape, jnp.float32)
    start = (jnp.full_like(zeros_BT, -jnp.inf), zeros_BT, zeros_BT)
    (largest_BT, total_BT, label_BT), _ = jax.lax.scan(normalise, start, xs)
    log_z_BT = largest_BT + jnp.log(total_BT)
    if not differentiate:
        return log_z_BT, log_z_BT - label_BT, None

    def differential(dx_BTD, x):
        logits_BTU, hit_BTU, matrix_UD = block_logits(*x)
        p_BTU = jnp.exp(logits_BTU - log_z_BT[..., None])
        slope_BTU = _slope(p_BTU, log_z_BT, hit_BTU, weights_BT, z_loss).astype(x_BTD.dtype)
        dx_BTD += jnp.einsum(
            "BTU,UD->BTD",
            slope_BTU,
            matrix_UD,
            precision=precision.of(matrix_UD),
            preferred_element_type=jnp.float32,
        )
        dwte_UD = jnp.einsum(
            "BTU,BTD->UD",
            slope_BTU,
            x_BTD,
            precision=precision.of(x_BTD),
            preferred_element_type=jnp.float32,
        )
        return dx_BTD, constrain(dwte_UD, "vocab_rows", None)

    dx_BTD, dwte_KUD = jax.lax.scan(differential, jnp.zeros(x_BTD.shape, jnp.float32), xs)
    dwte_VD = jnp.moveaxis(dwte_KUD, 0, 1).reshape(wte_VD.shape)
    dwte_VD = constrain(constrain(dwte_VD, "vocab_rows", None), "vocab", "embed")
    return log_z_BT, log_z_BT - label_BT, (dx_BTD.astype(x_BTD.dtype), dwte_VD)


def _slope(p, log_z, hit, weights, z_loss):
    """The gradient of weight x (log Z - logit of the label + z_loss x log(Z)^2) in the logits.

    p: softmax of the logits.
    """
    pull = weights * (1 + 2 * z_loss * log_z)
    return pull[..., None] * p - jnp.where(hit, weights[..., None], 0.0)


def _logits(einsum, x, matrix):
    logits = jnp.einsum(
        einsum, x, matrix, precision=precision.of(x), preferred_element_type=jnp.float32
    )
    return constrain(logits, "batch", *[None] * (logits.ndim - 2), "vocab")


def _split(x, parts, chunks):
    """[B, T, ...] as [chunks, P, M, ...]: rows stay where they are."""
    rows, length = x.shape[:2]
    each, rest = (rows // parts, length // chunks), x.shape[2:]
    x = jnp.moveaxis(x.reshape(parts, each[0], chunks, each[1], *rest), 2, 0)
    return x.reshape(chunks, parts, each[0] * each[1], *rest)


def _join(x, rows):
    """The inverse of `_split`, to so many rows."""
    chunks, parts, tokens = x.shape[:3]
    each, rest = (rows // parts, tokens * parts // rows), x.shape[3:]
    x = jnp.moveaxis(x.reshape(chunks, parts, *each, *rest), 0, 2)
    return x.reshape(rows, chunks * each[1], *rest)
