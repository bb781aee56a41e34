"""Scores of a run over its training: as it wrote them on the way, or from checkpoints evaluated after."""

from collections.abc import Mapping
from typing import NamedTuple

from polylm_jax.errors import InputError
from polylm_jax.evaluation import other_results
from polylm_jax.runtime import json_lines
from polylm_jax.runtime.storage import Folder

COUNTS = ("items", "items_too_long")

Scores = dict[int, float]  # step -> score


class RunScores(NamedTuple):
    """scores: (task, metric) -> step -> score. guessing: task -> percent, as far as that is known."""

    scores: dict[tuple[str, str], Scores]
    guessing: dict[str, float]


def read(path: str) -> RunScores:
    """Of a MODEL_DIR with evaluation.jsonl, or of a folder that `evaluate` wrote its checkpoints'
    results into (RESULTS, one per run). InputError where neither is there."""
    folder = Folder(str(path).rstrip("/"), "runs")
    lines = json_lines.objects(folder.peek("evaluation.jsonl"))
    if lines:
        return RunScores(_by_task([(int(line["step"]), line) for line in lines]), {})
    evaluated = [key for key in folder.list("step_") if key.count("/") == 1]
    places = [key for key in evaluated if key.endswith(f"/{other_results.FILE}")]
    if not places:
        raise InputError(
            f"runs has {path!r}, which holds no evaluation.jsonl and no results of `evaluate`: "
            "train it with evaluation tasks, or evaluate its checkpoints into a folder of its own."
        )
    return _evaluated(str(path).rstrip("/"), other_results.load([f"{path}/{p}" for p in places]))


def _evaluated(path: str, checkpoints: list[other_results.Other]) -> RunScores:
    steps = [one.step for one in checkpoints]
    twice = [step for step in steps if steps.count(step) > 1]
    if twice:
        raise InputError(
            f"runs has {path!r}, where step {twice[0]} stands twice: evaluate each run, and each of "
            "its kinds of weights, into a folder of its own."
        )
    lines = [
        (one.step, {name: task["metrics"] for name, task in one.tasks.items()})
        for one in checkpoints
    ]
    choices = {
        name: task["protocol"].get("choices")
        for one in checkpoints
        for name, task in one.tasks.items()
    }
    guessing = {name: 100 / count for name, count in choices.items() if count}
    return RunScores(_by_task(lines), guessing)


def _by_task(lines: list[tuple[int, dict]]) -> dict[tuple[str, str], Scores]:
    found: dict[tuple[str, str], Scores] = {}
    for step, line in lines:
        for task, metrics in line.items():
            if not isinstance(metrics, Mapping):
                continue
            for metric, value in metrics.items():
                if metric not in COUNTS and isinstance(value, int | float):
                    found.setdefault((task, metric), {})[step] = float(value)
    return found
