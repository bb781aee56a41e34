"""`run.py goodput`: where the hours of a run went, over all of its starts, from its own logs.

Every start tells when its process began, when it stood, how long it compiled and what the steps that
it does again had taken; every report tells the seconds of its steps, and of what came between them;
every end those of what came after the last report.
"""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence

import rich.console
import rich.table

from polylm_jax.errors import InputError
from polylm_jax.runtime import json_lines
from polylm_jax.runtime.storage import Folder

WHAT = {
    "training": "steps that stayed",
    "data": "waiting for rows",
    "validation": "validation and tasks",
    "checkpoint": "copying a state and waiting for the save before it",
    "starting": "from the process to the first step, compiling left out",
    "compiling": "compiling",
    "redone": "steps done again after a start from an older checkpoint",
    "down": "between an end and the next start",
    "lost": "begun and never reported, ends of processes",
}


@dataclasses.dataclass(frozen=True)
class Account:
    """Seconds of a run by `WHAT`, from its first start to its last sign of life, and its starts."""

    seconds: Mapping[str, float]
    starts: int

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def goodput(self) -> float:
        """The share of the time that went into steps that were kept."""
        return self.seconds["training"] / self.total if self.total else 0.0


def goodput(model_dir: str) -> None:
    """Shows where the hours of a run went: training, starting, saving, redone, down (`goodput MODEL_DIR`).

    model_dir: MODEL_DIR of a run, under way or done. Raises InputError where no run is.
    """
    account = of(Folder(model_dir, "MODEL_DIR"))
    table = rich.table.Table(title=f"{model_dir}: {line(account)}", title_justify="left", box=None)
    for column in ("what", "hours", "share", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    for name, meaning in WHAT.items():
        seconds = account.seconds[name]
        table.add_row(name, f"{seconds / 3600:.2f}", f"{seconds / account.total:.1%}", meaning)
    rich.console.Console(highlight=False).print(table)


def line(account: Account) -> str:
    """One sentence for the end of a run."""
    starts = f"{account.starts} starts" if account.starts > 1 else "1 start"
    return f"goodput {account.goodput:.1%} of {account.total / 3600:.2f} hours in {starts}"


def of(folder: Folder) -> Account:
    """The account of a MODEL_DIR."""
    events = json_lines.objects(folder.read("events.jsonl"))
    starts = [place for place, event in enumerate(events) if event.get("event") == "start"]
    if not starts:
        raise InputError(f"{folder.field} = {folder.path!r} has no run: give the MODEL_DIR of one.")
    reports = json_lines.objects(folder.read("metrics.jsonl"))
    seconds = dict.fromkeys(WHAT, 0.0) | _reported(reports)
    segments = [
        events[first:last] for first, last in zip(starts, [*starts[1:], len(events)], strict=True)
    ]
    for number, segment in enumerate(segments):
        start = segment[0]
        compiled = next((event for event in segment if event["event"] == "compiled"), None)
        seconds["starting"] += _before(start)
        if compiled:
            seconds["compiling"] += compiled["seconds"]
            seconds["starting"] += compiled["time"] - start["time"] - compiled["seconds"]
        if segment[-1]["event"] in ("end", "leave"):
            for name, value in segment[-1].get("seconds", {}).items():
                seconds[name] += value
        seconds["redone"] += start.get("redone_seconds", 0.0)
        if number:
            ended = max(segments[number - 1][-1]["time"], start.get("alive") or 0.0)
            seconds["down"] += max(0.0, start["time"] - _before(start) - ended)
    last = max([events[-1]["time"], *(report.get("time", 0.0) for report in reports[-1:])])
    total = last - (events[starts[0]]["time"] - _before(events[starts[0]]))
    seconds["lost"] = max(0.0, total - sum(seconds.values()))
    return Account(seconds, len(starts))


def _before(start: Mapping) -> float:
    """Seconds from the process's beginning to its start event."""
    return start.get("process_seconds", 0.0)


def _reported(reports: Sequence[Mapping]) -> dict[str, float]:
    """What the reports that stayed say."""
    seconds = dict.fromkeys(("data", "validation", "checkpoint", "all"), 0.0)
    for report in reports:
        for name, value in report.get("seconds", {}).items():
            seconds[name] = seconds.get(name, 0.0) + value
    whole = seconds.pop("all")
    return seconds | {"training": whole - sum(seconds.values())}


began: list[float] = []  # by `time.monotonic`: when a process of several runs took up the last


def process_seconds() -> float:
    """Since this process began, by Linux's clock ticks, or took up this run; 0 elsewhere."""
    if began:
        return time.monotonic() - began[-1]
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0
