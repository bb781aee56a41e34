"""A run killed with SIGKILL, five times and anywhere, ends with bitwise the unbroken run's state."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import toy_run

pytest_plugins = ["toy_fixture"]

SEED = 20230706
STEPS = 120
SAVE_EVERY = 20
PHASE_CHANGE = 60
PAUSE = 0.03  # seconds a step, so that a kill meant for one doesn't come ten later


def start(folder, model_dir):
    """The run in a process of its own, on 8 simulated devices."""
    changes = {"train": {"save_every_steps": SAVE_EVERY}, "pause": PAUSE}
    with open(f"{model_dir}.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, toy_run.__file__, str(folder), str(model_dir), json.dumps(changes)],
            stdout=log,
            stderr=log,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )


def starts(model_dir):
    log = model_dir / "events.jsonl"
    return toy_run.events(model_dir, "start") if log.exists() else []


def kill(folder, model_dir, seen, *args):
    """Starts the run, and SIGKILL as soon as `seen(model_dir, *args)` of what it does."""
    before = len(starts(model_dir))
    process = start(folder, model_dir)
    while len(starts(model_dir)) == before or not seen(model_dir, *args):
        assert process.poll() is None, "the run ended before its time to be killed"
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def has_done(model_dir, step):
    return reached(model_dir) >= step


def reached(model_dir):
    """The newest step in the metrics, 0 for none."""
    try:
        with open(model_dir / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
            return json.loads(file.read().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def complete(model_dir):
    """Steps with a complete checkpoint, by the names that a commit gives them."""
    return {int(path.name) for path in (model_dir / "checkpoints").glob("*") if path.name.isdigit()}


def uncommitted(model_dir):
    return list((model_dir / "checkpoints").glob("*orbax-checkpoint-tmp*"))


def test_killed_five_times(toy_folder, tmp_path):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    assert start(toy_folder, unbroken).wait() == 0, pathlib.Path(f"{unbroken}.log").read_text()
    chance = random.Random(SEED)

    # Before any save.
    kill(toy_folder, killed, has_done, chance.randrange(2, SAVE_EVERY - 3))
    assert not complete(killed) and not uncommitted(killed)

    # Between an asynchronous save's start and its commit (again, if the commit was quicker).
    kill(toy_folder, killed, uncommitted)
    while not uncommitted(killed):
        kill(toy_folder, killed, uncommitted)
    assert max(complete(killed), default=0) < PHASE_CHANGE - SAVE_EVERY

    # Within three steps of the phase change.
    kill(toy_folder, killed, has_done, PHASE_CHANGE - chance.randrange(2, 4))
    assert abs(reached(killed) - PHASE_CHANGE) <= 3

    # Twice anywhere, but not right after a save: there would be nothing to do again.
    for _ in range(2):
        saved = chance.randrange(max(complete(killed)), STEPS, SAVE_EVERY)
        kill(toy_folder, killed, has_done, saved + chance.randrange(4, SAVE_EVERY - 2))

    assert start(toy_folder, killed).wait() == 0, pathlib.Path(f"{killed}.log").read_text()
    redone = [again["reached"] - again["step"] for again in starts(killed)[1:]]
    assert sum(steps > 0 for steps in redone) >= 5, redone
    assert toy_run.losses(killed) == toy_run.losses(unbroken)
    assert list(toy_run.losses(killed)) == list(range(1, STEPS + 1))
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, killed), toy_run.final_state(toy_folder, unbroken)
    )
