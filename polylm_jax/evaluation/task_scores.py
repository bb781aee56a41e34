"""The evaluation tasks of a training run, ready for whatever parameters it has by then."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from polylm_jax.errors import InputError
from polylm_jax.evaluation import protocol, runner
from polylm_jax.evaluation.language_model import Batching, LanguageModel
from polylm_jax.evaluation.result import COUNTS
from polylm_jax.inference.generation import weights
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.text import mixtures
from polylm_jax.tokenizer.tokenizer import Tokenizer


class TaskScores:
    """Reads and tokenizes the tasks, once; InputError for what is wrong with them.

    tasks, split, limit, max_new_tokens: as `in_training.TrainingTasks` has them.
    """

    def __init__(
        self,
        config: PolyLMConfig,
        tokenizer: Tokenizer,
        mesh: Mesh,
        tasks: str | Sequence[str],
        split: str,
        limit: int | None,
        max_new_tokens: int | None,
        batching: Batching | None,
    ):
        names = mixtures.tasks_of(tasks)
        if not names:
            raise InputError("evaluation tasks: name one task at least, or leave them out.")
        self._config = config
        self._params: dict = {}
        self._model = LanguageModel(
            config, tokenizer, mesh, lambda: self._params, self._apart, batching
        )
        self._asked = [
            runner.ask(
                name, self._model, split=_split(name, split), limit=limit,
                max_new_tokens=max_new_tokens,
            )
            for name in names
        ]  # fmt: skip

    def run(
        self, params, stop: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, float]] | None:
        """Task -> its metrics, with items and those too long; None if `stop()` ended it early."""
        found = {}
        self._params = params
        try:
            for asked in self._asked:
                result = runner.run(asked, self._model, stop=stop)
                if result is None:
                    return None
                counts = {"items": result.items, "items_too_long": result.too_long}
                scores = {k: v for k, v in result.metrics.items() if k not in COUNTS}
                found[result.task] = scores | counts
        finally:
            self._params = {}  # the step takes the buffers over
        return found

    def _apart(self) -> tuple[PolyLMConfig, dict]:
        """The layers as generation reads them: of a copy, because that uses up what it is given."""
        shardings = jax.tree.map(lambda x: x.sharding, self._params)
        copied = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=shardings)
        return weights.laid_out(self._config, copied(self._params))


def _split(name: str, split: str) -> str:
    """The split to ask for: a task with a protocol has its own."""
    return "" if name in protocol.names() else split
