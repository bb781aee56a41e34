"""AdamW as PolyLM was trained with it, and the learning rate as a function of the step.

PolyLM (arXiv 2307.06018), section 3.3: betas 0.9 and 0.95, decay 0.1, clipping at 1.0, warm-up
from 1e-7 over 2,000 steps, cosine to 10 %. Its scripts say decay 1e-4 and epsilon 1e-8.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from polylm_jax.errors import InputError, nearest

POLICIES = ("warmup_cosine", "hold", "continue")

DECAYED = (  # all else (biases, layer norms) is not decayed; 'h' holds the layers
    "wte/embedding",
    "wpe/embedding",
    "h/attn/c_attn/kernel",
    "h/attn/c_proj/kernel",
    "h/mlp/c_fc/kernel",
    "h/mlp/c_proj/kernel",
)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """AdamW's constants; moments are float32, as the parameters are."""

    b1: float = 0.9
    b2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    def check(self) -> "OptimizerConfig":
        """Itself, or InputError for constants that train nothing."""
        for field in ("b1", "b2"):
            if not 0 <= getattr(self, field) < 1:
                raise InputError(f"{field} = {getattr(self, field)}: give a number in [0, 1).")
        for field in ("epsilon", "clip_norm"):
            if not getattr(self, field) > 0:
                raise InputError(f"{field} = {getattr(self, field)}: give a positive number.")
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay = {self.weight_decay}: give 0 or a positive number.")
        return self


@dataclasses.dataclass(frozen=True)
class RatePhase:
    """The learning rate over `steps` steps.

    'warmup_cosine': from `start` up to `peak` in a line over `warmup_steps`, then down by a
    cosine to `final_fraction` of the peak at the end of the phase.
    'hold': the rate that the phase before ended with.
    'continue': the curve of the phase before, whose cosine then ends with this phase.
    """

    steps: int
    policy: str = "warmup_cosine"
    peak: float = 1e-4
    warmup_steps: int = 2000
    start: float = 1e-7
    final_fraction: float = 0.1

    def check(self) -> "RatePhase":
        """Itself, or InputError for a phase that cannot be followed."""
        if self.policy not in POLICIES:
            raise InputError(
                f"learning rate policy {self.policy!r} is not one of {', '.join(POLICIES)}."
                f"{nearest(self.policy, POLICIES)}"
            )
        if self.steps < 1:
            raise InputError(f"steps = {self.steps} of a learning rate phase: give 1 or more.")
        if self.policy in ("hold", "continue"):
            return self
        if not 0 <= self.warmup_steps <= self.steps:
            raise InputError(
                f"warmup_steps = {self.warmup_steps} is longer than the {self.steps} steps of its "
                "phase: shorten the warm-up or lengthen the phase."
            )
        if not (math.isfinite(self.peak) and self.peak > 0):
            raise InputError(f"peak learning rate = {self.peak}: give a positive number.")
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"final_fraction = {self.final_fraction}: give a number in [0, 1].")
        return self

    def rate(self, step):
        """The rate `step` steps into a 'warmup_cosine' phase; it stays at its end."""
        warmed = self.start + (self.peak - self.start) * step / max(self.warmup_steps, 1)
        span = max(self.steps - self.warmup_steps, 1)
        done = jnp.clip((step - self.warmup_steps) / span, 0.0, 1.0)
        floor = self.peak * self.final_fraction
        cooled = floor + (self.peak - floor) * 0.5 * (1 + jnp.cos(jnp.pi * done))
        return jnp.where(step < self.warmup_steps, warmed, cooled)


def curves(phases: Sequence[RatePhase]) -> list[tuple[int, RatePhase]]:
    """The curves of a run, each with the step it begins at; one that is continued is one, longer.

    InputError for no phase, a first one that holds, and one that continues what is no curve.
    """
    if not phases:
        raise InputError("a run needs one learning rate phase at least.")
    if phases[0].check().policy == "hold":
        raise InputError("the first learning rate phase is 'hold' and has no rate to hold.")
    starts, begin = [], 0
    for before, phase in zip((None, *phases), phases, strict=False):
        if phase.check().policy == "continue":
            starts.append(_lengthened(before, phase, starts))
        elif phase.policy != "hold":
            starts.append((begin, phase))
        begin += phase.steps
    return starts


def learning_rate(phases: Sequence[RatePhase]) -> Callable[[jax.Array], jax.Array]:
    """Step (int, from 0 over the whole run) -> learning rate (float32).

    After the last phase its final rate holds. InputError as of `curves`.
    """
    starts = curves(phases)

    def at(step):
        rate = jnp.zeros((), jnp.float32)
        for begin, phase in starts:
            since = (step - begin).astype(jnp.float32)
            rate = jnp.where(step >= begin, phase.rate(since), rate)
        return rate

    return lambda step: at(jnp.asarray(step)).astype(jnp.float32)


def _lengthened(
    before: RatePhase | None, phase: RatePhase, starts: list[tuple[int, RatePhase]]
) -> tuple[int, RatePhase]:
    """The last curve of `starts`, taken out there, as long as with one more phase."""
    if before is None or before.policy == "hold":
        raise InputError(
            "a learning rate phase is 'continue' and the one before it is no curve: give it "
            "'warmup_cosine', or 'hold' here."
        )
    begin, curve = starts.pop()
    return begin, dataclasses.replace(curve, steps=curve.steps + phase.steps)


def decay_mask(params):
    """True for the parameters that weight decay shrinks, by name: `DECAYED` and no other."""
    return jax.tree_util.tree_map_with_path(lambda path, _: _name(path) in DECAYED, params)


def _name(path) -> str:
    """'h/mlp/c_fc/kernel', also for layers that are not scanned (h_0, h_1, ...)."""
    keys = [str(key.key) for key in path]
    if keys[0].startswith("h_"):
        keys[0] = "h"
    return "/".join(keys)


def make_optimizer(
    config: OptimizerConfig, learning_rate_fn: Callable[[jax.Array], jax.Array]
) -> optax.GradientTransformation:
    """Clip by the global norm, Adam, decoupled decay by name, the learning rate inside."""
    config.check()
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.epsilon),
        optax.add_decayed_weights(config.weight_decay, mask=decay_mask),
        optax.scale_by_learning_rate(learning_rate_fn),
    )
