"""What `self_instruct` shows while it works: a bar of prompts, or lines where there is no terminal."""

from polylm_jax.corpus.instructions.spending import Spending
from polylm_jax.runtime.terminal import CountedBar, count


class PoolProgress(CountedBar):
    """Seeds translated and prompts answered, tasks in the pool, what it has cost."""

    def __init__(self, total: int, done: int, spending: Spending):
        super().__init__("seeds and prompts", total, done)
        self._spending = spending

    def update(self, done: int, tasks: int) -> None:
        """Seeds and prompts done, and tasks in the pool, over all languages."""
        spent = f"{tasks:,} tasks, {self._spending.requests:,} requests, {self._cost()} tokens"
        self._show(done, spent, f"{done:,}/{self._total:,} seeds and prompts, {spent}")

    def _cost(self) -> str:
        cap = self._spending.cap.tokens
        return count(self._spending.tokens) + (f" of {count(cap)}" if cap else "")
