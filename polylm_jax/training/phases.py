"""A phase of a run as a recipe says it: a mixture, a length, its learning rate; and all of a run's."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.errors import InputError
from polylm_jax.languages.shares import BY_HAND, Shares
from polylm_jax.model.optimizer import RatePhase
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Positive, Share


@dataclasses.dataclass(frozen=True)
class PhaseConfig:
    """A stretch of the run: a mixture, a length in tokens or in steps, and its learning rate.

    mixture: the name of a SeqIO mixture or task; or component -> share of tokens, where components
    are tasks (their stores, once cached, are all that is read).
    ramp_tokens or ramp_steps: how much of the phase's beginning goes linearly from the shares
    before it to its own. batch_size: rows of a step of this phase, the experiment's by default; the
    phase's steps and its learning rate's count steps of this size. rate, decay_steps, decay_shape: see `optimizer.RatePhase`.
    """

    mixture: str | Mapping[str, float]
    tokens: Count | None = None
    steps: Count | None = None
    ramp_tokens: Natural | None = None
    ramp_steps: Natural | None = None
    name: str = ""
    batch_size: Count | None = None
    rate: str = "warmup_cosine"
    peak_learning_rate: Positive = 1e-4
    start_learning_rate: NonNegative = 1e-7
    warmup_steps: Natural = 2000
    final_fraction: Share = 0.1
    decay_steps: Natural = 0
    decay_shape: str = "linear"

    def title(self, number: int) -> str:
        """What the run calls it; `number` counts from 0."""
        return self.name or (self.mixture if isinstance(self.mixture, str) else f"{number + 1}")

    def rows(self, title: str, length: int, batch_size: int) -> tuple[int, int]:
        """(rows, ramp rows) of it; InputError unless it has one length, and one ramp at most."""
        lengths = [value for value in (self.tokens, self.steps) if value is not None]
        if len(lengths) != 1 or lengths[0] < 1:
            raise InputError(
                f"phase {title!r} has tokens = {self.tokens} and steps = {self.steps}: give one of "
                "them, 1 or more."
            )
        ramps = [value for value in (self.ramp_tokens, self.ramp_steps) if value is not None]
        if len(ramps) > 1 or any(value < 0 for value in ramps):
            raise InputError(
                f"phase {title!r} has ramp_tokens = {self.ramp_tokens} and ramp_steps = "
                f"{self.ramp_steps}: give one of them, 0 or more, or none."
            )

        def count(tokens: int | None, steps: int | None) -> int:
            return math.ceil(tokens / length) if tokens is not None else (steps or 0) * batch_size

        return count(self.tokens, self.steps), count(self.ramp_tokens, self.ramp_steps)

    def rate_phase(self, steps: int) -> RatePhase:
        return RatePhase(
            steps=steps,
            policy=self.rate,
            peak=self.peak_learning_rate,
            warmup_steps=self.warmup_steps,
            start=self.start_learning_rate,
            final_fraction=self.final_fraction,
            decay_steps=self.decay_steps,
            decay_shape=self.decay_shape,
        )


def with_shares(
    phases: Sequence[PhaseConfig],
    shares: Sequence[Mapping[str, float]],
    how: str = BY_HAND,
    parts: Sequence[Share] = (),
) -> list[PhaseConfig]:
    """The phases with other shares of tokens, one mapping each; learning rates stay.

    how: where the shares come from, which `inspect` says. parts: of the whole run that each phase
    lasts, which sum to 1; without them lengths stay. Raises InputError unless there are as many as
    there are phases, and for phases whose lengths can't be added up.
    """
    if len(shares) != len(phases):
        raise InputError(
            f"training.with_shares has shares of {len(shares)} phases, and the recipe has "
            f"{len(phases)} phases: give one mapping for each."
        )
    named = [config.title(number) for number, config in enumerate(phases)]
    if parts:
        phases = _divided(phases, parts)
    return [
        dataclasses.replace(config, mixture=Shares(one, how), name=name)
        for config, one, name in zip(phases, shares, named, strict=True)
    ]


def _divided(phases: Sequence[PhaseConfig], parts: Sequence[float]) -> list[PhaseConfig]:
    """The phases with these parts of their whole length, each of one step or token at least."""
    if len(parts) != len(phases) or not math.isclose(sum(parts), 1.0, abs_tol=1e-6):
        raise InputError(
            f"training.with_shares.parts = {list(parts)} for {len(phases)} phases: give each phase's "
            "part of the run; they sum to 1."
        )
    unit = "steps" if all(config.steps is not None for config in phases) else "tokens"
    lengths = [getattr(config, unit) for config in phases]
    if None in lengths or len({config.batch_size for config in phases}) > 1:
        raise InputError(
            "training.with_shares.parts needs phases whose lengths are all in steps, of one batch size, "
            "or all in tokens: give all of them steps, or all of them tokens."
        )
    total = sum(lengths)
    ends = [round(total * sum(parts[: number + 1])) for number in range(len(parts))]
    new = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    if min(new) < 1:
        raise InputError(
            f"training.with_shares.parts = {list(parts)} leaves a phase without any of the {total:,} "
            f"{unit}: give it a larger part."
        )
    return [
        dataclasses.replace(config, **{unit: length})
        for config, length in zip(phases, new, strict=True)
    ]


def sizes(phases: Sequence[PhaseConfig], batch_size: int) -> tuple[int, ...]:
    """Rows of a step of each phase; `batch_size` of those that don't say it."""
    return tuple(
        batch_size if config.batch_size is None else config.batch_size for config in phases
    )


def schedule(phases: Sequence[PhaseConfig], length: int, batch_size: int) -> Schedule:
    """Which component each row of a run comes from; InputError for phases that can't be.

    length: tokens of a row. batch_size: rows of a step, of phases that don't say it.
    """
    if not phases:
        raise InputError("phases is empty: give one phase at least.")
    made = []
    for number, (config, size) in enumerate(zip(phases, sizes(phases, batch_size), strict=True)):
        title = config.title(number)
        rows, ramp_rows = config.rows(title, length, size)
        made.append(Phase(title, _shares(config.mixture), rows, ramp_rows))
    return Schedule(made)


def check_batches(phases: Sequence[PhaseConfig], check: Callable[[int], None]) -> None:
    """InputError for a phase's own batch that can't be; `check` refuses what the devices can't share."""
    for number, config in enumerate(phases):
        if (size := config.batch_size) is None:
            continue
        title = f"phase {config.title(number)!r}"
        if size < 1:
            raise InputError(f"{title}: batch_size = {size}: give 1 or more.")
        try:
            check(size)
        except InputError as error:
            raise InputError(f"{title}: {error}") from error


def steps(
    schedule: Schedule, batch_sizes: tuple[int, ...], skip_rows: Sequence[tuple[int, int]]
) -> Steps:
    """Which rows each step takes; InputError where there is no whole one."""
    skipped = RowRanges.given(skip_rows, schedule.total_rows)
    made = Steps(schedule.boundaries, batch_sizes, skipped)
    if not made.total:
        raise InputError(
            f"the run has {made.trained(schedule.total_rows)} rows and batch_size = "
            f"{batch_sizes[0]}: lengthen its phases, make the batch smaller or skip fewer rows."
        )
    return made


def rates(phases: Sequence[PhaseConfig], made: Steps) -> tuple[RatePhase, ...]:
    """The phases in whole steps; a step belongs to the phase of its first row."""
    return tuple(
        config.rate_phase(count) for config, count in zip(phases, made.of_phases, strict=True)
    )


def paced(
    rate: Callable[[jax.Array], jax.Array], offsets: Sequence[tuple[int, Fraction]]
) -> Callable[[jax.Array], jax.Array]:
    """A rate by updates made. offsets: (update, what to add to it and those after it), ascending."""
    firsts, added = zip(*offsets, strict=True)
    whole = all(offset.denominator == 1 for offset in added)
    values = [int(offset) if whole else float(offset) for offset in added]
    if len(values) == 1:
        return lambda step: rate(step + values[0])
    table = np.array(values, np.int32 if whole else np.float32)

    def at(step):
        which = jnp.searchsorted(jnp.asarray(firsts[1:], jnp.int32), step, side="right")
        return rate(step + jnp.asarray(table)[which])

    return at


def _shares(mixture: str | Mapping[str, float]) -> dict[str, float]:
    if isinstance(mixture, Mapping):
        return dict(mixture)
    return seqio().mixtures.flatten(mixture)


def seqio():
    """The one door to SeqIO, which only names of tasks and mixtures need: it takes 5 s to import."""
    from polylm_jax.data.stores import cache

    return cache
