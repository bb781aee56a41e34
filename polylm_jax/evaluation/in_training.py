"""Evaluation tasks in a training run: any SeqIO tasks with metrics, every so many steps, into its logs."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jax.sharding import Mesh

from polylm_jax.evaluation.language_model import Batching
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count
from polylm_jax.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from polylm_jax.evaluation.task_scores import TaskScores


@dataclasses.dataclass(frozen=True)
class TrainingTasks:
    """Which tasks a run evaluates while it trains, and how much of each.

    tasks: names of tasks or mixtures, as registering them returned. every_steps: also the last step
    is evaluated. limit: items of each task at most, the first ones. split: of tasks without a
    protocol, by default their validation, else test, else the first they have. max_new_tokens: in
    place of each task's own.
    """

    tasks: str | Sequence[str]
    every_steps: Count = 1000
    limit: Count | None = 200
    split: str = ""
    max_new_tokens: Count | None = None
    batching: Batching | None = None

    def check(self) -> "TrainingTasks":
        """Itself, or InputError."""
        return check_ranges(self, "TrainingTasks.")

    def open(self, config: PolyLMConfig, tokenizer: Tokenizer, mesh: Mesh) -> "TaskScores":
        """The tasks, read and tokenized; InputError for what is wrong with them."""
        from polylm_jax.evaluation.task_scores import TaskScores  # brings SeqIO and TensorFlow, 5 s

        self.check()
        fields = (self.tasks, self.split, self.limit, self.max_new_tokens, self.batching)
        return TaskScores(config, tokenizer, mesh, *fields)
