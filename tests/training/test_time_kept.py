"""What looks at the clock: steps that hang, saves by minutes, the grace period against the steps."""

import os
import signal
import threading
import time

import pytest
import toy_run

from polylm_jax.errors import InputError
from polylm_jax.training import metrics
from polylm_jax.training.grace import Grace, Pace
from polylm_jax.training.save_clock import SaveClock
from polylm_jax.training.watchdog import FIRST_SECONDS, Watchdog

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.halves(12)}


def test_a_step_hangs_by_what_steps_have_taken():
    watchdog = Watchdog(lambda why: None, hung_seconds=1)
    assert watchdog.limit("step") == FIRST_SECONDS
    watchdog.begin("step")
    time.sleep(0.2)
    watchdog.end()
    assert 2.0 <= watchdog.limit("step") < 10  # ten times as long
    assert Watchdog(lambda why: None, 300).limit("step") == FIRST_SECONDS
    watchdog.begin("checkpoint")
    watchdog.end()
    assert watchdog.limit("checkpoint") == FIRST_SECONDS  # it may wait for a bucket
    with pytest.raises(InputError, match="hung_seconds = 0"):
        Watchdog(lambda why: None, 0)


def test_what_hangs_is_said_once():
    said = threading.Event()
    with Watchdog(lambda why: (sentences.append(why), said.set()), hung_seconds=1) as watchdog:
        sentences = []
        watchdog.begin("step")
        watchdog.end()
        assert said.wait(10)
    assert len(sentences) == 1 and "a step has not ended for" in sentences[0]


def test_a_save_by_the_clock_and_one_by_steps(toy_folder, tmp_path):
    real = metrics.fetch
    metrics.fetch = toy_run.slowed(real, 0.2)
    try:
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100, save_every_minutes=0.01)
    finally:
        metrics.fetch = real
    steps = [event["step"] for event in toy_run.events(tmp_path, "commit")]
    assert len(steps) > 2 and steps[-1] == 12  # 0.6 s are three steps of 0.2 s


def test_keep_every_saves_checkpoints_that_stay(toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=4, keep_every=5, keep_last=1)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"5", "10", "12"}


def test_the_clock_looks_seldom():
    clock = SaveClock(1000.0, 50)
    asked = [step for step in range(51, 2000) if step >= clock._next and not clock.due(step)]
    assert len(asked) < 20
    assert not any(SaveClock(None, 0).due(step) for step in range(10))
    for minutes in (0, -1.0):
        with pytest.raises(InputError, match="save_every_minutes"):
            SaveClock(minutes, 0)


def test_a_grace_period_that_is_too_short_is_told():
    told = []
    grace = Grace(25.0, told.append)
    grace.check(None)
    grace.check(15.0)  # and a fifth: 18 s
    assert not told
    grace.check(22.0)
    grace.check(22.5)
    assert len(told) == 1 and "a step takes 22 s" in told[0] and "grace_seconds = 25" in told[0]
    grace.check(60.0)
    assert len(told) == 2


def test_short_steps_are_never_held_back():
    pace = Pace()
    for _ in range(5):
        pace.ended()
        start = time.perf_counter()
        pace.wait()
        assert time.perf_counter() - start < 0.05


def test_told_to_leave_no_second_long_step_is_begun(toy_folder, tmp_path, monkeypatch):
    """Steps of 1.1 s, SIGTERM early in the third: it ends and is saved, and the fourth isn't begun."""
    real, fetched = metrics.fetch, []

    def slow(device_metrics):
        time.sleep(1.1)
        fetched.append(time.monotonic())
        if len(fetched) == 2:
            timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
            timer.start()
        return real(device_metrics)

    monkeypatch.setattr(metrics, "fetch", slow)
    with pytest.raises(SystemExit) as left:
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100)
    assert left.value.code == 143
    assert [event["step"] for event in toy_run.events(tmp_path, "commit")] == [3]
    assert len(fetched) == 3
