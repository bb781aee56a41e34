"""A profile of a run: its steps, its files, and nothing where none is asked for."""

import signal
import time

import pytest
import toy_run

from polylm_jax.training import metrics, profiling
from polylm_jax.training.profiling import WARM, Profile

pytest_plugins = ["toy_fixture"]


def traced(folder):
    return list((folder / "profile").rglob("*.xplane.pb"))


def test_a_run_traces_its_steps_for_tensorboard(toy_folder, tmp_path):
    """The trace lies where TensorBoard looks, and the log says where its steps ended."""
    toy_run.run(toy_folder, tmp_path, {"phases": toy_run.halves(12)}, profile_steps=2)
    (path,) = traced(tmp_path)
    assert path.parent.parent.parts[-2:] == ("plugins", "profile")
    assert path.stat().st_size > 0
    (event,) = toy_run.events(tmp_path, "profile")
    assert event["step"] == WARM + 2
    assert event["folder"] == f"{tmp_path}/profile"


def test_a_run_that_ends_within_a_profile_writes_it(toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path, {"phases": toy_run.halves(6)}, profile_steps=100)
    assert len(traced(tmp_path)) == 1
    (event,) = toy_run.events(tmp_path, "profile")
    assert event["step"] == 6


def test_no_steps_leave_no_trace(tmp_path):
    profile = Profile(str(tmp_path / "profile"), 0, 0, lambda *_, **__: pytest.fail("traced"))
    for step in range(10):
        profile.before(step, ())
    profile.close(10, ())
    assert not (tmp_path / "profile").exists()


def test_a_run_under_way_is_profiled_when_it_is_asked(toy_folder, tmp_path, monkeypatch):
    """By a signal, then by a file with a number of steps, which is taken away."""
    real, fetched = metrics.fetch, []
    monkeypatch.setattr(profiling, "_POLL_SECONDS", 0.05)

    def ask(device_metrics):
        fetched.append(1)
        if len(fetched) == 4:
            signal.raise_signal(signal.SIGUSR2)
        if len(fetched) == 12:
            (tmp_path / profiling.FILE).write_text("2\n")
            while (tmp_path / profiling.FILE).exists():
                time.sleep(0.02)
        return real(device_metrics)

    monkeypatch.setattr(metrics, "fetch", ask)
    before = signal.getsignal(signal.SIGUSR2)
    toy_run.run(toy_folder, tmp_path, {"phases": toy_run.halves(18)})
    assert signal.getsignal(signal.SIGUSR2) == before
    ended = [event["step"] for event in toy_run.events(tmp_path, "profile")]
    assert ended in ([10, 15], [10, 16])
