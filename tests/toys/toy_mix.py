"""A mix over stores of random text, and runs that leave the logs of a known law instead of training."""

import zlib

import gin
import numpy as np
import pytest
import toy_ablation
import toy_evaluation
import toy_run

import run
from polylm_jax.ablation import evidence
from polylm_jax.ablation import run as ablations

SIZES = {"toy.en": 6000, "toy.th": 1500, "toy.en_th": 3000}  # tokens of each store
OWN = {"toy.en": 0.6, "toy.th": 0.1, "toy.en_th": 0.3}
GAIN = {"en": ("toy.en", 0.5), "th": ("toy.th", 0.3), "en-th": ("toy.en_th", 0.3)}
NOISE = 0.002
RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import ablation
from polylm_jax import model
from polylm_jax import training

include 'models/tiny.gin'
include 'runs/train.gin'
include 'runs/inspect.gin'
include 'runs/mix.gin'

model.PolyLMConfig:
  num_layers = 1
  embed_dim = 8
  num_heads = 2
  mlp_dim = 16
  vocab_size = 320
  max_length = 16
MODEL_DIR = '{out}/model'
CACHE_DIR = '{folder}/stores'
VOCABULARY = '{folder}/toy.model'
TASKS = None
SEQUENCE_LENGTH = 16
BATCH_SIZE = 8
OWN = {own}
PHASES = [@training.PhaseConfig()]
training.PhaseConfig.mixture = %OWN
training.PhaseConfig.name = 'whole'
training.PhaseConfig.steps = %N_STEPS
training.PhaseConfig.warmup_steps = 2
N_STEPS = 96
MIX_DIR = '{out}'
TARGET_TOKENS = 12_288
PROXY = ["N_STEPS = 4"]
PROXIES = 8
HELD_OUT_MIXTURES = 4
MIX_SEEDS = (0, 1)
MOST_EPOCHS = 2.0
"""


TWO_PHASES = (
    "PHASES = [@training.PhaseConfig(), @two/training.PhaseConfig()]",
    "two/training.PhaseConfig.mixture = {'toy.en': 0.3, 'toy.th': 0.2, 'toy.en_th': 0.5}",
    "two/training.PhaseConfig.name = 'second'",
    "two/training.PhaseConfig.rate = 'hold'",
)


SCORES = (
    "import toy_mix",
    "from polylm_jax import evaluation",
    "training.train.evaluation = @evaluation.TrainingTasks()",
    "evaluation.TrainingTasks.every_steps = 4",
    "evaluation.TrainingTasks.tasks = @toy_mix.probe()",
    "toy_mix.probe.vocabulary = %VOCABULARY",
    "OBJECTIVE = 'scores'",
    "MIX_WEIGHTS = {'evaluation/toy.rank/accuracy_sum': 1}",
)


def probe(vocabulary):
    """A task that ranks choices, as a recipe registers it; items of 16 tokens at most."""
    items = [("ab", [" c", "ad"]), ("abc", ["abd", "cd"]), ("b", ["a", "bd"])]
    toy_evaluation.add_rank("toy.rank", vocabulary, items)
    return "toy.rank"


def make(folder):
    """The vocabulary and stores of three sizes."""
    toy_run.make(folder)
    for seed, (task, tokens) in enumerate(SIZES.items()):
        store = folder / "stores" / task
        for path in sorted(store.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        store.rmdir()
        language = toy_run.LANGUAGES[task]
        toy_run.write_store(folder, task, language, toy_run.random_text(seed, tokens))


def recipe(path, folder, out, *lines):
    """The recipe as a file, with further lines; the argument that names it."""
    text = RECIPE.format(folder=folder, out=out, own=OWN)
    path.write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
    return f"--gin_file={path}"


def bits(shares, seed=None):
    """Language -> bits per byte of a mixture by the law, with a run's noise where it has a seed."""
    chance = np.random.default_rng(zlib.crc32(f"{sorted(shares.items())} {seed}".encode()))
    return {
        language: 2.0 + gain * (shares.get(task, 0.0) + 0.02) ** -0.3
        + (0.0 if seed is None else chance.normal(0, NOISE))
        for language, (task, gain) in GAIN.items()
    }  # fmt: skip


def mix(stores, training, *lines):
    """(the recipe's argument, MIX_DIR): a whole mix beside the stores, `training` in place of runs."""
    out = stores.parent / "out"
    asked = recipe(stores.parent / "mine.gin", stores, out, *lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablations, "train_all", training)
        assert run.main(["mix", asked]) == 0
    gin.clear_config()
    return asked, out


class Training:
    """In place of `ablation.run.train_all`. most: runs after which it is killed. score: of the shares,
    what 'toy.rank' gives."""

    def __init__(self, most=None, score=None):
        self.most, self.trained, self.score = most, [], score

    def __call__(self, place, made, order, *_, **__):
        for one in order:
            if place.has(f"{one.path}/{evidence.FILE}"):
                continue
            if self.most is not None and len(self.trained) >= self.most:
                raise SystemExit(143)
            resolved, total = made[one].resolved, made[one].resolved.total_steps
            phases = [phase.shares for phase in resolved.schedule.phases]
            shares = {t: sum(p.get(t, 0.0) for p in phases) / len(phases) for t in SIZES}
            values = bits(shares, one.seed)
            folder = place.local / one.path
            scores = {"toy.rank": {"accuracy_sum": self.score(shares)}} if self.score else None
            toy_ablation.write_logs(folder, values, steps=total, total=total, scores=scores)
            evidence.keep(place, made[one])
            self.trained.append(one.title)
        return {}, {}
