"""What is said of all runs that are under way: a bar each, or lines where stdout is no terminal.

One worker alone speaks for itself, as `run.py train` does; of several, what each run says goes to a
file beside its recipe.
"""

import sys
import time
from collections.abc import Sequence
from typing import Self

import rich.console

from polylm_jax.ablation.variants import Run
from polylm_jax.ablation.workers.places import Place
from polylm_jax.runtime.terminal import LINE_SECONDS, bar


class Display:
    """A slot for each place; `total` runs in all."""

    def __init__(self, places: Sequence[Place], total: int):
        self._places, self._total = places, total
        self._console = rich.console.Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._titles: dict[int, str] = {}
        self._spoke: dict[int, float] = {}
        disable = len(places) == 1 or not self._console.is_terminal
        self._bar = bar("{task.description}", self._console, disable)
        self._tasks = [
            self._bar.add_task(str(place), total=None, numbers="", visible=False)
            for place in places
        ]

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        self._console.print(text, markup=False)
        sys.stdout.flush()

    def before(self, run: Run, number: int) -> None:
        """A run that has nothing to be done any more."""
        self.line(f"[{number}/{self._total}] {run.title}: done before")

    def begins(self, slot: int, run: Run, number: int, steps: int) -> None:
        title = f"[{number}/{self._total}] {run.title}"
        self._titles[slot], self._spoke[slot] = title, time.monotonic()
        self.line(title if len(self._places) == 1 else f"{title}: on {self._places[slot]}")
        self._bar.reset(
            self._tasks[slot], total=steps, completed=0, visible=True, numbers="", description=title
        )

    def report(self, slot: int, step: int, total: int, numbers: str) -> None:
        """A run's report: its step and numbers."""
        self._bar.update(self._tasks[slot], completed=step, total=total, numbers=numbers)
        quiet = self._bar.disable and len(self._places) > 1
        if quiet and time.monotonic() - self._spoke[slot] > LINE_SECONDS:
            self._spoke[slot] = time.monotonic()
            self.line(f"{self._titles[slot]}: step {step}/{total}  {numbers}")

    def ends(self, slot: int, code: int, seconds: float, said: str) -> None:
        """said: where a run's words are, '' where they were seen."""
        self._bar.update(self._tasks[slot], visible=False)
        if len(self._places) == 1:
            return
        how = f"done in {seconds:.0f} s" if not code else f"exit code {code}, see {said}"
        self.line(f"{self._titles[slot]}: {how}")
