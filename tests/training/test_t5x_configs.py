"""gin_configs/t5x: every file opens under t5x, and the paper's runs are those of our recipes."""

import importlib
import pathlib

import gin
import pytest
import toy_t5x
import toy_t5x_gin
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.training.experiment import Experiment

REPO = run.REPO
SCRIPTS = {"finetune": "train", "eval": "eval", "infer": "infer"}
GIVEN = {  # what each must be told
    "finetune": ("MODEL_DIR", "INITIAL_CHECKPOINT_PATH", "FINETUNE_STEPS"),
    "eval": ("CHECKPOINT_PATH", "EVAL_OUTPUT_DIR"),
    "infer": ("CHECKPOINT_PATH", "INFER_OUTPUT_DIR"),
}
ALWAYS = ("VOCABULARY", "MIXTURE_OR_TASK_NAME", "TASK_FEATURE_LENGTHS")
NAMES = {"train": "train", "eval": "evaluate", "infer": "infer"}
SIZES = ("tiny", "polylm_125m", "polylm_1_7b", "polylm_13b")
RECIPES = {
    "polylm_125m": "polylm_125m_v5e_8",
    "polylm_1_7b": "polylm_1_7b",
    "polylm_13b": "polylm_13b",
    "demo": "demo",
}


def experiment_of_recipe(name):
    """What `run.py` would train: (experiment, its microbatches)."""
    given = ["TASKS = None", "MODEL_DIR = 'given'"]
    run.configure([str(REPO / f"gin_configs/recipes/{name}.gin")], given, [])
    return gin.get_configurable(Experiment)()


@pytest.mark.parametrize("size", RECIPES)
@toy_t5x.needs_t5x
def test_the_papers_runs_are_those_of_our_recipes(monkeypatch, size):
    ours = experiment_of_recipe(RECIPES[size])
    import t5x.train

    toy_t5x_gin.configured(
        monkeypatch, t5x.train, "train", [f"{size}_pretrain.gin"], MODEL_DIR="given", TASKS=None
    )
    theirs = gin.get_configurable(Experiment)()
    for field in ("model", "phases", "vocabulary", "cache_dir", "sequence_length", "batch_size",
                  "optimizer", "seed", "z_loss"):  # fmt: skip
        assert getattr(theirs, field) == getattr(ours, field), field
    microbatches = gin.query_parameter("%NUM_MICROBATCHES") or 1
    assert microbatches == ours.microbatches


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", SCRIPTS)
@toy_t5x.needs_t5x
def test_every_size_goes_with_every_script(monkeypatch, size, what):
    script = importlib.import_module(f"t5x.{SCRIPTS[what]}")
    files = [f"{size}.gin", f"{what}.gin"]
    given = {name: "given" for name in (*ALWAYS, *GIVEN[what])}
    toy_t5x_gin.configured(monkeypatch, script, NAMES[SCRIPTS[what]], files, **given)
    assert repr(gin.query_parameter("%MODEL")) == "@t5x.Model()"
    assert gin.get_configurable(PolyLMConfig)().check().num_params > 10**6


def test_nothing_else_imports_the_adapter():
    naming = [
        path.name
        for folder in ("polylm_jax", "tasks")
        for path in (REPO / folder).rglob("*.py")
        if "training.t5x" in path.read_text(encoding="utf-8")
        and path.parent.name != "t5x"
        and path.name != "old_names.py"
    ]
    assert not naming


def test_the_requirements_name_commits():
    lines = (REPO / "requirements-t5x.txt").read_text(encoding="utf-8").splitlines()
    needed = [line for line in lines if line and not line.startswith("#")]
    commits = [line.rpartition("@")[2] for line in needed if "git+" in line]
    assert len(commits) == 3 and all(len(commit) == 40 for commit in commits)
    assert all("git+" in line or "<" in line for line in needed)
    assert pathlib.Path(REPO / "docs/t5x.md").read_text().count("--no-deps") >= 1
