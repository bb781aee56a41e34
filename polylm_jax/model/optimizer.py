"""AdamW as PolyLM was trained with it, and the learning rate as a function of the step.

PolyLM (arXiv 2307.06018), section 3.3: betas 0.9 and 0.95, decay 0.1, clipping at 1.0, warm-up
from 1e-7 over 2,000 steps, cosine to 10 %. Its scripts say decay 1e-4 and epsilon 1e-8.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import optax

from polylm_jax.errors import InputError, one_of
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, Decay, Natural, NonNegative, Positive, Share

POLICIES = ("warmup_cosine", "warmup_stable", "hold", "decay", "continue")
HOLDING = ("hold", "decay")  # they go on from the rate before them
# How much of the way down is left when `done` of it, from 0 to 1, is past.
SHAPES = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + jnp.cos(jnp.pi * done)),
    "1-sqrt": lambda done: 1 - jnp.sqrt(done),  # Hägele et al. 2024, arXiv 2405.18392
}

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

    b1: Decay = 0.9
    b2: Decay = 0.95
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.1
    clip_norm: Positive = 1.0

    def check(self) -> "OptimizerConfig":
        """Itself, or InputError for constants that train nothing."""
        return check_ranges(self)


@dataclasses.dataclass(frozen=True)
class RatePhase:
    """The learning rate over `steps` steps.

    'warmup_cosine': from `start` up to `peak` in a line over `warmup_steps`, then down by a
    cosine to `final_fraction` of the peak at the end of the phase.
    'warmup_stable': up as well, then the peak; the last `decay_steps` go down to `final_fraction` of
    it by `decay_shape`. 0 of them: it stays there, for what comes after to hold or to take down.
    'hold': the rate that the phase before ended with; it may have `decay_steps`, too.
    'decay': down from that rate, over the whole phase.
    'continue': the curve of the phase before, whose end (its cosine's, its decay's) is then that of
    this phase.
    """

    steps: Count
    policy: str = "warmup_cosine"
    peak: Positive = 1e-4
    warmup_steps: Natural = 2000
    start: NonNegative = 1e-7
    final_fraction: Share = 0.1
    decay_steps: Natural = 0
    decay_shape: str = "linear"

    @property
    def down(self) -> int:
        """Steps of its decay, with which it ends; a cosine's are not counted."""
        return self.steps if self.policy == "decay" else self.decay_steps

    @property
    def final(self) -> float:
        """The rate that a curve ends with; `peak` is what it is a fraction of."""
        falls = self.down or self.policy == "warmup_cosine"
        return self.peak * self.final_fraction if falls else self.peak

    def check(self) -> "RatePhase":
        """Itself, or InputError for a phase that cannot be followed."""
        one_of("learning rate policy", self.policy, POLICIES)
        check_ranges(self, "learning rate phase: ")
        self._check_decay()
        if self.policy.startswith("warmup") and self.warmup_steps > self.steps:
            raise InputError(
                f"warmup_steps = {self.warmup_steps} is longer than the {self.steps} steps of its "
                "phase: shorten the warm-up or lengthen the phase."
            )
        return self

    def _check_decay(self) -> None:
        one_of("decay_shape", self.decay_shape, SHAPES)
        if self.decay_steps and (why := _OWN_END.get(self.policy)):
            raise InputError(f"decay_steps = {self.decay_steps} with rate = {self.policy!r}, {why}")

    def check_curve(self) -> "RatePhase":
        """Itself, as long as it is with all that continues it, or InputError where its parts don't fit."""
        up = self.warmup_steps if self.policy == "warmup_stable" else 0
        if self.down > self.steps:
            raise InputError(
                f"decay_steps = {self.decay_steps} is longer than the {self.steps} steps that it ends: "
                "shorten the decay or lengthen its phase."
            )
        if self.down and up + self.down > self.steps:
            raise InputError(
                f"warmup_steps = {up} and decay_steps = {self.decay_steps} overlap in {self.steps} "
                "steps: shorten one of them or lengthen the phase."
            )
        return self

    def rate(self, step):
        """The rate `step` steps into a curve; it stays at its end."""
        if self.policy != "warmup_cosine":
            return self._stable_rate(step)
        warmed = self.start + (self.peak - self.start) * step / max(self.warmup_steps, 1)
        span = max(self.steps - self.warmup_steps, 1)
        done = jnp.clip((step - self.warmup_steps) / span, 0.0, 1.0)
        floor = self.peak * self.final_fraction
        cooled = floor + (self.peak - floor) * 0.5 * (1 + jnp.cos(jnp.pi * done))
        return jnp.where(step < self.warmup_steps, warmed, cooled)

    def _stable_rate(self, step):
        """Up, level and down; where it is level it is the same bits whatever comes after."""
        rate = jnp.full_like(step, self.peak)
        if self.down:
            begin = self.steps - self.down
            done = jnp.clip((step - begin) / self.down, 0.0, 1.0)
            cooled = self.final + (self.peak - self.final) * SHAPES[self.decay_shape](done)
            rate = jnp.where(step > begin, cooled, rate)
        if self.policy == "warmup_stable" and self.warmup_steps:
            warmed = self.start + (self.peak - self.start) * step / self.warmup_steps
            rate = jnp.where(step < self.warmup_steps, warmed, rate)
        return rate


_OWN_END = {  # policies whose end is said by something else than decay_steps
    "warmup_cosine": "whose cosine is its decay: give 'warmup_stable', or leave decay_steps out.",
    "decay": "which goes down over the whole phase: give 'hold', or leave decay_steps out.",
    "continue": "whose curve has its own: give them to the phase that it continues.",
}


def curves(phases: Sequence[RatePhase]) -> list[tuple[int, RatePhase]]:
    """The curves of a run, each with the step it begins at; one that is continued is one, longer.

    A held rate that goes down is a curve, too, whose `peak` is that rate. InputError for no phase, a
    first one that holds, one that continues what is no curve, and a decay that doesn't fit.
    """
    if not phases:
        raise InputError("a run needs one learning rate phase at least.")
    if phases[0].check().policy in HOLDING:
        raise InputError(
            f"the first learning rate phase is {phases[0].policy!r} and has no rate to hold."
        )
    starts: list[tuple[int, RatePhase]] = []
    begin = 0
    for before, phase in zip((None, *phases), phases, strict=False):
        if phase.check().policy == "continue":
            starts.append(_lengthened(before, phase, starts))
        elif phase.policy not in HOLDING:
            starts.append((begin, phase))
        elif phase.down:
            starts.append((begin, dataclasses.replace(phase, peak=starts[-1][1].final)))
        begin += phase.steps
    return [(begin, curve.check_curve()) for begin, curve in starts]


def pieces(phases: Sequence[RatePhase]) -> list[tuple[int, tuple]]:
    """The learning rate as pieces: the step at which each begins, and all that it is computed from.

    Two runs have the same rates, bit by bit, up to the first step that is of another piece in one of
    them: however long the curves are that the pieces belong to.
    """
    found: list[tuple[int, tuple]] = []
    for begin, curve in curves(phases):
        found = [(step, piece) for step, piece in found if step < begin]
        found += ((begin + since, piece) for since, piece in _pieces(begin, curve))
    return found


def _pieces(begin: int, curve: RatePhase) -> Iterator[tuple[int, tuple]]:
    """Those of one curve, each with the step since its beginning; empty ones are left out."""
    up = curve.warmup_steps if curve.policy.startswith("warmup") else 0
    level, end = curve.steps - curve.down, curve.steps
    if up:
        yield 0, ("up", begin, up, curve.start, curve.peak)
    if curve.policy == "warmup_cosine":
        yield up, ("cosine", begin + up, end - up, curve.peak, curve.final_fraction)
        if up == end:  # all of it was the warm-up, and its cosine is still to come
            return
    elif up <= level:
        yield up, ("level", curve.peak)
    if curve.down:
        yield level + 1, (curve.decay_shape, begin + level, curve.down, curve.peak, curve.final)
    yield end, ("level", curve.final)


def agree(one: Sequence[RatePhase], other: Sequence[RatePhase]) -> float:
    """How many steps two runs have the same learning rate, from the first one on; infinity: all."""
    ours, theirs = pieces(one), pieces(other)
    for step in sorted({step for step, _ in (*ours, *theirs)}):
        if _at(ours, step) != _at(theirs, step):
            return step
    return math.inf


def _at(found: Sequence[tuple[int, tuple]], step: int) -> tuple:
    return [piece for begin, piece in found if begin <= step][-1]


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
    if before is None or (before.policy == "hold" and not before.down):
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
    first, *rest = (str(key.key) for key in path)
    return "/".join(["h" if first.startswith("h_") else first, *rest])


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
