"""The runs of an ablation, each a `run.py train` or `finetune` of its own, one process on each.

A run is locked by the `ablate` that started it and, in its MODEL_DIR, by itself: who finds it locked
leaves it to the other. What is done is told by the run's own log and never begun again.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from polylm_jax.ablation.variants import Run
from polylm_jax.errors import InputError
from polylm_jax.runtime import lock as run_lock
from polylm_jax.runtime.home import home
from polylm_jax.runtime.storage import Folder


@contextlib.contextmanager
def held(folder: str, run: Run) -> Iterator[None]:
    """The run is this process's as long as the block lasts; InputError, with who has it, else."""
    place = Folder(f"{folder.rstrip('/')}/locks/{run.variant}.seed_{run.seed}", run.title)
    try:
        if place.local:
            os.makedirs(place.local, exist_ok=True)
        lock = run_lock.hold(place)
    except OSError as error:
        raise InputError(
            f"ABLATION_DIR = {folder!r} can't be written ({error.strerror}): name a folder that "
            "this user may write."
        ) from error
    try:
        yield
    finally:
        lock.close()


def start(mode: str, recipe: str, *flags: str) -> int:
    """`run.py MODE` of a gin file in a process of its own; its exit code.

    A SIGTERM goes on to it: it saves and leaves with 143. Ctrl-C reaches it by itself.
    """
    process = subprocess.Popen(
        [sys.executable, home() / "run.py", mode, f"--gin_file={recipe}", *flags]
    )
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
