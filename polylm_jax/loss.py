"""Cross entropy over a large vocabulary that never holds the logits of a batch.

Shapes: B batch, T tokens of a row, C tokens of a chunk, D embedding, V vocabulary.

One 2,048-token row over 256,000 tokens is 2 GB of float32 logits. They are made for a chunk of
positions at a time, and the gradient of the chunk is made right there, in the forward pass
(three matrix products in all and nothing recomputed); the backward pass only scales it.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp


def cross_entropy(
    x_BTD: jax.Array,
    wte_VD: jax.Array,
    labels_BT: jax.Array,
    weights_BT: jax.Array,
    *,
    num_chunks: int,
    z_loss: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Sum over tokens of weight x (-log p(label) + z_loss x log(Z)^2), and -log p per token.

    x_BTD: final hidden states; their dtype is the one of the matrix products.
    wte_VD: the tied embedding, in float32.
    num_chunks: pieces that the length is cut into; the nearest smaller divisor of it is used.
    z_loss: coefficient of the square of the log of the softmax's normaliser Z.

    Returns the loss sum (scalar, nats, differentiable in x and wte) and nll_BT (float32, nats,
    unweighted, without z-loss, no gradient). Softmax in float32.
    """
    chunks = divisor(x_BTD.shape[1], num_chunks)
    loss, nll_BT = _cross_entropy(x_BTD, wte_VD, labels_BT, weights_BT, chunks, z_loss)
    return loss, jax.lax.stop_gradient(nll_BT)


def divisor(length: int, at_most: int) -> int:
    """The largest number of equal chunks that `length` divides into, `at_most` many."""
    return next(n for n in range(min(at_most, length), 0, -1) if length % n == 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _cross_entropy(x_BTD, wte_VD, labels_BT, weights_BT, chunks, z_loss):
    wte_VD = wte_VD.astype(x_BTD.dtype)

    def body(total, chunk):
        x_BCD, labels_BC, weights_BC = chunk
        logits_BCV = _logits(x_BCD, wte_VD)
        log_z_BC, nll_BC = _nll(logits_BCV, labels_BC)
        total += jnp.sum(weights_BC * (nll_BC + z_loss * log_z_BC**2))
        return total, nll_BC

    split = _split((x_BTD, labels_BT, weights_BT), chunks)
    total, nll = jax.lax.scan(body, jnp.zeros((), jnp.float32), split)
    return total, _join(nll)


def _forward(x_BTD, wte_VD, labels_BT, weights_BT, chunks, z_loss):
    """The loss with its gradients for a cotangent of one."""
    matrix_VD = wte_VD.astype(x_BTD.dtype)

    def body(carry, chunk):
        total, dwte_VD = carry
        x_BCD, labels_BC, weights_BC = chunk
        logits_BCV = _logits(x_BCD, matrix_VD)
        log_z_BC, nll_BC = _nll(logits_BCV, labels_BC)
        total += jnp.sum(weights_BC * (nll_BC + z_loss * log_z_BC**2))
        hit_BCV = labels_BC[..., None] == jnp.arange(logits_BCV.shape[-1])
        p_BCV = jnp.exp(logits_BCV - log_z_BC[..., None])
        slope_BC = weights_BC * (1 + 2 * z_loss * log_z_BC)
        dlogits_BCV = slope_BC[..., None] * p_BCV - jnp.where(hit_BCV, weights_BC[..., None], 0.0)
        dlogits_BCV = dlogits_BCV.astype(x_BCD.dtype)
        dx_BCD = jnp.einsum("BCV,VD->BCD", dlogits_BCV, matrix_VD)
        dwte_VD += jnp.einsum(
            "BCV,BCD->VD", dlogits_BCV, x_BCD, preferred_element_type=jnp.float32
        )
        return (total, dwte_VD), (nll_BC, dx_BCD)

    split = _split((x_BTD, labels_BT, weights_BT), chunks)
    start = (jnp.zeros((), jnp.float32), jnp.zeros(wte_VD.shape, jnp.float32))
    (total, dwte_VD), (nll, dx) = jax.lax.scan(body, start, split)
    return (total, _join(nll)), (_join(dx), dwte_VD, labels_BT.shape)


def _backward(chunks, z_loss, residuals, cotangents):
    del chunks, z_loss
    dx_BTD, dwte_VD, _ = residuals
    scale, _ = cotangents
    return (scale * dx_BTD).astype(dx_BTD.dtype), scale * dwte_VD, None, None


_cross_entropy.defvjp(_forward, _backward)


def _logits(x_BCD, wte_VD):
    logits_BCV = jnp.einsum("BCD,VD->BCV", x_BCD, wte_VD, preferred_element_type=jnp.float32)
    return nn.with_logical_constraint(logits_BCV, ("batch", "length", "vocab"))


def _nll(logits_BCV, labels_BC):
    """log Z and -log p(label) per token."""
    log_z_BC = jax.nn.logsumexp(logits_BCV, axis=-1)
    label_BC = jnp.take_along_axis(logits_BCV, labels_BC[..., None], axis=-1)[..., 0]
    return log_z_BC, log_z_BC - label_BC


def _split(tree, chunks):
    """Each [B, T, ...] as [chunks, B, T / chunks, ...]: rows stay where they are."""
    return jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(x.shape[0], chunks, -1, *x.shape[2:]), 1, 0), tree
    )


def _join(x):
    """The inverse of `_split` for one array."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])
