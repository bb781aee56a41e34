"""What `self_instruct` shows while it works: a bar of prompts, or lines where there is no terminal."""

import time
from typing import Self

import rich.console
import rich.progress

from polylm_jax.self_instruct.spending import Spending
from polylm_jax.terminal import count

LINE_SECONDS = 30.0  # between lines, where no terminal shows a bar


class PoolProgress:
    """Seeds translated and prompts answered, tasks in the pool, what it has cost; on stderr."""

    def __init__(self, total: int, done: int, spending: Spending):
        self._console = rich.console.Console(stderr=True, highlight=False)
        self._bar = rich.progress.Progress(
            "seeds and prompts",
            rich.progress.MofNCompleteColumn(),
            rich.progress.BarColumn(),
            "{task.fields[told]}",
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, told="")
        self._total, self._spending = total, spending
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def update(self, done: int, tasks: int) -> None:
        """Seeds and prompts done, and tasks in the pool, over all languages."""
        told = f"{tasks:,} tasks, {self._spending.requests:,} requests, {self._cost()} tokens"
        self._bar.update(self._task, completed=done, told=told)
        if self._bar.disable and time.monotonic() - self._spoke > LINE_SECONDS:
            self._spoke = time.monotonic()
            self.line(f"{done:,}/{self._total:,} seeds and prompts, {told}")

    def _cost(self) -> str:
        cap = self._spending.cap.tokens
        return count(self._spending.tokens) + (f" of {count(cap)}" if cap else "")

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
