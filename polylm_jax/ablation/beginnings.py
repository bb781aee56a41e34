"""A run that begins as another one ends: it goes on from there instead of training it again.

A stage 1 alone is the beginning of every run that has the same stage 1. That it is one isn't taken
from the recipe's words: the rows of every step, the learning rates and all that decides a step are
compared. The continued run ends with bitwise the parameters that it would have had.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterable, Mapping

import numpy as np

from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.run_records import CONTINUED, LOGS
from polylm_jax.ablation.variants import Run
from polylm_jax.checkpoint import FOLDER
from polylm_jax.output_folder import building
from polylm_jax.storage import Folder, to_json


def donor(plan: Plan, plans: Mapping[Run, Plan], done: Iterable[Run]) -> Plan | None:
    """The longest finished run that is the beginning of this one, if any is."""
    others = [plans[run] for run in done if begins(plans[run], plan)]
    return max(others, key=lambda other: other.resolved.total_steps, default=None)


def begins(short: Plan, long: Plan) -> bool:
    """Whether all steps of `short` are the first ones of `long`."""
    a, b = short.resolved, long.resolved
    if a.total_steps >= b.total_steps or _settings(a.experiment) != _settings(b.experiment):
        return False
    if a.tokenizer.fingerprint != b.tokenizer.fingerprint or a.rates != b.rates[: len(a.rates)]:
        return False
    # A phase that goes on with the curve of the one before it lengthens that curve.
    if any(rate.policy == "continue" for rate in b.rates[len(a.rates) : len(a.rates) + 1]):
        return False
    return _reads(short) == _reads(long, a.total_steps)


def _settings(experiment) -> object:
    """All that decides a step but its rows and its learning rate."""
    return dataclasses.replace(experiment, phases=(), tasks=None)


def _reads(plan: Plan, steps: int | None = None) -> tuple:
    """What the first steps read: of each row its store's content and its number there."""
    resolved = plan.resolved
    steps = resolved.total_steps if steps is None else steps
    rows = np.arange(steps * resolved.experiment.batch_size)
    component, _, store_row = resolved.rows.located(rows)
    used = [resolved.schedule.components[number] for number in np.unique(component)]
    place = {
        number: used.index(resolved.schedule.components[number]) for number in np.unique(component)
    }
    named = np.vectorize(place.get, otypes=[np.int64])(component)
    hashes = [(name, resolved.stores[name].content_hash) for name in used]
    return hashes, named.tobytes(), store_row.tobytes()


def continue_from(other: Plan, run: Run, folder: str) -> bool:
    """Makes the run's MODEL_DIR of the end of another's; False where that can't be done.

    On gs:// it isn't tried, nor where the other's last checkpoint is gone.
    """
    root = Folder(folder, "ABLATION_DIR").local
    step = other.resolved.total_steps
    if root is None or not (root / other.run.path / FOLDER / str(step)).is_dir():
        return False
    there = root / other.run.path
    size = size_of(there / FOLDER / str(step))
    with building(str(root / run.path), size) as place:
        shutil.copytree(there / FOLDER / str(step), place / FOLDER / str(step), copy_function=_link)
        for name in LOGS:
            if (there / f"{name}.jsonl").exists():
                shutil.copy(there / f"{name}.jsonl", place)
        (place / CONTINUED).write_bytes(to_json({"run": other.run.title, "step": step}))
    return True


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
