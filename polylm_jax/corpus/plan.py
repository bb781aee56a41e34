"""The stages of a run, and what a work folder was begun with: only what changed is done anew."""

import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polylm_jax.corpus.tally import written
from polylm_jax.errors import InputError
from polylm_jax.languages import registry
from polylm_jax.runtime.fingerprint import differences

_PLAN, _SECONDS = "plan.json", "seconds.json"


class Registry:
    """The first step of every stage: to unpickle it registers what the planning process knew.

    A pipeline's steps are unpickled in their order, so that the steps after it find each language,
    on this machine's workers as on those of Slurm and Ray.
    """

    def __init__(self):
        self.known = tuple(registry.LANGUAGES.values())

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        for language in self.known:
            registry.register(language)

    def __call__(self, data=None, rank: int = 0, world_size: int = 1):
        return data


@dataclass(frozen=True)
class Stage:
    """Steps that one process runs over one shard after another.

    Attributes:
        name: what is printed, and its folder in the work folder.
        steps: datatrove's pipeline.
        tasks: shards.
        settings: what decides its results beside those of the stage before, as JSON has it.
        outputs: folders below the work folder that go when it is to be done anew.
    """

    name: str
    steps: list
    tasks: int
    settings: Mapping[str, object] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "steps", [Registry(), *self.steps])


def settle(work: pathlib.Path, stages: Sequence[Stage]) -> list[str]:
    """Makes a work folder fit these stages; what must be said: which stages are done anew, and why.

    A stage whose own settings changed is done anew with all that follow it. Where the first one's
    did nothing could be used again.

    Raises InputError for other settings of the first stage, and for a folder that isn't a run's.
    """
    path, planned = work / _PLAN, [_described(stage) for stage in stages]
    before = _read(path, work)
    first = next((n for n, (a, b) in enumerate(zip(before, planned)) if a != b), None)
    if first is None and before and len(before) != len(planned):
        first = min(len(before), len(planned))
    if before and first == 0:
        changed = differences(before[0]["settings"], planned[0]["settings"])
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"WORK_DIR = {str(work)!r} was begun with other settings ({changed[0]}{more}), which "
            "decide what is read: name another folder, or delete it."
        )
    said = []
    if first is not None:
        said = [_why(before, planned, first)]
        _forget(work, [*before[first:], *planned[first:]])
    written(path, json.dumps(planned, ensure_ascii=False).encode())
    return said


def settings_of(work: pathlib.Path) -> dict:
    """The settings of all stages of a work folder, as the report shows them."""
    found: dict = {}
    for stage in _read(work / _PLAN, work):
        found |= stage["settings"]
    return found


def _described(stage: Stage) -> dict:
    about = {"name": stage.name, "tasks": stage.tasks, "settings": stage.settings}
    return json.loads(json.dumps({**about, "outputs": stage.outputs}, default=dict))


def _read(path: pathlib.Path, work: pathlib.Path) -> list[dict]:
    if not path.is_file():
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(before, list) and all("outputs" in stage for stage in before):
            return before
    except (ValueError, TypeError):
        pass
    raise InputError(
        f"WORK_DIR = {str(work)!r} was begun by another version: name another folder, or delete it."
    )


def _why(before: Sequence[Mapping], planned: Sequence[Mapping], first: int) -> str:
    """One sentence: what is kept and what is done anew."""
    old, new = (stages[first : first + 1] for stages in (before, planned))
    name = (new or old)[0]["name"]
    why = "the stages are others"
    if old and new and old[0]["name"] == name:
        why = (differences(old[0]["settings"], new[0]["settings"]) or [why])[0]
    return f"{name}: done anew, with all after it, since its settings changed ({why})"


def _forget(work: pathlib.Path, stages: Sequence[Mapping]) -> None:
    """Takes away that stages are complete, then what they left; killed between, they run again."""
    for stage in stages:
        shutil.rmtree(work / "stages" / stage["name"].replace(" ", "_"), ignore_errors=True)
    for stage in stages:
        for output in stage["outputs"]:
            shutil.rmtree(work / output, ignore_errors=True)
    path = work / _SECONDS
    if path.is_file():
        gone = {stage["name"] for stage in stages}
        seconds = json.loads(path.read_text())
        kept = {name: taken for name, taken in seconds.items() if name not in gone}
        written(path, json.dumps(kept, indent=1).encode())
