"""A run whose first steps another one has done goes on from there instead of doing them again.

A stage 1 alone is the beginning of every run that has the same stage 1; so is a longer run, of
which a checkpoint of its stage 1 was kept. How long two runs are the same isn't taken from the
recipe's words: the rows of every step, the learning rates and all that decides a step are compared.
The continued run ends with bitwise the parameters that it would have had.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax import optimizer
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.run_records import CONTINUED, LOGS
from polylm_jax.ablation.variants import Run
from polylm_jax.checkpoint import FOLDER
from polylm_jax.experiment import Resolved
from polylm_jax.optimizer import RatePhase
from polylm_jax.output_folder import building
from polylm_jax.storage import Folder, to_json


class Beginning(NamedTuple):
    """The first steps of a run, which another one has trained and kept a checkpoint of."""

    run: Run
    step: int


def longest(plan: Plan, done: Iterable[Plan], folder: str) -> Beginning | None:
    """The longest beginning of a run that a finished one of its seed has a checkpoint of.

    On gs:// none is looked for.
    """
    root = Folder(folder, "ABLATION_DIR").local
    found = []
    for other in done if root else ():
        kept = _kept(root / other.run.path / FOLDER)
        if other.run.seed == plan.run.seed and kept:
            shared = min(shared_steps(other, plan), plan.resolved.total_steps - 1)
            found += [Beginning(other.run, step) for step in kept if step <= shared]
    return max(found, key=lambda one: one.step, default=None)


def _kept(place: pathlib.Path) -> list[int]:
    """The steps of the complete checkpoints in a folder."""
    names = os.listdir(place) if place.is_dir() else ()
    return [int(name) for name in names if name.isdigit()]


def shared_steps(one: Plan, other: Plan) -> int:
    """How many steps two runs have in common, from the first one on."""
    a, b = one.resolved, other.resolved
    if _settings(a.experiment) != _settings(b.experiment):
        return 0
    if a.tokenizer.fingerprint != b.tokenizer.fingerprint:
        return 0
    steps = min(a.total_steps, b.total_steps)
    # A curve that only one of them has is the same up to where it begins.
    steps = min([steps, *(begin for begin, _ in _differing(a.rates, b.rates))])
    rows = np.arange(steps * a.experiment.batch_size)
    differs = np.any(_reads(a, rows) != _reads(b, rows), axis=0)
    return int(np.argmax(differs)) // a.experiment.batch_size if differs.any() else steps


def _differing(a: Sequence[RatePhase], b: Sequence[RatePhase]) -> list[tuple[int, RatePhase]]:
    """The curves of the learning rate that only one of two runs has."""
    ours, theirs = optimizer.curves(a), optimizer.curves(b)
    return [curve for curve in ours + theirs if (curve in ours) != (curve in theirs)]


def _settings(experiment) -> object:
    """All that decides a step but its rows and its learning rate."""
    return dataclasses.replace(experiment, phases=(), tasks=None)


def _reads(resolved: Resolved, rows: np.ndarray) -> np.ndarray:
    """int64 [2, n]: of each row its store, by a hash of name and content, and its number there."""
    component, _, store_row = resolved.rows.located(rows)
    stores = np.zeros(len(resolved.schedule.components), np.int64)
    for number in np.unique(component):
        name = resolved.schedule.components[number]
        digest = hashlib.sha256(f"{name} {resolved.stores[name].content_hash}".encode()).digest()
        stores[number] = int.from_bytes(digest[:8], "big", signed=True)
    return np.stack([stores[component], store_row])


def continue_from(beginning: Beginning, run: Run, folder: str) -> None:
    """Makes the run's MODEL_DIR of a beginning. Log lines of later steps go when the run starts."""
    root, step = Folder(folder, "ABLATION_DIR").local, str(beginning.step)
    there = root / beginning.run.path
    with building(str(root / run.path), size_of(there / FOLDER / step)) as place:
        shutil.copytree(there / FOLDER / step, place / FOLDER / step, copy_function=_link)
        for name in LOGS:
            if (there / f"{name}.jsonl").exists():
                shutil.copy(there / f"{name}.jsonl", place)
        about = {"run": beginning.run.title, "step": beginning.step}
        (place / CONTINUED).write_bytes(to_json(about))


def _link(source: str, target: str) -> None:
    """A second name for a file of a checkpoint, which is never written again; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def is_continued(folder: Folder, run: Run) -> bool:
    """Whether a run stands on another's beginning."""
    return folder.has(f"{run.path}/{CONTINUED}")


def size_of(path: pathlib.Path) -> int:
    """Bytes of the files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
