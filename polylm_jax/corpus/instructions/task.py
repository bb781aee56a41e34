"""A task: an instruction, an input that may be missing, and an output; and the examples that seed them."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from polylm_jax.corpus.instructions import screening
from polylm_jax.errors import InputError
from polylm_jax.runtime import paths
from polylm_jax.runtime.text_lines import json_lines
from polylm_jax.text.instruction_words import is_no_input

SEED_TASKS = pathlib.Path(__file__).with_name("seed_tasks.jsonl")


@dataclass(frozen=True)
class Task:
    """input: '' for none."""

    instruction: str
    input: str
    output: str

    def record(self) -> dict[str, str | None]:
        """As MultiAlpaca's files have it: null for no input."""
        return {"instruction": self.instruction, "input": self.input or None, "output": self.output}


@dataclass(frozen=True)
class Seed:
    """keep: input and output stay as they are when the task is translated (choices, code...)."""

    id: str
    task: Task
    keep: bool = False


def load_seeds(path: str = "") -> list[Seed]:
    """Seed tasks of a file, '' for the project's own.

    JSON lines or one array, of objects with `instruction`, `input`, `output` and, if they like,
    `id` and `keep`; or as Alpaca's seed_tasks.jsonl has them, with `instances` for the latter two.

    Raises InputError for a file that isn't there or isn't that.
    """
    source = paths.resolve(path, "SEED_TASKS") if path else str(SEED_TASKS)
    objects = json_lines(source, "SEED_TASKS", array=True)
    seeds = [_seed(where, found, path) for where, found in objects]
    if len(seeds) < 3:
        raise InputError(f"SEED_TASKS = {path!r} has {len(seeds)} tasks: a prompt shows 3.")
    ids = [seed.id for seed in seeds]
    if twice := next((one for one in ids if ids.count(one) > 1), None):
        raise InputError(f"SEED_TASKS = {path!r} has id {twice!r} twice: give each its own.")
    return seeds


def _seed(number: int, found: Mapping, path: str) -> Seed:
    where = f"SEED_TASKS = {path!r}, task {number}"
    instances = found.get("instances")
    given = instances[0] if isinstance(instances, list) and instances else found
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: its first instance is not an object.")
    fields: dict[str, str] = {}
    written = {
        "instruction": found.get("instruction"),
        "input": given.get("input") or "",
        "output": given.get("output"),
    }
    for name, value in written.items():
        if not isinstance(value, str) or not (value.strip() or name == "input"):
            raise InputError(f"{where}: no text in {name!r}; write it.")
        if reason := screening.unsafe(value):
            raise InputError(f"{where}: {name!r} has {reason}; take it out.")
        fields[name] = value.strip()
    if is_no_input(fields["input"]):
        fields["input"] = ""
    return Seed(str(found.get("id", number)), Task(**fields), bool(found.get("keep", False)))
