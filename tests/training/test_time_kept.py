"""What looks at the clock: steps that hang, saves by minutes, the grace period against the steps."""

import re
import signal
import threading

import pytest
import toy_run

from polylm_jax.errors import InputError
from polylm_jax.training import grace, metrics, preemption, watchdog
from polylm_jax.training.grace import Grace, Pace
from polylm_jax.training.save_clock import SaveClock
from polylm_jax.training.settings import Settings
from polylm_jax.training.watchdog import FIRST_SECONDS, Watchdog

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.halves(12)}


class Clock:
    """Stands for the module `time`: it goes on only when it is told to, or slept by."""

    def __init__(self):
        self.now, self.slept, self.at_sleep = 0.0, [], lambda: None

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.at_sleep()


def test_a_step_hangs_by_what_steps_have_taken(monkeypatch):
    monkeypatch.setattr(watchdog, "time", clock := Clock())
    watched = Watchdog(lambda why: None, hung_seconds=1)
    assert watched.limit("step") == FIRST_SECONDS
    watched.begin("step")
    clock.now += 0.2
    watched.end()
    assert watched.limit("step") == pytest.approx(2.0)  # ten times as long
    assert Watchdog(lambda why: None, 300).limit("step") == FIRST_SECONDS
    watched.begin("checkpoint")
    watched.end()
    assert watched.limit("checkpoint") == FIRST_SECONDS  # it may wait for a bucket


def test_what_hangs_is_said_once():
    said = threading.Event()
    with Watchdog(lambda why: (sentences.append(why), said.set()), hung_seconds=1) as watched:
        sentences = []
        watched.begin("step")
        watched.end()
        assert said.wait(120)
    assert len(sentences) == 1 and "a step has not ended for" in sentences[0]


def test_a_save_by_the_clock_and_one_by_steps(toy_folder, tmp_path):
    real = metrics.fetch
    metrics.fetch = toy_run.slowed(real, 0.05)
    try:
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100, save_every_minutes=0.0025)
    finally:
        metrics.fetch = real
    steps = [event["step"] for event in toy_run.events(tmp_path, "commit")]
    assert len(steps) > 2 and steps[-1] == 12  # 0.15 s are three steps of 0.05 s


def test_keep_every_saves_checkpoints_that_stay(toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=4, keep_every=5, keep_last=1)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"5", "10", "12"}


def test_the_clock_looks_seldom():
    clock = SaveClock(1000.0, 50)
    asked = [step for step in range(51, 2000) if step >= clock._next and not clock.due(step)]
    assert len(asked) < 20
    assert not any(SaveClock(None, 0).due(step) for step in range(10))


@pytest.mark.parametrize(
    ("field", "value"),
    [("hung_seconds", 0), ("save_every_minutes", 0), ("save_every_minutes", -1.0),
     ("profile_steps", -1), ("keep_every", -3), ("keep_last", 0), ("keep_at", (5, 0))],
)  # fmt: skip
def test_settings_out_of_their_range_are_refused(field, value):
    with pytest.raises(InputError, match=rf"{field}.* = {re.escape(repr(value))}.*: give "):
        Settings(**{field: value}).check()


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


def test_only_long_steps_are_held_back(monkeypatch):
    """To four fifths of the shortest: of 2 s, half a second of which have passed."""
    monkeypatch.setattr(grace, "time", clock := Clock())
    pace = Pace()
    for seconds in (0.9, 0.9, *[2.0] * 8):
        pace.ended()
        pace.wait()
        assert clock.slept == []
        clock.now += seconds
    pace.ended()
    clock.now += 0.5
    pace.wait()
    assert clock.slept == [pytest.approx(1.1)]


def test_told_to_leave_no_second_long_step_is_begun(toy_folder, tmp_path, monkeypatch):
    """Steps of 1.1 s, SIGTERM early in the third: it ends and is saved, and the fourth isn't begun."""
    monkeypatch.setattr(grace, "time", clock := Clock())
    real, fetched, loops, enter = metrics.fetch, [], [], preemption.Preemption.enter_loop

    def slow(device_metrics):
        clock.now += 1.1
        fetched.append(1)
        return real(device_metrics)

    def told():
        """The first time that a step is held back; a thread notices it."""
        if len(clock.slept) == 1:
            signal.raise_signal(signal.SIGTERM)
            assert loops[0]._noticed.wait(60)

    clock.at_sleep = told
    monkeypatch.setattr(
        preemption.Preemption, "enter_loop", lambda loop: loops.append(loop) or enter(loop)
    )
    monkeypatch.setattr(metrics, "fetch", slow)
    with pytest.raises(SystemExit) as left:
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100)
    assert left.value.code == 143
    assert [event["step"] for event in toy_run.events(tmp_path, "commit")] == [3]
    assert len(fetched) == 3
