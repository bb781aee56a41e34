"""What each run of an ablation will be: the recipe with a variant's lines, resolved and checked.

Everything that can be wrong with any run is said before the first one starts. JAX's devices are
left alone: they belong to the process that trains.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax.ablation import variants
from polylm_jax.ablation.claims import Claim
from polylm_jax.ablation.variants import Run, Variant
from polylm_jax.errors import InputError, nearest
from polylm_jax.text import registrations
from polylm_jax.training.experiment import Resolved

FILE = "ablation.json"
EXPERIMENTS = {  # of each mode that a run may be
    "train": "polylm_jax.training.Experiment",
    "finetune": "polylm_jax.training.FinetuningExperiment",
}
POINTS = 40  # of the curve of planned tokens

# Gin lines -> (the experiment of the recipe with them, its resolved config).
Reconfigured = Callable[[Sequence[str], str], tuple[object, str]]


class Plan(NamedTuple):
    """A run, checked, the mode of run.py that it is, and its recipe as one gin file."""

    run: Run
    mode: str
    resolved: Resolved
    text: str

    @property
    def tokens_per_step(self) -> int:
        experiment = self.resolved.experiment
        return experiment.batch_size * experiment.sequence_length

    @property
    def tokens(self) -> int:
        return self.resolved.total_steps * self.tokens_per_step


def make(
    reconfigured: Reconfigured,
    found: Mapping[str, Variant],
    seeds: Sequence[int],
    folder: str,
    mode: str = "train",
) -> dict[Run, Plan]:
    """The plan of every run, in the order in which they are trained: seed by seed.

    Stores that are missing and small are built here, once; InputError, with the variant's name,
    for whatever `train` or `finetune` would refuse.
    """
    if mode not in EXPERIMENTS:
        hint = nearest(mode, EXPERIMENTS)
        raise InputError(f"MODE = {mode!r} is not one of {', '.join(EXPERIMENTS)}.{hint}")
    plans = {}
    for run in (Run(name, seed) for seed in seeds for name in found):
        place = f"{folder.rstrip('/')}/{run.path}"
        lines = [*found[run.variant].lines, f"SEED = {run.seed}", f"MODEL_DIR = {place!r}"]
        with _said_of(run), registrations.for_a_time():
            experiment, text = reconfigured(lines, EXPERIMENTS[mode])
            experiment.start()  # before stores are built
            resolved = experiment.resolve(num_devices=experiment.planned_devices())
        plans[run] = Plan(run, mode, resolved, text)
    return plans


@contextlib.contextmanager
def _said_of(run: Run) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"variant {run.variant!r}: {error}") from error


def check(
    plans: Mapping[Run, Plan],
    found: Mapping[str, Variant],
    base: str,
    other: Sequence[str],
    claims: Sequence[Claim],
) -> str:
    """The base's name (the first variant where none is given), once budgets and claims are checked."""
    base = variants.known(base, found, "BASE_VARIANT") if base else next(iter(found))
    for name in other:
        variants.known(name, found, "OTHER_BUDGETS")
    for claim in claims:
        claim.check()
        for side in (claim.better, claim.than):
            variants.known(side, found, f"claim {claim.name!r}")
    first = {run.variant: plan for run, plan in reversed(plans.items())}
    step = max(plan.tokens_per_step for plan in first.values())
    variants.check_budgets({name: first[name].tokens for name in found}, base, step, other)
    return base


def described(
    plans: Mapping[Run, Plan],
    found: Mapping[str, Variant],
    base: str,
    claims: Sequence[Claim],
    title: str,
) -> dict:
    """What ablation.json keeps, so that a report needs the logs and no recipe."""
    first = {run.variant: plan for run, plan in reversed(plans.items())}
    return {
        "title": title,
        "base": base,
        "seeds": list(dict.fromkeys(run.seed for run in plans)),
        "claims": [dataclasses.asdict(claim) for claim in claims],
        "variants": {name: _described(first[name], found[name]) for name in found},
    }


def _described(plan: Plan, variant: Variant) -> dict:
    resolved, experiment = plan.resolved, plan.resolved.experiment
    model = experiment.model
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
    rows = plan.resolved.total_steps * plan.resolved.experiment.batch_size
    curve = []
    for row in np.unique(np.linspace(0, rows, POINTS + 1).astype(int)).tolist():
        book = plan.resolved.ledger(row)
        planned = {line.language: line.planned_tokens for line in book.languages}
        curve.append({"tokens": row * book.length, "languages": planned})
    return curve
