"""A run whose first steps another one has done goes on from there instead of doing them again.

A stage 1 alone is the beginning of every run that has the same stage 1; so is a longer run, of
which a checkpoint of its stage 1 was kept. How long two runs are the same isn't taken from the
recipe's words: the rows of every step, the learning rates and all that decides a step are compared.
The continued run ends with bitwise the parameters that it would have had.
"""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from polylm_jax.ablation import continued
from polylm_jax.ablation.continued import Beginning
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.records import CONTINUED
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder
from polylm_jax.training import run_directory
from polylm_jax.training.experiment import Resolved

COMPARED_ROWS = 1 << 20  # at a time: a pod's run has hundreds of millions


def longest(plan: Plan, done: Iterable[Plan], folder: str) -> Beginning | None:
    """The longest beginning of a run that one of the finished ones has a checkpoint of."""
    place = Folder(folder, "ABLATION_DIR")
    found = []
    for other in done:
        start = continued.recorded_start(place, other.run)
        if start == other.resolved.start and (kept := run_directory.kept(place, other.run.path)):
            shared = min(shared_steps(other, plan), plan.resolved.total_steps - 1)
            weights = {one.resolved.experiment.weights for one in (plan, other)}
            same = len(weights) == 1
            found += [Beginning(other.run, step, same) for step in kept if step <= shared]
    return max(found, key=lambda one: (one.step, one.scored), default=None)


def shared_steps(one: Plan, other: Plan) -> int:
    """How many steps two runs have in common, from the first one on."""
    a, b = one.resolved, other.resolved
    if a.experiment.settings() != b.experiment.settings() or a.start != b.start:
        return 0
    assert a.tokenizer is not None and b.tokenizer is not None  # plans have their stores
    if a.tokenizer.fingerprint != b.tokenizer.fingerprint:
        return 0
    steps = a.steps.alike(b.steps, a.same_rates(b))
    count = max(1, COMPARED_ROWS // max(a.steps.sizes))
    for first in range(0, steps, count):
        block = range(first, min(first + count, steps))
        rows = (np.concatenate([one.steps.rows(step) for step in block]) for one in (a, b))
        reads = (_reads(one, numbers) for one, numbers in zip((a, b), rows, strict=True))
        differs = np.any(np.not_equal(*reads), axis=0)
        if differs.any():
            ends = np.cumsum([a.steps.size(step) for step in block])
            return int(block[np.searchsorted(ends, np.argmax(differs), side="right")])
    return steps


def _reads(resolved: Resolved, rows: np.ndarray) -> np.ndarray:
    """int64 [2, n]: of each row its store, by a hash of name and content, and its number there."""
    assert resolved.rows is not None
    component, _, store_row = resolved.rows.located(rows)
    stores = np.zeros(len(resolved.schedule.components), np.int64)
    for number in np.unique(component):
        name = resolved.schedule.components[number]
        digest = hashlib.sha256(f"{name} {resolved.stores[name].content_hash}".encode()).digest()
        stores[number] = int.from_bytes(digest[:8], "big", signed=True)
    return np.stack([stores[component], store_row])


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
