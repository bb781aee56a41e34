"""Going on from an older checkpoint than the newest: what came after it is set aside, never deleted.

    MODEL_DIR/set_aside/STEP       checkpoints that were newer
              resumed.json         each rewind: its step, the recipe's hash, what was set aside

A rewind is made once for a recipe: whatever starts a run again (a JobSet, a restart loop) gives the
same command, and must not lose what was trained since. A rewind without a change of the recipe
would come to the same end anyway.
"""

import hashlib
import json
import sys

from etils import epath

from polylm_jax.checkpoints.layout import FOLDER, located, steps_in
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder
from polylm_jax.training import preemption
from polylm_jax.training.run_directory import RunDirectory

_RECORD = "resumed.json"
_ASIDE = "set_aside"


def to(directory: RunDirectory | None, step: int | None, recipe: str) -> None:
    """Sets aside what is newer than `step`, on the process that has the directory; the others wait.

    Nothing where this was done before. InputError where there is no such checkpoint.
    """
    if step is None:
        return

    def rewind() -> None:
        assert directory is not None  # process 0 has it
        _rewind(directory.folder, step, recipe)

    preemption.by_the_first("rewind", rewind)


def _rewind(folder: Folder, step: int, recipe: str) -> None:
    mark = {"step": step, "recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest()}
    done = json.loads(folder.read(_RECORD) or b"[]")
    if any(mark == {name: one[name] for name in mark} for one in done):
        return
    place = located(folder.path)
    steps = steps_in(place / FOLDER)
    if step not in steps:
        there = f"it has {', '.join(map(str, steps))}" if steps else "it has none"
        raise InputError(f"resume_step = {step}: {folder.path} has no such checkpoint; {there}.")
    newer = [number for number in steps if number > step]
    for number in newer:
        aside = place / _ASIDE
        aside.mkdir(parents=True, exist_ok=True)
        (place / FOLDER / str(number)).rename(_free(aside, number))
    if newer:
        numbers = ", ".join(map(str, newer))
        print(
            f"resume_step = {step}: checkpoints {numbers} are set aside in {place / _ASIDE}",
            file=sys.stderr,
        )
    # Last: a start that was cut short in the middle is done again whole.
    folder.write(_RECORD, json.dumps([*done, mark | {"set_aside": newer}], indent=1).encode())


def _free(folder: epath.Path, number: int) -> epath.Path:
    """'3000', or '3000.1', ... where an earlier rewind took that name."""
    names = (str(number), *(f"{number}.{turn}" for turn in range(1, 1000)))
    return next(folder / name for name in names if not (folder / name).exists())
