"""What `generate` shows while it works: a bar with tokens a second, or lines where there is no terminal."""

import time
from typing import Self

import rich.console
import rich.progress

from polylm_jax.terminal import count

LINE_SECONDS = 30.0  # between lines, where no terminal shows a bar


class GenerationProgress:
    """Texts done and tokens a second. console: on stderr, as texts may go to stdout."""

    def __init__(self, texts: int, done: int = 0, enabled: bool = True):
        self._console = rich.console.Console(stderr=True, highlight=False, quiet=not enabled)
        self._bar = rich.progress.Progress(
            "texts",
            rich.progress.MofNCompleteColumn(),
            rich.progress.BarColumn(),
            "{task.fields[told]}",
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            disable=not (enabled and self._console.is_terminal),
        )
        self._task = self._bar.add_task("", total=texts, completed=done, told="")
        self._texts, self._done, self._tokens = texts, done, 0

    def __enter__(self) -> Self:
        self._began = self._spoke = time.monotonic()
        self._bar.start()
        if self._done:
            self._console.print(f"{self._done} of {self._texts} texts are there already")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
        self._console.print(self.told())

    def text(self, tokens: int) -> None:
        """One more text, of so many tokens."""
        self._done += 1
        self._tokens += tokens
        self._bar.update(self._task, completed=self._done, told=f"{count(self._rate())} tokens/s")
        if self._bar.disable and time.monotonic() - self._spoke > LINE_SECONDS:
            self._spoke = time.monotonic()
            self._console.print(self.told())

    def _rate(self) -> float:
        return self._tokens / max(time.monotonic() - self._began, 1e-9)

    def told(self) -> str:
        """Texts, tokens and tokens a second since the beginning."""
        return (
            f"{self._done}/{self._texts} texts, {count(self._tokens)} tokens, "
            f"{count(self._rate())} tokens/s with compiling"
        )
