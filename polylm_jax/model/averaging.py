"""An average of the parameters, kept beside them while they are trained.

It is what a decay of the learning rate would give, or comes near it, at a rate that stays high
(arXiv 1803.05407, 2405.18392), and costs memory: a copy of the parameters, or two.

Trees: `average`, which is read, and of a window `filling`, the mean of the window under way.
"""

import dataclasses

import jax
import jax.numpy as jnp

from polylm_jax.errors import InputError, one_of
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count

PLAIN, AVERAGE, FILLING = "plain", "average", "filling"
WEIGHTS = (PLAIN, AVERAGE)  # of a checkpoint: as they were trained, or averaged
KINDS = {"exponential": (AVERAGE,), "window": (AVERAGE, FILLING)}
DTYPES = ("float32", "bfloat16")
_SALT = 0x61766572  # apart from what else is drawn of a seed


def check_weights(weights: str) -> str:
    """The choice of weights, or InputError with the nearest that there is."""
    return one_of("WEIGHTS", weights, WEIGHTS)


@dataclasses.dataclass(frozen=True)
class Average:
    """What is averaged over the parameters after each step.

    'exponential': each step counts 1 - 1/steps of the one after it (0.999 is 1,000 steps), and the
    first `steps` of a run alike. 'window': the mean over the last whole window of `steps` steps, of
    which the first begins with the run; in the first one, over its steps so far.
    dtype: of the copies; in bfloat16 a change smaller than its last digit is made by chance, as
    often as it is large, drawn of (seed, step).
    """

    kind: str = "exponential"
    steps: Count = 1000
    dtype: str = "float32"

    def check(self) -> "Average":
        """Itself, or InputError."""
        for field, value, known in (("kind", self.kind, KINDS), ("dtype", self.dtype, DTYPES)):
            one_of(f"an average's {field}", value, known)
        return check_ranges(self, "an average's ")

    @property
    def trees(self) -> tuple[str, ...]:
        """What is kept, each as large as the parameters."""
        return KINDS[self.kind]

    def begun(self, params) -> dict:
        """Before the first step."""
        one = jax.tree.map(lambda x: x.astype(self.dtype), params)
        return dict.fromkeys(self.trees, one)

    def updated(self, kept: dict, params, step: jax.Array, seed: int) -> dict:
        """With the parameters after one step more; step: int32, how many were done before it."""
        # In float32 nothing is drawn, so that runs of all seeds have the same program.
        key = None
        if self.dtype != "float32":
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _SALT), step)
        if self.kind == "exponential":
            count = jnp.minimum(step + 1, self.steps)
            return {AVERAGE: self._towards(kept[AVERAGE], params, count, key)}
        count = step % self.steps + 1
        filling = self._towards(kept[FILLING], params, count, key)
        taken = (count == self.steps) | (step < self.steps)
        shown = jax.tree.map(lambda old, new: jnp.where(taken, new, old), kept[AVERAGE], filling)
        return {AVERAGE: shown, FILLING: filling}

    def _towards(self, mean, params, count: jax.Array, key: jax.Array | None):
        """A mean with one value more, which is one of `count`."""
        part = 1.0 / count.astype(jnp.float32)
        leaves, tree = jax.tree.flatten(mean)
        made = [
            self._rounded(old.astype(jnp.float32) + (new - old.astype(jnp.float32)) * part, key, n)
            for n, (old, new) in enumerate(zip(leaves, jax.tree.leaves(params), strict=True))
        ]
        return jax.tree.unflatten(tree, made)

    def _rounded(self, x: jax.Array, key: jax.Array | None, number: int) -> jax.Array:
        """float32 -> the dtype; to bfloat16 up or down by chance, so that its mean is the value.

        The nearest would stand still: 1/256 of a value is the least step, and 1/1000 of a
        difference is less.
        """
        if key is None:
            return x
        noise = jax.random.bits(jax.random.fold_in(key, number), x.shape, jnp.uint16)
        bits = jax.lax.bitcast_convert_type(x, jnp.uint32) + noise.astype(jnp.uint32)
        return jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), jnp.bfloat16)


def bytes_per_parameter(average: Average | None) -> int:
    """What is kept beside each parameter; 0 without an average."""
    return len(average.trees) * jnp.dtype(average.dtype).itemsize if average else 0


def check_choice(weights: str, average: Average | None, adapted: bool) -> None:
    """InputError for weights that aren't kept, and for an average of adapters."""
    if check_weights(weights) != PLAIN and average is None:
        raise InputError(
            f"WEIGHTS = {weights!r} and no average is kept: set AVERAGE, or WEIGHTS = 'plain'."
        )
    if average and average.check() and adapted:
        raise InputError(
            "AVERAGE with LORA: adapters aren't averaged, since a product of means is no mean of "
            "products; leave one of them out."
        )


def refuse_under_t5x(average: Average | None) -> None:
    """InputError for what t5x's trainer has no place for."""
    if average:
        raise InputError(
            "AVERAGE: t5x's trainer keeps no average of the parameters; leave it out, or train with "
            "`run.py train`."
        )


@jax.jit
def _float32(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float32), tree)


def exact(tree):
    """An average as the parameters are kept, in float32."""
    here = all(x.dtype == jnp.float32 for x in jax.tree.leaves(tree))
    return tree if here else _float32(tree)
