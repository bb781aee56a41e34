"""How precisely a product is computed: float32 operands get all of float32, on every device.

Left to itself, a TPU rounds float32 operands to bfloat16 and multiplies once, an NVIDIA GPU rounds
them to TF32: an ablation in float32 would have other numbers there than on a CPU, under the same
fingerprint. bfloat16 operands are exact in one pass anyway.
"""

import jax
import jax.numpy as jnp


def of(*operands: jax.Array) -> jax.lax.Precision | None:
    """The precision of a product of these: HIGHEST where one of them is float32, else the device's."""
    wide = any(operand.dtype == jnp.float32 for operand in operands)
    return jax.lax.Precision.HIGHEST if wide else None
