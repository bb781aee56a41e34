"""A matrix with a bias: its start, its precision and the precision of its gradient."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from polylm_jax.model import axes, precision


class Projection(nn.Module):
    """x times a kernel over its last axes, plus a bias, computed in `dtype`.

    Xavier normal (PolyLM, section 3.3; its scripts say a standard deviation of 0.006), with the
    fans of the whole matrix as Megatron stores it: c_attn is one matrix D x 3D. Biases are zero.

    shape_in, axes_in: of the axes of x that are summed over, and their names; likewise _out.
    """

    shape_in: tuple[int, ...]
    axes_in: tuple[str, ...]
    shape_out: tuple[int, ...]
    axes_out: tuple[str, ...]
    dtype: str
    gradient_dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        contracted, rank = len(self.shape_in), len(self.shape_in) + len(self.shape_out)
        xavier = nn.initializers.variance_scaling(
            1.0, "fan_avg", "normal",
            in_axis=tuple(range(contracted)), out_axis=tuple(range(contracted, rank)),
        )  # fmt: skip
        kernel = self.param(
            "kernel",
            nn.with_logical_partitioning(xavier, self.axes_in + self.axes_out),
            self.shape_in + self.shape_out,
        )
        # A vector as wide as the residual stream is small: every device holds all of it.
        axes = tuple("norm" if axis == "embed" else axis for axis in self.axes_out)
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, axes)
        bias = self.param("bias", zeros, self.shape_out)
        y = self._affine(x, kernel, bias, contracted)
        if self.has_variable("adapters", "a"):
            y += self._adapted(x, contracted)
        return y

    def _adapted(self, x: jax.Array, contracted: int) -> jax.Array:
        """What low-rank adapters add: (x a) b, see finetuning/lora.py."""
        a: jax.Array = self.get_variable("adapters", "a")
        b: jax.Array = self.get_variable("adapters", "b")
        low = self._affine(x, a, jnp.zeros(a.shape[-1:]), contracted)
        return self._affine(low, b, jnp.zeros(b.shape[1:]), 1)

    def _affine(self, x, kernel, bias, contracted: int) -> jax.Array:
        return _affine(x, kernel, bias, contracted, self.dtype, self.gradient_dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _affine(x, kernel, bias, contracted, dtype, gradient_dtype):
    """x kernel + bias over the last `contracted` axes of x and the first of the kernel.

    Gradients of kernel and bias leave their sums in float32, and so cross the network (Megatron's
    accumulate-allreduce-grads-in-fp32, which PolyLM set): bfloat16 would round each device's.
    With gradient_dtype 'bfloat16' the kernel's does.
    """
    return _affine_forward(x, kernel, bias, contracted, dtype, gradient_dtype)[0]


def _affine_forward(x, kernel, bias, contracted, dtype, gradient_dtype):
    del gradient_dtype
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    dimensions = (range(x.ndim - contracted, x.ndim), range(contracted))
    y = jax.lax.dot_general(x, kernel, (dimensions, ((), ())), precision=precision.of(x, kernel))
    return y + bias.astype(dtype), (x, kernel)


def _affine_backward(contracted, dtype, gradient_dtype, operands, dy):
    del dtype
    x, kernel = operands
    rows = range(x.ndim - contracted)
    columns = range(len(rows), dy.ndim)
    dx = jax.lax.dot_general(
        dy,
        kernel,
        ((columns, range(contracted, kernel.ndim)), ((), ())),
        precision=precision.of(dy, kernel),
    )
    dkernel = _summed_over_rows(x, dy, len(rows), jnp.dtype(gradient_dtype))
    return dx, dkernel.astype(jnp.float32), jnp.sum(dy, axis=rows, dtype=jnp.float32)


def _summed_over_rows(x, dy, rows: int, dtype) -> jax.Array:
    """x^T dy over the first `rows` axes of both."""
    summed = (range(rows), range(rows)), ((), ())
    options = {"precision": precision.of(x, dy), "preferred_element_type": dtype}
    narrower = math.prod(dy.shape[rows:]) < math.prod(x.shape[rows:])
    if not (narrower and axes.platform() == "cpu"):
        return jax.lax.dot_general(x, dy, summed, **options)
    # A CPU writes the first operand out transposed, row by row of what it reads in columns: 33 ms of
    # W1's step for an MLP's 1,024 columns, 4 ms for 256. The barrier keeps XLA from turning it back.
    product = jax.lax.optimization_barrier(jax.lax.dot_general(dy, x, summed, **options))
    columns = dy.ndim - rows
    return product.transpose(*range(columns, product.ndim), *range(columns))


_affine.defvjp(_affine_forward, _affine_backward)
