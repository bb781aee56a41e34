"""Pairs of answers in two languages, each preferring its own, and short runs of `dpo` on a toy base."""

import dataclasses
import pathlib

import toy_finetune

from polylm_jax.training.experiment import PhaseConfig
from polylm_jax.training.preference_tuning import PreferenceExperiment, dpo
from tasks.instructions import language_pairs, preferences

LENGTH = 96
MODEL = dataclasses.replace(toy_finetune.MODEL, max_length=LENGTH)


def make(folder: pathlib.Path) -> pathlib.Path:
    """As `toy_finetune.make`, with pairs of its conversations beside them."""
    toy_finetune.make(folder, MODEL)
    codes = [*toy_finetune.ASKED]
    language_pairs.write(folder / "pairs", {c: f"{folder}/{c}.jsonl" for c in codes}, together=True)
    preferences.register(
        str(folder / "pairs"), f"{folder}/toy.model", {c: f"{c}.jsonl" for c in codes}, name="own",
        held_out=0.2, mixtures={"own.both": {"es": 0.5, "ja": 0.5}},
    )  # fmt: skip
    return folder


def experiment(folder, **changes) -> PreferenceExperiment:
    """12 steps of 8 rows, half of them in Spanish."""
    plain = toy_finetune.experiment(folder)
    values = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)} | {
        "model": MODEL,
        "phases": [PhaseConfig("own.both", steps=12, peak_learning_rate=3e-3, warmup_steps=2)],
        "sequence_length": LENGTH,
    }
    return PreferenceExperiment(**(values | changes))


def run(folder, model_dir, changes=None, **settings):
    """`dpo` with few words."""
    defaults = {
        "save_every_steps": 100,
        "eval_every_steps": 12,
        "log_every_steps": 1,
        "tensorboard": False,
        "compilation_cache_dir": f"{folder}/compiled",
    }
    dpo(experiment(folder, **(changes or {})), str(model_dir), **(defaults | settings))
