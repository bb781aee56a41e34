"""Names of the version before the rooms: each is answered with the very module or function of today."""

import importlib
import importlib.util
import subprocess
import sys
import types

import pytest
from gin.selector_map import SelectorMap

from polylm_jax.runtime import command_line, moved_parameters, names, old_names
from polylm_jax.training.phases import PhaseConfig

RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import experiment
from polylm_jax import train
from polylm_jax.ablation import claims
from polylm_jax.evaluation import during_training
from polylm_jax.evaluation import evaluate
from polylm_jax.finetuning import lora

include 'models/tiny.gin'
include 'runs/modes.gin'

experiment.Experiment.max_epochs = 7
train.train.log_every_steps = 3
evaluate.evaluate.limit = 5
lora.Lora.alpha = 2.0
EVALUATION = @during_training.TrainingTasks()
during_training.TrainingTasks.tasks = 'a.task'
train.train.evaluation = %EVALUATION
"""


def test_every_new_module_is_there():
    for old, new in old_names.MODULES.items():
        assert old != new
        assert importlib.util.find_spec(new), f"{old} -> {new}"
    for old, new in old_names.BOUND.items():
        room = new.partition(".")[0]
        if room not in ("t5x", "cleaning"):
            found = (
                "polylm_jax.corpus.instructions" if room == "instructions" else f"polylm_jax.{room}"
            )
            assert new.partition(".")[2] in names.rooms()[found], f"{old} -> {new}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("polylm_jax.run_lock", "polylm_jax.runtime.lock"),
        ("polylm_jax.finetuning.packing", "polylm_jax.data.packing"),
        ("polylm_jax.hf.token_ids", "polylm_jax.checkpoints.hf.token_ids"),
        ("polylm_jax.self_instruct.parsing", "polylm_jax.corpus.instructions.parsing"),
        ("tasks.json_objects", "polylm_jax.runtime.text_lines"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*version before")
def test_an_old_name_is_the_new_module_itself(old, new):
    before = importlib.import_module(new).__spec__
    assert importlib.import_module(old) is importlib.import_module(new)
    assert importlib.import_module(new).__spec__ is before


def test_a_room_hides_an_old_module_of_its_name():
    import polylm_jax.model

    assert polylm_jax.model.__file__.endswith("model/__init__.py")
    with pytest.raises(AttributeError, match="has no 'PolyLMConfg'.*'PolyLMConfig'"):
        polylm_jax.model.PolyLMConfg  # noqa: B018


def test_an_old_import_does_not_hide_what_the_room_hands_on():
    with pytest.warns(FutureWarning) if not old_names._OldNames.warned else _nothing():
        module = importlib.import_module("polylm_jax.evaluation.evaluate")
    from polylm_jax import evaluation

    assert evaluation.evaluate is module.evaluate


def _nothing():
    import contextlib

    return contextlib.nullcontext()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train.train.keep_last", "training.train.keep_last"),
        ("stage1/experiment.PhaseConfig.tokens", "stage1/training.PhaseConfig.tokens"),
        ("lora.Lora.rank", "model.Lora.rank"),
        ("SEED", "SEED"),
        ("training.train.keep_last", "training.train.keep_last"),
        ("corpus.shares.non_english", "corpus.shares.non_english"),
    ],
)
def test_the_command_line_takes_old_names(old, new):
    assert old_names.new_binding(old) == new
    modes = {"train": "polylm_jax.training.train"}
    _, overrides, _ = command_line.parse(modes, ["train", f"--gin.{old}=1"])
    assert overrides == [f"{new} = 1"]


def test_new_names_reach_what_old_names_imported():
    """An override may say `training.PhaseConfig.X` where gin has met `experiment.PhaseConfig` alone."""
    registry = SelectorMap()
    registry["polylm_jax.experiment.PhaseConfig"] = types.SimpleNamespace(wrapped=PhaseConfig)
    gin = types.SimpleNamespace(config=types.SimpleNamespace(_REGISTRY=registry))
    for said, bound in {
        "training.PhaseConfig.steps": "polylm_jax.experiment.PhaseConfig.steps",
        "stage1/training.PhaseConfig.steps": "stage1/polylm_jax.experiment.PhaseConfig.steps",
        "experiment.PhaseConfig.steps": "experiment.PhaseConfig.steps",
        "training.train.keep_last": "training.train.keep_last",  # nobody has it: gin says so
        "nowhere.train.keep_last": "nowhere.train.keep_last",
        "SEED": "SEED",
    }.items():
        assert moved_parameters.as_bound(gin, said) == bound


def test_old_names_bind_what_new_names_bind(tmp_path):
    """In a process of its own: the first import of an old name warns, and once."""
    (tmp_path / "old.gin").write_text(RECIPE)
    program = (
        "import gin, run, sys\n"
        "from polylm_jax import evaluation, model, training\n"
        f"run.configure(['{tmp_path}/old.gin'], ['training.train.keep_last = 4'], [])\n"
        "bound = lambda f: gin.get_bindings(f)\n"
        "assert bound(training.Experiment)['max_epochs'] == 7\n"
        "assert bound(training.train)['log_every_steps'] == 3\n"
        "assert bound(training.train)['keep_last'] == 4\n"
        "assert bound(evaluation.evaluate)['limit'] == 5\n"
        "assert bound(model.Lora)['alpha'] == 2.0\n"
        "text = gin.config_str()\n"
        "gin.clear_config()\n"
        "gin.parse_config(text)\n"
        "assert gin.config_str() == text\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is a name of the version before") == 1
