"""SIGTERM: exit code 143 from wherever the run is, and nobody else's handler lost."""

import pathlib
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from polylm_jax.errors import LEFT, LEFT_UNSAVED
from polylm_jax.training.preemption import Preemption

REPO = pathlib.Path(__file__).resolve().parents[2]


def run(body, *, terminate_at="ready", number=signal.SIGTERM):
    """A process that runs `body`, gets a signal when it prints `terminate_at`, and its end."""
    head = (
        "import os, signal, sys, time\n"
        # A test run in the background has Ctrl-C ignored, and its children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from polylm_jax.training.preemption import Preemption\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", head + textwrap.dedent(body)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPO,
    )  # fmt: skip
    for line in process.stdout:
        if line.strip() == terminate_at:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


# Python's sleep comes back at once for a handler; C code that doesn't, as a compiler, is simulated
# by a lock, which waits with signals pending.
STUCK = "import threading; lock = threading.Lock(); lock.acquire(); print('ready'); lock.acquire()"


def test_leaves_at_once_when_nothing_is_to_be_saved():
    code, _, err = run(f"""
        with Preemption(1000) as leaving:
            leaving.flush = lambda: print('flushed', file=sys.stderr)
            {STUCK}
    """)
    assert code == LEFT
    assert "nothing to save yet" in err and "flushed" in err


def test_the_loop_is_told_and_leaves_by_itself():
    code, out, _ = run("""
        with Preemption(1000) as leaving:
            leaving.enter_loop()
            assert not leaving.reached()
            print('ready')
            while not leaving.reached():
                time.sleep(0.01)
        print('saved')
        sys.exit(143)
    """)
    assert (code, out.strip()) == (143, "saved")


def test_a_hanging_loop_is_left_after_the_grace():
    code, _, err = run(f"""
        with Preemption(0.2) as leaving:
            leaving.enter_loop()
            {STUCK}
    """)
    assert code == LEFT_UNSAVED
    assert "0.2 s of grace are over" in err


def test_a_flush_that_hangs_does_not_hold_it_up():
    code, _, _ = run(f"""
        with Preemption(1000) as leaving:
            leaving.flush = lambda: time.sleep(1000)
            {STUCK}
    """)
    assert code == LEFT


def test_gives_the_handlers_back():
    before = signal.getsignal(signal.SIGTERM)
    with Preemption(1000):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_asks_for_nothing_in_another_thread():
    seen = []

    def use():
        with Preemption(1000) as leaving:
            leaving.enter_loop()
            seen.append(leaving.reached())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_second_signal_changes_nothing():
    with Preemption(1000) as leaving:
        leaving.enter_loop()
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        while not leaving.reached():
            pass
        assert leaving.reached()


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGWINCH"])
def test_other_signals_go_where_they_went(name):
    caught = []
    old = signal.signal(getattr(signal, name), lambda *_: caught.append(name))
    try:
        with Preemption(1000) as leaving:
            leaving.enter_loop()
            signal.raise_signal(getattr(signal, name))
            assert not leaving.reached()
    finally:
        signal.signal(getattr(signal, name), old)
    assert caught == [name]


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGHUP", LEFT), ("SIGUSR1", LEFT), ("SIGTERM", LEFT)]
)
def test_every_signal_that_ends_a_run_lets_it_save(name, code):
    """A terminal that closes, Slurm's notice and Ctrl-C, as SIGTERM."""
    ended, out, err = run(
        """
        with Preemption(1000) as leaving:
            leaving.enter_loop()
            print('ready')
            while not leaving.reached():
                time.sleep(0.01)
        print('saved')
        sys.exit(leaving.exit_code)
        """,
        number=signal.Signals[name],
    )
    assert (ended, out.strip()) == (code, "saved")
    assert f"{name}: saves after this step" in err


def test_a_second_interrupt_ends_at_once():
    """As `nohup` starts a run."""
    ended, _, err = run(
        f"""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with Preemption(1000) as leaving:
            leaving.enter_loop()
            signal.raise_signal(signal.SIGHUP)
            time.sleep(0.2)
            assert not leaving.reached()
            signal.raise_signal(signal.SIGINT)
            while not leaving.reached():
                time.sleep(0.01)
            {STUCK}
        """,
        number=signal.SIGINT,
    )
    assert ended == 130 and "told twice" in err
