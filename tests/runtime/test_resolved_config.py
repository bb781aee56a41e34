"""The resolved config that lies beside a run's checkpoints is the run: the same fingerprint again."""

import json

import gin
import pytest
from reading import vocabulary
from toy_tasks import begin_again

import run
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.identity import fingerprint
from tasks.sample_data import generate

RECIPE = "gin_configs/recipes/demo.gin"


@pytest.fixture
def overrides(tmp_path):
    """The demo's settings over a few sentences of its corpus."""
    generate.write(tmp_path / "text", per_frame=4)
    lines = (tmp_path / "text/en.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    macros = {
        "VOCABULARY": vocabulary(tmp_path / "small.model", texts),
        "DATA_DIR": str(tmp_path / "text"),
        "CACHE_DIR": str(tmp_path / "cache"),
        "SEQUENCE_LENGTH": 16,
        "stage2/training.PhaseConfig.ramp_steps": 30,
    }
    return [f"{name} = {value!r}" for name, value in macros.items()]


def resolved(path, overrides=()):
    """The fingerprint of what a gin file says, and its resolved config, as a new process has them."""
    begin_again()
    run.configure([str(path)], overrides, [])
    found = fingerprint(gin.get_configurable(Experiment)().resolve())
    return found, gin.config_str()


def test_the_resolved_config_has_the_runs_fingerprint(overrides, tmp_path):
    fingerprint, config = resolved(RECIPE, overrides)
    assert [phase["ramp_rows"] for phase in fingerprint["schedule"]["phases"]] == [0, 30 * 16]
    (tmp_path / "config.gin").write_text(config, encoding="utf-8")
    assert resolved(tmp_path / "config.gin") == (fingerprint, config)
    assert resolved(RECIPE, [*overrides, "SEED = 1"])[0] != fingerprint
    gin.clear_config()
