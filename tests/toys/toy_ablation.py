"""An ablation over the toy's stores as a recipe, and logs of runs as training writes them."""

import json

import gin
import toy_run

import run
from polylm_jax.ablation import records
from polylm_jax.ablation.workers.pool import Heard
from polylm_jax.text import registrations

RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import ablation
from polylm_jax import model
from polylm_jax import training

include 'models/tiny.gin'
include 'runs/train.gin'
include 'runs/ablate.gin'

model.PolyLMConfig:
  num_layers = 1
  embed_dim = 16
  num_heads = 8
  mlp_dim = 32
  vocab_size = 320
  max_length = 16
CACHE_DIR = '{folder}/stores'
VOCABULARY = '{folder}/toy.model'
TASKS = None
SEQUENCE_LENGTH = 16
BATCH_SIZE = 8
EVAL_EVERY_STEPS = 4
SAVE_EVERY_STEPS = 2
training.train.keep_every = 10
training.train.tensorboard = False
training.train.log_every_steps = 1
training.train.compilation_cache_dir = '{folder}/compiled'
training.Experiment.num_chunks = 2

ONE = {{'toy.en': 0.7, 'toy.th': 0.3}}
STAGES = [@one/training.PhaseConfig(), @two/training.PhaseConfig()]
SHORT = [@one/training.PhaseConfig()]
TURNED = [@one/training.PhaseConfig(), @two/training.PhaseConfig(), @three/training.PhaseConfig()]
PHASES = %STAGES
one/training.PhaseConfig:
  mixture = %ONE
  steps = 8
  warmup_steps = 2
  peak_learning_rate = 1e-2
two/training.PhaseConfig:
  mixture = {{'toy.en': 0.3, 'toy.th': 0.5, 'toy.en_th': 0.2}}
  steps = %TWO
  rate = 'hold'
TWO = 4
three/training.PhaseConfig:
  mixture = %ONE
  steps = 2
  rate = 'hold'
ABLATION_DIR = '{out}'
SEEDS = (3,)
VARIANTS = [('short', "PHASES = %SHORT"), ('both',), ('turned', "PHASES = %TURNED", "TWO = 2")]
BASE_VARIANT = 'both'
OTHER_BUDGETS = ['short']
CLAIMS = [@ablation.Claim()]
ablation.Claim:
  name = 'the second phase helps'
  better = 'both'
  than = 'short'
"""


def recipe(path, folder, out, *lines):
    """The recipe as a file, with further lines; the argument that names it."""
    text = RECIPE.format(folder=folder, out=out)
    path.write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
    return f"--gin_file={path}"


def write_logs(model_dir, bits, steps=8, total=8, scores=None, unequal=0):
    """Logs up to a step: language -> bits per byte at the end, falling towards it from 8.

    scores: task -> metrics, the same at each evaluation. unequal: bytes of held-out text added.
    """
    model_dir.mkdir(parents=True)
    files = {name: [] for name in (*records.LOGS, "events")}
    files["events"].append({"event": "start", "step": 0, "time": 0.0, "reached": 0, "devices": 1})
    for step in range(0, steps + 1, 4):
        now = {k: 8 - (8 - end) * step / total for k, end in bits.items()}
        files["validation"].append(
            {"step": step, "bits_per_byte": now, "bytes": {k: 1000 + unequal for k in bits}}
        )
        files["evaluation"].append({"step": step, **(scores or {})})
        if step:
            line = {"rows": 8 * step, "languages": {k: {"tokens": 64.0 * step} for k in bits}}
            files["ledger"].append({"step": step, **line})
    for step in range(1, steps + 1):
        numbers = {"tokens": 128 * step, "loss": 5.0 - step / total, "seconds": {"all": 0.5}}
        files["metrics"].append({"step": step, **numbers})
    if steps == total:
        files["events"].append({"event": "end", "step": total, "time": 4.0})
    for name, lines in files.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (model_dir / f"{name}.jsonl").write_text(text, encoding="utf-8")


def plan(names, seeds=(0, 1, 2), claims=(), base=None, lines=()):
    """ablation.json as `ablate` writes it, of runs of 8 steps of 128 tokens."""
    about = {
        "lines": list(lines),
        "total_steps": 8,
        "tokens_per_step": 128,
        "tokens": 1024,
        "parameters": toy_run.MODEL.num_params,
        "flops_per_token": 1000.0,
        "phases": [{"name": "one", "start": 0}, {"name": "two", "start": 512}],
        "planned": [
            {"tokens": 128 * n, "languages": {"en": 64.0 * n, "ar": 64.0 * n}} for n in range(9)
        ],
    }
    return {
        "title": "Of <mixtures>",
        "base": base or names[0],
        "seeds": list(seeds),
        "claims": list(claims),
        "variants": {name: about for name in names},
    }


class InThisProcess:
    """A `workers.pool.Pool` without processes: a run is done when it is given."""

    def __init__(self, places, quiet, server=None):
        self._codes = []

    @property
    def idle(self):
        return [] if self._codes else [0]

    def give(self, slot, argv, said=""):
        gin.clear_config()
        with registrations.for_a_time():
            self._codes.append(run.main(argv))

    def wait(self, seconds):
        yield Heard(0, {"code": self._codes.pop()})

    def close(self):
        assert not self._codes
