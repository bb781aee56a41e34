"""A run whose first steps another one has done goes on from there instead of doing them again.

A stage 1 alone is the beginning of every run that has the same stage 1; so is a longer run, of
which a checkpoint of its stage 1 was kept. How long two runs are the same isn't taken from the
recipe's words: the rows of every step, the learning rates and all that decides a step are compared.
The continued run ends with bitwise the parameters that it would have had.
"""

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.records import CONTINUED, LOGS
from polylm_jax.ablation.variants import Run
from polylm_jax.errors import InputError
from polylm_jax.runtime.output_folder import building
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.log import JsonLines
from polylm_jax.training.run_directory import CHECKPOINTS

COMPARED_ROWS = 1 << 20  # at a time: a pod's run has hundreds of millions


class Beginning(NamedTuple):
    """The first steps of a run, which another one has trained and kept a checkpoint of."""

    run: Run
    step: int


def longest(plan: Plan, done: Iterable[Plan], folder: str) -> Beginning | None:
    """The longest beginning of a run that one of the finished ones has a checkpoint of.

    On gs:// none is looked for.
    """
    root = Folder(folder, "ABLATION_DIR").local
    found = []
    for other in done if root else ():
        place = root / other.run.path
        if _recorded_start(place) == other.resolved.start and (kept := _kept(place / CHECKPOINTS)):
            shared = min(shared_steps(other, plan), plan.resolved.total_steps - 1)
            found += [Beginning(other.run, step) for step in kept if step <= shared]
    return max(found, key=lambda one: one.step, default=None)


def _recorded_start(place: pathlib.Path) -> str | None:
    """What a run says that it started from; earlier versions didn't say it."""
    path = place / "fingerprint.json"
    return json.loads(path.read_bytes()).get("start") if path.exists() else None


def _kept(place: pathlib.Path) -> list[int]:
    """The steps of the complete checkpoints in a folder."""
    names = os.listdir(place) if place.is_dir() else ()
    return [int(name) for name in names if name.isdigit()]


def shared_steps(one: Plan, other: Plan) -> int:
    """How many steps two runs have in common, from the first one on."""
    a, b = one.resolved, other.resolved
    if a.experiment.settings() != b.experiment.settings() or a.start != b.start:
        return 0
    if a.tokenizer.fingerprint != b.tokenizer.fingerprint:
        return 0
    steps = int(min(a.total_steps, b.total_steps, a.same_rates(b)))
    size = a.experiment.batch_size
    for start in range(0, steps * size, COMPARED_ROWS):
        rows = np.arange(start, min(start + COMPARED_ROWS, steps * size))
        differs = np.any(_reads(a, rows) != _reads(b, rows), axis=0)
        if differs.any():
            return int(rows[np.argmax(differs)]) // size
    return steps


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
    """Makes the run's MODEL_DIR of a beginning, with its log lines."""
    root, step = Folder(folder, "ABLATION_DIR").local, str(beginning.step)
    there = root / beginning.run.path
    with building(str(root / run.path), size_of(there / CHECKPOINTS / step)) as place:
        shutil.copytree(there / CHECKPOINTS / step, place / CHECKPOINTS / step, copy_function=_link)
        for name in LOGS:
            if (there / f"{name}.jsonl").exists():
                shutil.copy(there / f"{name}.jsonl", place)
                JsonLines(Folder(str(place)), f"{name}.jsonl", beginning.step).close()
        about = {"run": beginning.run.title, "step": beginning.step}
        (place / CONTINUED).write_bytes(to_json(about))


def check_continued(plan: Plan, made: Iterable[Plan], folder: Folder) -> None:
    """InputError for a run that went on from one of another start, as earlier versions let it."""
    about = folder.peek(f"{plan.run.path}/{CONTINUED}")
    if about is None:
        return
    title = json.loads(about)["run"]
    for other in made:
        if other.run.title == title and other.resolved.start != plan.resolved.start:
            raise InputError(
                f"{folder.path}/{plan.run.path} went on from {title}, which starts from other "
                "parameters: its numbers are not its own; delete it, and it is trained anew."
            )


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
