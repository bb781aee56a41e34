"""Real processes over loopback, two of four devices each: the same run as one process with eight."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import devices
import numpy as np
import pytest
import toy_run

from polylm_jax.training.run_directory import RunDirectory

pytest_plugins = ["toy_fixture"]

STEPS = 12
when_asked = pytest.mark.skipif(
    not os.environ.get("POLYLM_SLOW_TESTS"),
    reason="starts four processes that train: POLYLM_SLOW_TESTS=1 runs it",
)


def free_port():
    """Below the ports that the system gives to whoever connects: until it is used, it stays free."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port


def start(folder, model_dir, steps=STEPS, pause=0.0, number=2, stuck=None, other=None, **settings):
    """The processes of a run. other: what the last process is given of an experiment besides."""
    changes = {"experiment": {"steps": steps}, "train": settings, "pause": pause, "stuck": stuck}
    theirs = changes | {"experiment": changes["experiment"] | (other or {})}
    shared = (
        os.environ
        | devices.flags(8 // number)
        | {
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
            "JAX_NUM_PROCESSES": str(number),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
    )
    return [
        subprocess.Popen(
            [sys.executable, toy_run.__file__, str(folder), str(model_dir),
             json.dumps(theirs if place == number - 1 else changes)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=shared | {"JAX_PROCESS_ID": str(place)},
        )
        for place in range(number)
    ]  # fmt: skip


def end(processes):
    """Exit codes and what stood on stderr; none of them stays behind."""
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], "\n".join(errors)


def wait_for(seen, processes):
    while not seen():
        assert all(process.poll() is None for process in processes), end(processes)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(toy_folder, tmp_path_factory):
    """The run in this process."""
    model_dir = tmp_path_factory.mktemp("alone")
    toy_run.run(toy_folder, model_dir, {"phases": toy_run.halves(STEPS)}, eval_every_steps=STEPS)
    return model_dir


def bits_per_byte(model_dir):
    """Of the run's last validation."""
    line = (model_dir / "validation.jsonl").read_text().splitlines()[-1]
    return json.loads(line)["bits_per_byte"]


@pytest.mark.parametrize("number", [2, pytest.param(4, marks=[pytest.mark.slow, when_asked])])
def test_several_processes_have_the_losses_of_one(number, toy_folder, alone, tmp_path):
    model_dir = tmp_path / "several"
    codes, errors = end(start(toy_folder, model_dir, number=number, eval_every_steps=STEPS))
    assert codes == [0] * number, errors
    there, here = toy_run.losses(model_dir), toy_run.losses(alone)
    assert there.keys() == here.keys() == set(range(1, STEPS + 1))
    np.testing.assert_allclose(list(there.values()), list(here.values()), rtol=1e-5)
    there, here = bits_per_byte(model_dir), bits_per_byte(alone)
    assert there == pytest.approx(here, rel=1e-5)


def test_sigterm_to_one_saves_on_all(
    toy_folder,
    alone,
    tmp_path,
):
    model_dir = tmp_path / "two"
    processes = start(toy_folder, model_dir, pause=1.0, save_every_steps=100_000)
    wait_for(
        lambda: (model_dir / "metrics.jsonl").exists() and toy_run.losses(model_dir), processes
    )
    processes[1].send_signal(signal.SIGTERM)
    codes, errors = end(processes)
    assert codes == [143, 143], errors
    (left,) = toy_run.events(model_dir, "leave")
    assert [save["step"] for save in toy_run.events(model_dir, "commit")] == [left["step"]]
    assert left["rows"] == 8 * left["step"] < 8 * STEPS
    toy_run.run(toy_folder, model_dir, {"phases": toy_run.halves(STEPS)})
    there, here = toy_run.losses(model_dir), toy_run.losses(alone)
    np.testing.assert_allclose(list(there.values()), list(here.values()), rtol=1e-5)


@pytest.mark.parametrize("victim", [0, 1])
def test_sigterm_before_the_first_step_ends_all(victim, toy_folder, tmp_path):
    model_dir = tmp_path / "two"
    processes = start(toy_folder, model_dir, steps=4000)
    wait_for(lambda: (model_dir / "events.jsonl").exists(), processes)
    processes[victim].send_signal(signal.SIGTERM)
    codes, errors = end(processes)
    assert codes == [143, 143], errors


def test_bad_input_ends_every_process_with_2(toy_folder, tmp_path):
    codes, errors = end(start(toy_folder, tmp_path / "two", keep_at=[0]))
    assert codes == [2, 2]
    assert "keep_at = [0]" in errors and "Traceback" not in errors


def test_a_folder_in_use_ends_every_process_with_2(toy_folder, tmp_path):
    directory = RunDirectory(str(tmp_path / "two"))
    codes, errors = end(start(toy_folder, tmp_path / "two"))
    directory.close()
    assert codes == [2, 2]
    assert errors.count("is in use by process") == 2


def test_differing_recipes_end_all_processes_with_2(toy_folder, tmp_path):
    """Before, both trained to the end, with different numbers in copies of one array."""
    codes, errors = end(start(toy_folder, tmp_path / "two", other={"seed": 1}))
    assert codes == [2, 2], errors
    assert errors.count("process 1 was not given what process 0 was: seed: 0 -> 1") == 2
    assert not list((tmp_path / "two").glob("checkpoints/*"))


def test_a_main_thread_that_hangs_ends_all(toy_folder, tmp_path):
    """All its other threads live on, so nobody is silent; the steps have stopped.

    Process 0 mostly notices first, and takes what JAX needs with it: the other one leaves as it does.
    Where process 0 waits in a save, which may take long, the other one notices.
    """
    model_dir = tmp_path / "two"
    started = start(
        toy_folder, model_dir, steps=4000, stuck=[1, 40], save_every_minutes=0.03, hung_seconds=5,
        save_every_steps=100_000,
    )  # fmt: skip
    codes, errors = end(started)
    assert codes == [1, 1], errors
    assert "a step has not ended for" in errors and "hangs" in errors
    # And until then the clock saved, at the same steps on both: a save needs them all.
    steps = [save["step"] for save in toy_run.events(model_dir, "commit")]
    assert steps and all(step < 40 for step in steps)
