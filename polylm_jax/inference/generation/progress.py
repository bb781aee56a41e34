"""What `generate` shows while it works: a bar with tokens a second, or lines where there is no terminal."""

import time
from typing import Self

from polylm_jax.runtime.terminal import CountedBar, count


class GenerationProgress(CountedBar):
    """Texts done and tokens a second; on stderr, as texts may go to stdout."""

    def __init__(self, texts: int, done: int = 0, enabled: bool = True):
        super().__init__("texts", texts, done, enabled)
        self._tokens = 0

    def __enter__(self) -> Self:
        super().__enter__()
        if self._done:
            self.line(f"{self._done} of {self._total} texts are there already")
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.line(self.summary())

    def text(self, tokens: int) -> None:
        """One more text, of so many tokens."""
        self._done += 1
        self._tokens += tokens
        self._show(self._done, f"{count(self._rate())} tokens/s", self.summary())

    def _rate(self) -> float:
        return self._tokens / max(time.monotonic() - self._began, 1e-9)

    def summary(self) -> str:
        """Texts, tokens and tokens a second since the beginning."""
        return (
            f"{self._done}/{self._total} texts, {count(self._tokens)} tokens, "
            f"{count(self._rate())} tokens/s with compiling"
        )
