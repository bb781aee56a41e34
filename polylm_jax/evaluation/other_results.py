"""Results of other checkpoints, as an earlier evaluation wrote them: rows beside ours."""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder

FILE = "results.json"


class Other(NamedTuple):
    """A checkpoint that was evaluated before. tasks: name -> what results.json has of it."""

    name: str
    step: int
    tasks: dict[str, dict]

    def cells(self, benchmark: str, metric: str, few_shot: int, fidelity: str) -> dict[str, float]:
        """language -> number, of the tasks that ask in the same way."""
        found = {}
        for task in self.tasks.values():
            rules = task["protocol"]
            way = (rules["benchmark"], rules["few_shot"], rules["fidelity"])
            if way == (benchmark, few_shot, fidelity) and metric in task["metrics"]:
                found[rules["language"]] = task["metrics"][metric]
        return found

    def few(self, benchmark: str) -> frozenset[str]:
        """Languages whose number is of too few items."""
        tasks = [t for t in self.tasks.values() if t["protocol"]["benchmark"] == benchmark]
        return frozenset(t["protocol"]["language"] for t in tasks if t.get("few_items"))


def load(paths: Sequence[str]) -> list[Other]:
    """The results in some folders (`step_7_3fa4c1d2e5b6`, local or gs://); InputError for none."""
    return [_one(str(path).rstrip("/")) for path in paths]


def _one(path: str) -> Other:
    folder = path.removesuffix(f"/{FILE}")
    content = Folder(folder, "beside").peek(FILE)
    if content is None:
        raise InputError(
            f"beside has {path!r}, which holds no {FILE}: name a folder that `evaluate` wrote."
        )
    try:
        found = json.loads(content)
        subject = found["checkpoint"]
        return Other(str(subject["name"]), int(subject["step"]), dict(found["tasks"]))
    except (ValueError, KeyError, TypeError) as error:
        place = pathlib.PurePosixPath(folder) / FILE
        raise InputError(f"beside: {place} isn't what `evaluate` wrote: evaluate anew.") from error
