"""A run killed with SIGKILL, five times and anywhere, ends with bitwise the unbroken run's state."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import killing
import toy_run

pytest_plugins = ["toy_fixture"]

SEED = 20230706
STEPS = 120
SAVE_EVERY = 20
PHASE_CHANGE = 60


def start(folder, model_dir, hold=None):
    """The run in a process of its own, on 8 simulated devices; its main thread stops behind step `hold`."""
    changes = {"train": {"save_every_steps": SAVE_EVERY}}
    if hold is not None:
        changes["stuck"] = [0, 1 + hold - max(killing.complete(model_dir), default=0)]
    with open(f"{model_dir}.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, toy_run.__file__, str(folder), str(model_dir), json.dumps(changes)],
            stdout=log,
            stderr=log,
            env=os.environ | {"JAX_PROCESS_ID": "0"},
        )


def test_killed_five_times(toy_folder, tmp_path):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    run = functools.partial(start, toy_folder)
    toy_run.run(toy_folder, unbroken, save_every_steps=SAVE_EVERY)
    killing.kill_five_times(run, killed, SEED, STEPS, SAVE_EVERY, PHASE_CHANGE)
    assert run(killed).wait() == 0, pathlib.Path(f"{killed}.log").read_text()
    killing.assert_same_run(killed, unbroken, STEPS)
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, killed), toy_run.final_state(toy_folder, unbroken)
    )
