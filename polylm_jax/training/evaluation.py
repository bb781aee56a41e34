"""What a run takes as evaluation on the way: any object with these methods, from whichever room."""

from collections.abc import Callable, Mapping
from typing import Protocol

from jax.sharding import Mesh

from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer


class Scores(Protocol):
    """What a run asks when an evaluation is due."""

    def run(self, params, stop: Callable[[], bool]) -> dict[str, dict[str, float]] | None:
        """Task -> name -> number; None where `stop()` ended it early."""


class Evaluation(Protocol):
    """What is evaluated, and every how many steps: `evaluation.TrainingTasks` is one.

    every_steps: also the last step is evaluated.
    """

    every_steps: int

    def check(self) -> "Evaluation":
        """Itself, or InputError."""

    def open(self, config: PolyLMConfig, tokenizer: Tokenizer, mesh: Mesh) -> Scores:
        """All that is needed to score, read; InputError for what is wrong with it."""


def lines(step: int, scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What the terminal says: a line per task."""
    return [
        f"step {step}  {name}  " + "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        for name, metrics in scores.items()
    ]
