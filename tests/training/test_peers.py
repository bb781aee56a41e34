"""Several real processes over loopback, one of which dies or stops: the others end soon and say so."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import devices
import pytest
import toy_run

from polylm_jax.errors import InputError
from polylm_jax.training import heartbeat
from polylm_jax.training.settings import Settings

pytest_plugins = ["toy_fixture"]

MINUTE = 60.0
WATCHING = """
import time
from polylm_jax.model import partitioning; from polylm_jax.training import heartbeat as peers
partitioning.initialize_distributed()
with peers.Peers(lambda: None, silent_seconds=5):
    print("watching", flush=True)
    time.sleep(600)
"""
TWO_REASONS = """
import threading, time
from polylm_jax.training import preemption
preemption.at_leave.append(lambda: time.sleep(1))
for reason in ("the first", "the second"):
    error = RuntimeError(f"{reason}: start again from the checkpoint.")
    threading.Thread(target=preemption.leave_alone, args=(error, lambda: None)).start()
"""
LEFT_AT_THE_START = """
import os, signal, time
import jax
from jax.experimental import multihost_utils
from polylm_jax.model import partitioning; from polylm_jax.training import preemption
partitioning.initialize_distributed()
multihost_utils.sync_global_devices("both are there")
if jax.process_index() == 1:
    with preemption.Preemption(grace_seconds=60):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
try:
    multihost_utils.sync_global_devices("one never comes")
except Exception as error:
    preemption.leave_alone(error, lambda: None)
"""
HOW = pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
when_asked = pytest.mark.skipif(
    not os.environ.get("POLYLM_SLOW_TESTS"),
    reason="starts ten processes that train: POLYLM_SLOW_TESTS=1 runs it",
)


def start(command, number, all_devices):
    """`number` processes of one run, of so many devices together."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    shared = (
        os.environ
        | devices.flags(all_devices // number)
        | {
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": str(number),
            "PYTHONPATH": str(toy_run.REPO),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
    )
    return [
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=shared | {"JAX_PROCESS_ID": str(place)},
        )
        for place in range(number)
    ]


def start_training(folder, model_dir, number, **settings):
    """A run of many steps that has reported some."""
    changes = {"experiment": {"steps": 100_000}, "train": settings, "pause": 0.05}
    command = [toy_run.__file__, str(folder), str(model_dir), json.dumps(changes)]
    started, metrics = start(command, number, all_devices=8), model_dir / "metrics.jsonl"
    while not (metrics.exists() and toy_run.losses(model_dir)):
        assert all(process.poll() is None for process in started), started[0].stderr.read()
        time.sleep(0.1)
    return started


def ends(processes, victim):
    """(exit code, stderr) of the others, once they have ended; the victim is put out of the way."""
    others = [process for number, process in enumerate(processes) if number != victim]
    deadline = time.monotonic() + MINUTE
    try:
        said = [other.communicate(timeout=deadline - time.monotonic())[1] for other in others]
    finally:
        for process in processes:
            process.kill()
    processes[victim].communicate()
    return [(other.returncode, text) for other, text in zip(others, said, strict=True)]


def sentences(text):
    """Lines of stderr that are ours."""
    return [line for line in text.splitlines() if line.endswith("checkpoint.") or "leaves:" in line]


@HOW
@pytest.mark.timeout(300)
def test_the_others_end_within_a_minute(how):
    """Three that only watch: nothing but `Peers` can tell that one is gone. Two such runs side by side."""
    runs = [start(["-c", WATCHING], 3, all_devices=3) for _ in range(2)]
    for victim, processes in enumerate(runs):
        assert [process.stdout.readline() for process in processes] == ["watching\n"] * 3
        processes[victim].send_signal(how)
    for victim, processes in enumerate(runs):
        for code, text in ends(processes, victim):
            assert code != 0
            (sentence,) = sentences(text)
            if victim or how == signal.SIGSTOP:
                assert f"leaves: process {victim} has been silent for 5 s" in sentence
                assert code == 1
            else:
                assert sentence.startswith("process")
                assert "process 0 or its machine is gone" in sentence


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("how", "victim"),
    [(signal.SIGSTOP, 0), pytest.param(signal.SIGKILL, 1, marks=when_asked)],
    ids=["stopped", "killed"],
)
def test_a_run_ends_within_a_minute(how, victim, toy_folder, tmp_path):
    """Of a killed one the others hear from the collective that it breaks."""
    assert 2 * Settings().silent_seconds <= MINUTE  # here it waits no longer than it must
    processes = start_training(toy_folder, tmp_path / "two", 2, silent_seconds=6)
    processes[victim].send_signal(how)
    ((code, text),) = ends(processes, victim)
    assert code == 1
    (sentence,) = sentences(text)
    assert sentence.startswith(f"process {1 - victim} leaves: ")
    assert "Traceback" not in text


@pytest.mark.slow
@when_asked
@HOW
@pytest.mark.timeout(400)
def test_four_processes_end(how, toy_folder, tmp_path):
    processes = start_training(toy_folder, tmp_path / "four", 4)
    processes[2].send_signal(how)
    for code, text in ends(processes, 2):
        assert code != 0
        assert len(sentences(text)) == 1


@pytest.mark.slow
@when_asked
@pytest.mark.timeout(400)
def test_sigterm_to_one_of_four_saves_on_all(toy_folder, tmp_path):
    processes = start_training(toy_folder, tmp_path / "four", 4)
    processes[3].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=2 * MINUTE)[1] for process in processes]
    assert [process.returncode for process in processes] == [143] * 4, said
    (left,) = toy_run.events(tmp_path / "four", "leave")
    assert left["step"] in [event["step"] for event in toy_run.events(tmp_path / "four", "commit")]


@pytest.mark.timeout(200)
def test_all_processes_end_with_the_code_of_the_one_told():
    """Before, it was a race: the broken collective's error, with code 1, or the notice, with 143."""
    processes = start(["-c", LEFT_AT_THE_START], 2, all_devices=2)
    ((code, text),) = ends(processes, victim=1)
    assert code == 143, text
    (sentence,) = sentences(text)
    assert "process 0 leaves: another process was told to leave" in sentence


def test_one_reason_is_said():
    (process,) = start(["-c", TWO_REASONS], 1, all_devices=1)
    text = process.communicate(timeout=MINUTE)[1]
    assert process.returncode == 1
    (sentence,) = sentences(text)
    assert sentence == "process 0 leaves: the first: start again from the checkpoint."


def test_too_short_a_silence_is_refused():
    with heartbeat.Peers(lambda: None, silent_seconds=30) as alone:
        assert alone.silent() is None
    with pytest.raises(InputError, match="silent_seconds = 1: give a whole number, 5 or more"):
        Settings(silent_seconds=1).check()
