"""What a mixture of a recipe is made of: components, each a task or several that move together.

By default every task is a component of its own but those of pairs, which are one, 'parallel'. Of a
component of several tasks each keeps its part, as the recipe's own mixture divides them.

Shapes: P phases, C components.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polylm_jax.ablation.evidence import held_out
from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import labels
from polylm_jax.languages.registry import CODE, LANGUAGES, PARALLEL
from polylm_jax.training.experiment import Resolved

ENGLISH = "english"
TRAIN = "train"
LEAST = 2e-6  # of a task: what a schedule resolves, twice


@dataclasses.dataclass(frozen=True)
class Component:
    """A part of the mixture whose share is asked for.

    tasks: task -> its part of the component, in each phase [P]. languages: its tasks' labels ('th',
    'en-th', 'code'). stores: task -> SHA-256 of its tokens. held_out: task -> of its held-out ones.
    tokens: to train on, all tasks together.
    """

    name: str
    tasks: Mapping[str, Sequence[float]]
    languages: Sequence[str]
    stores: Mapping[str, str]
    held_out: Mapping[str, str]
    tokens: int

    @property
    def labels(self) -> set[str]:
        """What constraints may call it: its name, its language, its group."""
        found = {self.name}
        if all("-" in label for label in self.languages):
            return found | {PARALLEL}
        if len(set(self.languages)) == 1:
            found.add(self.languages[0])
        return found | ({ENGLISH} if set(self.languages) == {"en"} else set())


def read(resolved: Resolved, pools: Mapping[str, Sequence[str]]) -> list[Component]:
    """The components of a recipe's mixture, in the languages' order.

    pools: name -> the tasks that are one component, beside the default. Raises InputError for a task
    that the mixture doesn't have, one in two pools, and one that is named twice.
    """
    phases = resolved.schedule.phases
    tasks = resolved.schedule.trained
    stores = resolved.stores
    label = {name: stores[name].language for name in tasks}
    members = _members(tasks, label, pools)
    whole = _whole_run(resolved)
    found = []
    for name, group in members.items():
        parts = [_parts(group, [phase.share(t) for t in group], whole) for phase in phases]
        found.append(
            Component(
                name,
                {task: [row[n] for row in parts] for n, task in enumerate(group)},
                [label[task] for task in group],
                {task: stores[task].content_hash for task in group},
                {task: held_out(stores[task]) for task in group},
                sum(stores[task].num_tokens(TRAIN) for task in group),
            )
        )
    return sorted(found, key=lambda one: labels.place(_place(one)))


def _place(component: Component) -> str:
    return component.languages[0] if len(set(component.languages)) == 1 else component.name


def _whole_run(resolved: Resolved) -> dict[str, float]:
    """Task -> its share of the whole run, by the phases' lengths."""
    schedule = resolved.schedule
    return {
        task: sum(phase.share(task) * phase.rows for phase in schedule.phases) / schedule.total_rows
        for task in schedule.trained
    }


def _members(
    tasks: Sequence[str], label: Mapping[str, str], pools: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Component -> its tasks."""
    taken: dict[str, str] = {}
    for name, group in pools.items():
        for task in group:
            if task not in tasks:
                raise InputError(
                    f"COMPONENTS[{name!r}] names {task!r}, which has no share in the recipe's "
                    f"mixture.{nearest(task, tasks)}"
                )
            if task in taken:
                raise InputError(
                    f"COMPONENTS has {task!r} in {taken[task]!r} and in {name!r}: leave it in one."
                )
            taken[task] = name
    found: dict[str, list[str]] = {name: list(group) for name, group in pools.items()}
    alone = collections.Counter(label[t] for t in tasks if t not in taken and "-" not in label[t])
    for task in tasks:
        if task not in taken:
            short = PARALLEL if "-" in label[task] else label[task]
            name = short if short == PARALLEL or alone[short] == 1 else task
            if name in pools:
                raise InputError(
                    f"COMPONENTS names a component {name!r}, and so is {task!r} called: choose "
                    "another name."
                )
            found.setdefault(name, []).append(task)
    return found


def _parts(
    group: Sequence[str], shares: Sequence[float], whole: Mapping[str, float]
) -> list[float]:
    """Each task's part of a component in a phase; where it has none there, as in the whole run."""
    amounts = shares if sum(shares) > 0 else [whole[task] for task in group]
    return [amount / sum(amounts) for amount in amounts]


def point(resolved: Resolved, components: Sequence[Component]) -> np.ndarray:
    """The recipe's own mixture as shares of components, float [P, C]."""
    return np.array(
        [
            [sum(phase.share(task) for task in one.tasks) for one in components]
            for phase in resolved.schedule.phases
        ]
    )


def shares_of_tasks(
    components: Sequence[Component], shares_PC: np.ndarray
) -> list[dict[str, float]]:
    """Shares of components [P, C] -> of each phase, task -> share; they sum to 1."""
    found = []
    for number, row in enumerate(np.asarray(shares_PC, float)):
        amounts = {
            task: float(share) * parts[number]
            for one, share in zip(components, row, strict=True)
            for task, parts in one.tasks.items()
        }
        kept = {task: amount for task, amount in amounts.items() if amount >= LEAST}
        total = sum(kept.values())
        found.append({task: round(amount / total, 9) for task, amount in kept.items()})
    return found


def named(key: str, components: Sequence[Component], field: str) -> list[int]:
    """The numbers of the components that a constraint's key means; InputError for none."""
    found = [number for number, one in enumerate(components) if key in one.labels]
    if not found:
        known = list(dict.fromkeys(label for one in components for label in sorted(one.labels)))
        raise InputError(
            f"{field} names {key!r}, and the mixture has no such component, language or group."
            f"{nearest(key, known)} There are {', '.join(known)}."
        )
    return found


def languages_of(components: Iterable[Component]) -> list[str]:
    """The languages (and code) that components are in, not the pairs, in the tables' order."""
    found = {label for one in components for label in one.languages}
    return labels.in_order(label for label in found if label in LANGUAGES or label == CODE)
