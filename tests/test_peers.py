"""Several real processes over loopback, one of which dies or stops: the others end soon and say so."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import toy_run

pytest_plugins = ["toy_fixture"]

MINUTE = 60.0


def start(folder, model_dir, processes):
    """A run of many steps, on `processes` processes, that has reported some."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    changes = {"experiment": {"steps": 100_000}, "train": {}, "pause": 0.05}
    shared = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 // processes}",
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": str(processes),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, toy_run.__file__, str(folder), str(model_dir), json.dumps(changes)]
    started = [
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=shared | {"JAX_PROCESS_ID": str(number)},
        )
        for number in range(processes)
    ]  # fmt: skip
    metrics = model_dir / "metrics.jsonl"
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


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_the_other_process_ends_within_a_minute(how, victim, toy_folder, tmp_path):
    processes = start(toy_folder, tmp_path / "two", processes=2)
    processes[victim].send_signal(how)
    ((code, text),) = ends(processes, victim)
    assert code != 0
    (sentence,) = sentences(text)
    assert "Traceback" not in text
    if how == signal.SIGSTOP:
        assert sentence.startswith(f"process {1 - victim} leaves: process {victim} has been silent")
        assert code == 1


@pytest.mark.timeout(180)
def test_four_processes_end_when_one_stops(toy_folder, tmp_path):
    processes = start(toy_folder, tmp_path / "four", processes=4)
    processes[2].send_signal(signal.SIGSTOP)
    for code, text in ends(processes, 2):
        assert code != 0
        assert sentences(text)


@pytest.mark.timeout(180)
def test_sigterm_to_one_of_four_saves_on_all(toy_folder, tmp_path):
    processes = start(toy_folder, tmp_path / "four", processes=4)
    processes[3].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=MINUTE)[1] for process in processes]
    assert [process.returncode for process in processes] == [143] * 4, said
    (left,) = toy_run.events(tmp_path / "four", "leave")
    assert left["step"] in [event["step"] for event in toy_run.events(tmp_path / "four", "commit")]
