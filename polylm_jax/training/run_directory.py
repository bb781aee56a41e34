"""MODEL_DIR: what a run leaves there, and whether it may go on.

MODEL_DIR/config.gin, config.1.gin, ...   the resolved recipe of each start
         /fingerprint.json                what decides the run's numbers
         /metrics.jsonl, validation.jsonl, ledger.jsonl, events.jsonl
         /checkpoints/STEP/               see `checkpoint`
         /tensorboard/, lock
"""

import pathlib
import shutil
from collections.abc import Mapping, Sequence

from etils import epath

from polylm_jax.checkpoints import layout
from polylm_jax.errors import InputError
from polylm_jax.runtime import lock
from polylm_jax.runtime.fingerprint import differences, shown
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training import preemption

CHECKPOINTS, last_files = layout.FOLDER, layout.last_files
_SHOWN = 3  # differences that a refusal names
UNKNOWN = "unknown"  # the start of a run that an earlier version began, once it can't be read
# What fingerprints of earlier versions lack: taken to be what the recipe says.
_ADDED = ("start", "batch_size")


class RunDirectory:
    """A MODEL_DIR that this process holds. InputError when it can't be made, or is in use."""

    def __init__(self, model_dir: str):
        self.folder = Folder(model_dir, "MODEL_DIR")
        self.folder.peek("fingerprint.json")  # a bucket answers here, within seconds, or never
        self._made = self.folder.local is not None and not self.folder.local.exists()
        self._lock = lock.hold(self.folder)

    def write_recipe(self, text: str) -> str:
        """Writes the resolved config beside those of earlier starts; the name it got."""
        taken = set(self.folder.list("config"))
        names = ("config.gin", *(f"config.{n}.gin" for n in range(1, len(taken) + 1)))
        name = next(name for name in names if name not in taken)
        self.folder.write(name, text.encode())
        return name

    def write_fingerprint(self, fingerprint: Mapping) -> None:
        self.folder.write("fingerprint.json", to_json(fingerprint))

    def close(self) -> None:
        """Lets go of it; one that was made here and in which nothing was saved or said goes again."""
        if self._made and self.folder.local:
            _remove_unused(self.folder.local)
        self._lock.close()


def _remove_unused(folder: pathlib.Path) -> None:
    """Removes a MODEL_DIR with no file but its lock, while that is held."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    if files == [pathlib.Path(lock.NAME)]:
        shutil.rmtree(folder)


def held(model_dir: str) -> RunDirectory | None:
    """MODEL_DIR, held by process 0; the others wait for it, and are refused as it is."""
    return preemption.by_the_first("model_dir", lambda: RunDirectory(model_dir))


def kept(place: Folder, path: str) -> list[int]:
    """The steps of the complete checkpoints of a run, in order. path: its MODEL_DIR below `place`."""
    prefix = f"{path}/{CHECKPOINTS}/"
    if place.local:
        return layout.steps_in(epath.Path(place.local) / prefix)
    return layout.steps(file.removeprefix(prefix) for file in place.list(prefix))


def check_resume(
    where: str, old: Mapping, new: Mapping, allow_changes: bool, free: Sequence[str] = ()
) -> list[str]:
    """The differences between a checkpoint's fingerprint and the recipe's, if they are allowed.

    free: names of the fingerprint that may change. What an earlier version didn't record is taken
    to be as the recipe has it, and said. InputError names the first of the others, old and new,
    unless `allow_changes`.
    """
    absent = [name for name in _ADDED if old.get(name, UNKNOWN) == UNKNOWN]
    added = {name: new[name] for name in absent if name in new}
    assumed = [
        f"{name}: an earlier version didn't record it, taken to be {shown(value)}"
        for name, value in added.items()
    ]
    kept = {name: new[name] for name in free if name in new}
    fixed = {name: value for name, value in old.items() if name not in free}
    changes = differences({**fixed, **added, **kept}, new)
    if changes and not allow_changes:
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise InputError(
            f"{where} was trained with another recipe, {'; '.join(changes[:_SHOWN])}{more}: give it "
            "the old values, another MODEL_DIR, or --allow_changes where the change is meant."
        )
    freed = {name: old[name] for name in free if name in old}
    kept = {name: value for name, value in kept.items() if name not in added}
    return [*changes, *differences(freed, kept), *assumed]
