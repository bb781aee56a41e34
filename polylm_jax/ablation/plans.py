"""What each run of an ablation will be: the recipe with a variant's lines, resolved and checked.

Everything that can be wrong with any run is said before the first one starts. JAX's devices are
left alone: they belong to the process that trains.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from polylm_jax.ablation import variants
from polylm_jax.ablation.claims import Claim
from polylm_jax.ablation.records import TokensPerStep
from polylm_jax.ablation.variants import Run, Variant
from polylm_jax.errors import InputError, one_of
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Natural, Seed
from polylm_jax.text import registrations
from polylm_jax.training.experiment import Resolved

FILE = "ablation.json"
EXPERIMENTS = {  # of each mode that a run may be
    "train": "polylm_jax.training.Experiment",
    "finetune": "polylm_jax.training.FinetuningExperiment",
}
POINTS = 40  # of the curve of planned tokens

# Gin lines -> (the experiment of the recipe with them, its resolved config).
Reconfigured = Callable[[Sequence[str], str], tuple[Any, str]]


class Plan(NamedTuple):
    """A run, checked, the mode of run.py that it is, and its recipe as one gin file."""

    run: Run
    mode: str
    resolved: Resolved
    text: str

    @property
    def tokens_per_step(self) -> TokensPerStep:
        """Of all steps, or of those from each one on."""
        length, steps = self.resolved.experiment.sequence_length, self.resolved.steps
        if len(set(steps.sizes)) == 1:
            return steps.sizes[0] * length
        return [[p.step, p.place * length, p.size * length] for p in steps.pieces]

    @property
    def largest_step(self) -> int:
        """Tokens of its largest steps."""
        return max(self.resolved.steps.sizes) * self.resolved.experiment.sequence_length

    @property
    def tokens(self) -> int:
        return self.resolved.total_tokens


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared.

    seeds: each variant is trained with each; differences are taken seed by seed.
    base: the variant that the others are held against, by default the first.
    mode: what each run is, 'train' or 'finetune'.
    other_budgets: variants whose tokens may differ from the base's; the report says by how much.
    claims: comparisons that are settled before the runs, with their smallest effect of interest.
    title: the report's heading.
    trunk, leaves: the variant that others branch from, and the step at which each of them does; it
    is trained first and keeps a checkpoint there.
    signal: a folder that `run.py signal` wrote: the tasks that say nothing there are grey in the report,
    and no difference in them is tested.
    """

    seeds: Sequence[Seed] = (0, 1, 2)
    base: str = ""
    mode: str = "train"
    other_budgets: Sequence[str] = ()
    claims: Sequence[Claim] = ()
    title: str = ""
    trunk: str = ""
    leaves: Mapping[str, Natural] | None = None
    signal: str = ""


@dataclasses.dataclass(frozen=True)
class Ablation(Comparison):
    """A comparison of variants, read; without a base, the first of them is it.

    silent: evaluation tasks that say nothing at this size.
    """

    leaves: Mapping[str, int] = dataclasses.field(default_factory=dict)
    variants: Mapping[str, Variant] = dataclasses.field(default_factory=dict)
    silent: Sequence[str] = ()

    def check(self) -> "Ablation":
        """Itself, with a base, or InputError for a name that there isn't."""
        one_of("MODE", self.mode, EXPERIMENTS)
        if self.base:
            variants.known(self.base, self.variants, "BASE_VARIANT")
        for name in self.other_budgets:
            variants.known(name, self.variants, "OTHER_BUDGETS")
        for claim in self.claims:
            check_ranges(claim, f"claim {claim.name!r}: ")
            for side in (claim.better, claim.than):
                variants.known(side, self.variants, f"claim {claim.name!r}")
        return dataclasses.replace(self, base=self.base or next(iter(self.variants)))

    @property
    def runs(self) -> list[Run]:
        """All, in the order in which they are trained: seed by seed, the trunk first."""
        names = sorted(self.variants, key=lambda name: name != self.trunk)
        return [Run(name, seed) for seed in self.seeds for name in names]

    def lines(self, run: Run, place: str) -> list[str]:
        """The gin lines that make a run of the recipe; a trunk keeps the places where it is left."""
        kept = tuple(sorted(set(self.leaves.values())))
        keep = [f"training.{self.mode}.keep_at = {kept}"] if run.variant == self.trunk else []
        lines = self.variants[run.variant].lines
        return [*lines, *keep, f"SEED = {run.seed}", f"MODEL_DIR = {place!r}"]

    def chosen(self, variant: str, seed: int | None) -> list[Run]:
        """The runs of a variant ('': of all), of a seed (None: of all); InputError for another."""
        if variant:
            variants.known(variant, self.variants, "variant")
        if seed is not None and seed not in self.seeds:
            raise InputError(f"seed = {seed} is not one of SEEDS = {self.seeds}: give one of them.")
        return [
            run
            for run in self.runs
            if run.variant in (variant or run.variant) and seed in (None, run.seed)
        ]


def make(reconfigured: Reconfigured, asked: Ablation, folder: str) -> dict[Run, Plan]:
    """The plan of every run, in the order in which they are trained: seed by seed.

    Stores that are missing and small are built here, once; InputError, with the variant's name,
    for whatever `train` or `finetune` would refuse.
    """
    plans = {}
    for run in asked.runs:
        place = f"{folder.rstrip('/')}/{run.path}"
        with _said_of(run), registrations.for_a_time():
            lines = asked.lines(run, place)
            experiment, text = reconfigured(lines, EXPERIMENTS[asked.mode])
            experiment.start()  # before stores are built
            resolved = experiment.resolve(num_devices=experiment.planned_devices())
        plans[run] = Plan(run, asked.mode, resolved, text)
    return plans


@contextlib.contextmanager
def _said_of(run: Run) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"variant {run.variant!r}: {error}") from error


def check_budgets(plans: dict[Run, Plan], asked: Ablation) -> None:
    """InputError for a variant whose tokens aren't the base's, unless another budget is meant."""
    first = {run.variant: plan for run, plan in reversed(plans.items())}
    resolved = [plan.resolved for plan in first.values()]
    step = max(max(one.steps.sizes) * one.experiment.sequence_length for one in resolved)
    tokens = {name: first[name].tokens for name in asked.variants}
    variants.check_budgets(tokens, asked.base, step, asked.other_budgets)


def described(plans: dict[Run, Plan], asked: Ablation) -> dict:
    """What ablation.json keeps, so that a report needs the logs and no recipe."""
    first = {run.variant: plan for run, plan in reversed(plans.items())}
    return {
        "title": asked.title,
        "base": asked.base,
        "seeds": list(asked.seeds),
        "claims": [dataclasses.asdict(claim) for claim in asked.claims],
        "silent": sorted(asked.silent),
        "variants": {name: _described(first[name], one) for name, one in asked.variants.items()},
    }


def _described(plan: Plan, variant: Variant) -> dict:
    resolved, experiment = plan.resolved, plan.resolved.experiment
    model = experiment.model
    assert resolved.tokenizer is not None  # plans are made with their stores
    starts = [boundary * experiment.sequence_length for boundary in resolved.schedule.boundaries]
    return {
        "lines": list(variant.lines),
        "total_steps": resolved.total_steps,
        "tokens_per_step": plan.tokens_per_step,
        "tokens": plan.tokens,
        "parameters": model.num_params,
        "flops_per_token": resolved.flops_per_token,
        "vocabulary": resolved.tokenizer.fingerprint,
        "phases": [
            {"name": phase.name, "start": start}
            for phase, start in zip(resolved.schedule.phases, starts, strict=False)
        ],
        "planned": _planned(plan),
    }


def _planned(plan: Plan) -> list[dict]:
    """Tokens of each language that are planned up to so many tokens, over the whole run."""
    steps = plan.resolved.steps
    rows = steps.done(steps.total)
    curve = []
    for row in np.unique(np.linspace(0, rows, POINTS + 1).astype(int)).tolist():
        book = plan.resolved.ledger(row)
        planned = {line.language: line.planned_tokens for line in book.languages}
        curve.append({"tokens": steps.trained(row) * book.length, "languages": planned})
    return curve
