"""SIGKILL for a run at chosen moments: seen from outside, in what it writes to its MODEL_DIR."""

import json
import os
import random
import signal
import time

import toy_run


def starts(model_dir):
    """The run's starts so far, as its log has them."""
    log = model_dir / "events.jsonl"
    return toy_run.events(model_dir, "start") if log.exists() else []


def kill(start, model_dir, hold, seen, *args):
    """Starts the run, which may stop at step `hold`, and SIGKILL as soon as `seen(model_dir, *args)`."""
    before = len(starts(model_dir))
    process = start(model_dir, hold)
    while len(starts(model_dir)) == before or not seen(model_dir, *args):
        assert process.poll() is None, "the run ended before its time to be killed"
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def has_done(model_dir, step):
    """Whether the metrics have come so far."""
    return reached(model_dir) >= step


def reached(model_dir):
    """The newest step in the metrics, 0 for none."""
    try:
        with open(model_dir / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            return json.loads(file.read().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def complete(model_dir):
    """Steps with a complete checkpoint, by the names that a commit gives them."""
    return {int(path.name) for path in (model_dir / "checkpoints").glob("*") if path.name.isdigit()}


def uncommitted(model_dir):
    """Folders of saves that have begun and aren't committed."""
    return list((model_dir / "checkpoints").glob("*orbax-checkpoint-tmp*"))


def saves(model_dir, before):
    """Whether a save has begun, or one has ended that is not among those from before."""
    return uncommitted(model_dir) or complete(model_dir) > before


def kill_five_times(start, model_dir, seed, steps, save_every, phase_change):
    """Before any save, within a save, around the change of phase, and twice anywhere.

    start(model_dir, hold) -> the process of the run, which goes on where the one before was killed;
    one that stops at step `hold`, if it can, is killed there however busy the machine is.
    Returns the steps at which the five were killed.
    """
    chance, killed = random.Random(seed), []

    def again(hold, seen, *args):
        kill(start, model_dir, hold, seen, *args)
        killed.append(reached(model_dir))

    def at(step):
        again(step, has_done, step)

    # Before any save.
    at(chance.randrange(2, save_every - 3))
    assert not complete(model_dir) and not uncommitted(model_dir)

    # Between an asynchronous save's start and its commit (again, if the commit was quicker).
    while not uncommitted(model_dir):
        before = complete(model_dir)
        again(max(before, default=0) + save_every + 2, saves, before)
        if not uncommitted(model_dir):
            killed.pop()
    assert max(complete(model_dir), default=0) < phase_change - save_every

    # Within three steps of the phase change.
    at(phase_change - chance.randrange(2, 4))
    assert abs(reached(model_dir) - phase_change) <= 3

    # Twice anywhere, but not right after a save: there would be nothing to do again.
    for _ in range(2):
        saved = chance.randrange(max(complete(model_dir)), steps, save_every)
        at(saved + chance.randrange(4, save_every - 2))
    return killed


def assert_same_run(model_dir, unbroken, steps):
    """Killed five times and each time steps were done again; then the unbroken run's losses."""
    redone = [again["reached"] - again["step"] for again in starts(model_dir)[1:]]
    assert sum(number > 0 for number in redone) >= 5, redone
    assert toy_run.losses(model_dir) == toy_run.losses(unbroken)
    assert list(toy_run.losses(model_dir)) == list(range(1, steps + 1))
