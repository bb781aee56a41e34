"""`run.py ablate` of a recipe of instruction tuning: its runs are `finetune`'s, from one base."""

import json
import re

import gin
import pytest
import toy_ablation
import toy_finetune
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.ablation.workers import sweep

pytest_plugins = ["toy_fixture"]

RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import ablation
from polylm_jax import model
from polylm_jax import training
from tasks.instructions import tuning

include 'models/tiny.gin'
include 'runs/instructions.gin'
include 'runs/ablate.gin'

model.PolyLMConfig:
  num_layers = 2
  embed_dim = 16
  num_heads = 4
  mlp_dim = 32
  vocab_size = {pieces}
  max_length = {length}
MODE = 'finetune'
BASE = '{folder}/base'
VOCABULARY = '{folder}/toy.model'
CACHE_DIR = '{folder}/stores'
SEQUENCE_LENGTH = {length}
BATCH_SIZE = 8
EVAL_EVERY_STEPS = 4
SAVE_EVERY_STEPS = 4
training.finetune.tensorboard = False
training.finetune.log_every_steps = 1
training.finetune.compilation_cache_dir = '{folder}/compiled'
training.FinetuningExperiment.max_epochs = 100
SHARES = {{'es': 1.0}}
TASKS = @tuning.register()
ALSO_VALIDATED = %TASKS
tuning.register:
  data_dir = '{folder}'
  vocabulary = %VOCABULARY
  name = 'sums'
  held_out = 0.2
  conversations = {{'es': 'es.jsonl', 'ja': 'ja.jsonl'}}
  mixtures = {{'sums.tuned': %SHARES}}
PHASES = [@training.PhaseConfig()]
training.PhaseConfig:
  mixture = 'sums.tuned'
  steps = 4
  warmup_steps = 1
  peak_learning_rate = 1e-2
ABLATION_DIR = '{out}'
SEEDS = (3,)
VARIANTS = [('alone',), ('both', "SHARES = {{'es': 0.5, 'ja': 0.5}}")]
CLAIMS = [@ablation.Claim()]
ablation.Claim:
  name = 'Japanese is learned from Japanese'
  better = 'both'
  than = 'alone'
  measure = 'bits_per_byte/ja'
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_finetune.make(tmp_path_factory.mktemp("finetune_ablation"))


def recipe(folder, out, *further):
    """The recipe as a file beside its runs, with further lines; the argument that names it."""
    shape = {"pieces": toy_finetune.PIECES, "length": toy_finetune.LENGTH}
    text = RECIPE.format(folder=folder, out=out, **shape)
    path = out.with_suffix(".gin")
    path.write_text("\n".join([text, *further]) + "\n", encoding="utf-8")
    return f"--gin_file={path}"


def test_runs_are_tuned_and_reported(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sweep, "Pool", toy_ablation.InThisProcess)
    argument = recipe(folder, tmp_path / "out")
    assert run.main(["ablate", argument]) == 0
    fingerprint = json.loads((tmp_path / "out/both/seed_3/fingerprint.json").read_text())
    assert fingerprint["finetuning"] == {"loss_on": "responses", "pack": True}
    logs = {
        name: toy_finetune.lines(tmp_path / f"out/{name}/seed_3", "validation.jsonl")
        for name in ("alone", "both")
    }
    assert logs["alone"][0]["loss"] == logs["both"][0]["loss"]  # of one base
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert "Japanese is learned from Japanese" in (tmp_path / "out/report.html").read_text()
    assert {v["tokens"] for v in report["variants"].values()} == {4 * 8 * toy_finetune.LENGTH}
    ends = {name: lines[-1]["bits_per_byte"]["ja"] for name, lines in logs.items()}
    assert ends["both"] < ends["alone"]
    gin.clear_config()
    assert run.main(["ablate", argument]) == 0
    assert capfd.readouterr().out.count("done before") == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("MODE = 'tune'", "MODE = 'tune' is not one of train, finetune"),
        ("BASE = 'no/such/run'", "variant 'alone': .*no/such/run has no 'checkpoints' folder"),
        ("BASE = ''", "variant 'alone': finetune needs BASE"),
        ("LOSS_ON = 'answers'", "variant 'alone': loss_on = 'answers' is not one of"),
        ("BASE_VARIANT = 'bath'", "BASE_VARIANT = 'bath' is no variant. Did you mean 'both'"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    folder, tmp_path, monkeypatch, capfd, line, sentence
):
    monkeypatch.setattr(sweep, "Pool", None)
    assert run.main(["ablate", recipe(folder, tmp_path / "out", line)]) == 2
    (said,) = [x for x in capfd.readouterr().err.splitlines() if re.search(sentence, x)]
    assert said
