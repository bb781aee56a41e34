"""A run that left the numbers saves nothing, says so by its exit code, and goes on from before."""

import json
import math

import numpy as np
import pytest
import toy_run

import run
from polylm_jax.errors import CorruptReplica, Diverged, InputError, exit_code
from polylm_jax.training import metrics
from polylm_jax.training.validation import Score, Validation

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.halves(12)}


@pytest.mark.parametrize("name", ["loss", "grad_norm", "param_norm"])
def test_nothing_is_saved_after_what_is_no_number(name, toy_folder, tmp_path, monkeypatch):
    """The norm of the parameters, too: a destroyed state was saved, and the good one deleted."""
    real, seen = metrics.fetch, []

    def broken(device_metrics):
        seen.append(1)
        found = real(device_metrics)
        return found | {name: np.float32("nan")} if len(seen) == 8 else found

    monkeypatch.setattr(metrics, "fetch", broken)
    with pytest.raises(Diverged, match=f"step 8: .*{name} is nan.*--resume_step"):
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=4, keep_last=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["4"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("x"), 2), (Diverged("x"), 3), (CorruptReplica("x"), 4), (OSError("x"), 1)],
)
def test_the_exit_code_says_whether_a_new_start_may_help(error, code, monkeypatch):
    assert exit_code(error) == code

    def fail(*_):
        raise error

    monkeypatch.setattr(run, "call", fail)
    if code == 1:
        with pytest.raises(OSError):
            run.main(["train"])
    else:
        assert run.main(["train"]) == code


def steps(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_run_goes_on_from_an_older_checkpoint_once(toy_folder, tmp_path):
    run_to_the_end = {"save_every_steps": 4, "keep_last": 5, "recipe": "A = 1"}
    toy_run.run(toy_folder, tmp_path, SHORT, **run_to_the_end)
    before = toy_run.losses(tmp_path)
    back = run_to_the_end | {"resume_step": 4, "recipe": "A = 2"}
    toy_run.run(toy_folder, tmp_path, SHORT, **back)
    assert steps(tmp_path / "set_aside") == ["12", "8"]
    assert [event["step"] for event in toy_run.events(tmp_path, "start")] == [0, 4]
    assert toy_run.losses(tmp_path) == before and math.isfinite(before[12])
    # Started again, as a restart loop does: it goes on from its newest one.
    toy_run.run(toy_folder, tmp_path, SHORT, **back)
    assert toy_run.events(tmp_path, "start")[-1]["step"] == 12
    # Another recipe goes back again.
    toy_run.run(toy_folder, tmp_path, SHORT, **back | {"recipe": "A = 3"})
    assert toy_run.events(tmp_path, "start")[-1]["step"] == 4
    assert steps(tmp_path / "set_aside") == ["12", "12.1", "8", "8.1"]
    with pytest.raises(InputError, match="resume_step = 5: .* it has 4, 8, 12"):
        toy_run.run(toy_folder, tmp_path, SHORT, **back | {"resume_step": 5})


def test_a_validation_of_nan_ends_the_run_before_its_save(toy_folder, tmp_path, monkeypatch):
    """null in JSON, an event, one sentence; the checkpoint before it is still there."""
    real, seen = Validation.run, []

    def broken(self, params, stop):
        seen.append(1)
        scores = real(self, params, stop)
        return {name: Score(math.nan, 1, 1, 1) for name in scores} if len(seen) == 3 else scores

    monkeypatch.setattr(Validation, "run", broken)
    settings = {"save_every_steps": 4, "eval_every_steps": 4, "keep_last": 1}
    with pytest.raises(Diverged, match="step 8: the validation of en, .* is no number"):
        toy_run.run(toy_folder, tmp_path, SHORT, **settings)
    assert steps(tmp_path / "checkpoints") == ["4"]
    line = (tmp_path / "validation.jsonl").read_text().splitlines()[-1]
    assert json.loads(line, parse_constant=pytest.fail)["loss"]["en"] is None
    (event,) = toy_run.events(tmp_path, "diverged")
    assert event["step"] == 8
