"""A checkpoint as a language model of texts: log-likelihoods, and greedy answers.

Scoring reads the layers stacked, generation reads them apart; the parameters are held in one of
the two layouts at a time.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.hf import param_table
from polylm_jax.checkpoints.identity import Checkpoint, matching_tokenizer
from polylm_jax.checkpoints.param_store import open_params
from polylm_jax.evaluation.requests import Request
from polylm_jax.evaluation.scoring import LogLikelihood, Scorer
from polylm_jax.inference.generation import weights
from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.inference.generation.decode import Request as Prompt
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count
from polylm_jax.tokenizer.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Batching:
    """How much is computed at once; it changes speed and memory, not results.

    tokens_per_part: tokens scored at once in each place that rows lie in (data x fsdp of the mesh).
    label_chunk: labels whose logits are held at once there. rows: prompts answered at once in each.
    """

    tokens_per_part: Count = 2048
    label_chunk: Count = 256
    rows: Count = 8


class Answer(NamedTuple):
    """A text that the model wrote, cut; why it ended: 'eos', 'stop' or 'length'."""

    text: str
    finish: str


class LanguageModel:
    """What scores requests and answers prompts with one model's parameters.

    params: the parameters as training has them. decoding: (config, params) as `Decoder` takes
    them. Both are asked anew at each call, so they may change between two.
    """

    def __init__(
        self,
        config: PolyLMConfig,
        tokenizer: Tokenizer,
        mesh: Mesh,
        params: Callable[[], dict],
        decoding: Callable[[], tuple[PolyLMConfig, dict]],
        batching: Batching | None = None,
    ):
        self.config = dataclasses.replace(config, remat="none")
        self.tokenizer, self.mesh = tokenizer, mesh
        self.batching = check_ranges(batching or Batching())
        self._params, self._decoding = params, decoding
        self.scorer = Scorer(
            PolyLM(self.config),
            mesh,
            tokens_per_part=self.batching.tokens_per_part,
            label_chunk=self.batching.label_chunk,
        )

    @property
    def max_length(self) -> int:
        return self.config.max_length

    def score(
        self, requests: Sequence[Request], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, LogLikelihood]]:
        """As `Scorer.score`."""
        return self.scorer.score(self._params(), requests, stop)

    def score_tokens(self, requests: Sequence[Request]) -> Iterator[tuple[int, np.ndarray]]:
        """As `Scorer.score_tokens`."""
        return self.scorer.score_tokens(self._params(), requests)

    def answer(
        self,
        prompts: Sequence[Sequence[int] | np.ndarray],
        max_new_tokens: int,
        until: Sequence[str],
        stop: Callable[[], bool] = lambda: False,
        **options,
    ) -> Iterator[tuple[int, Answer]]:
        """(number of the prompt, its answer), greedy, as batches end.

        prompts: token ids, each with room for `max_new_tokens` after it. until: an answer ends
        before the first of these strings, or at EOS. options: of `generation.decode.Request`.
        """
        config, params = self._decoding()
        places = self.mesh.shape["data"] * self.mesh.shape["fsdp"]
        decoder = Decoder(
            config, params, self.mesh, eos=(self.tokenizer.eos_id,),
            batch_size=self.batching.rows * places, pieces=self.tokenizer.vocab_size,
        )  # fmt: skip
        asked = [Prompt(list(map(int, ids)), max_new_tokens, **options) for ids in prompts]

        def ended(number: int, tokens: Sequence[int]) -> bool:
            text = self.tokenizer.decode(tokens)
            return any(mark in text for mark in until)

        for number, completion in decoder.completions(asked, ended):
            yield number, self._answer(completion, until)
            if stop():
                return

    def _answer(self, completion, until: Sequence[str]) -> Answer:
        text = self.tokenizer.decode(completion.tokens)
        places = [text.find(mark) for mark in until if mark in text]
        if places:
            return Answer(text[: min(places)], "stop")
        return Answer(text, completion.finish)


@dataclasses.dataclass(frozen=True)
class Loading:
    """Which model a checkpoint's parameters are read into, and how it is computed.

    model: by default as the checkpoint has it.
    dtype: of the matrix products, float32 or bfloat16; by default the model's own.
    mesh: devices as data x fsdp x tensor, by default all data.
    batching: how much is computed at once.
    compilation_cache_dir: compiled programs are kept here for the next start; '' keeps none.
    """

    model: PolyLMConfig | None = None
    dtype: str = ""
    mesh: MeshConfig | None = None
    batching: Batching | None = None
    compilation_cache_dir: str = "~/.cache/polylm_jax"


def load(
    found: Checkpoint,
    progress: checkpoint.Progress,
    vocabulary: str,
    loading: Loading = Loading(),
) -> LanguageModel:
    """A checkpoint's language model; parameters are read when the first request needs them.

    vocabulary: the SentencePiece model that it was trained with.

    Raises InputError for another vocabulary, another model, or a mesh that doesn't fit.
    """
    config = loading.model or _config(found, progress)
    config = dataclasses.replace(config, remat="none", dtype=loading.dtype or config.dtype).check()
    tokenizer = matching_tokenizer(vocabulary, progress, config.vocab_size)
    mesh = loading.mesh or MeshConfig()
    grid = partitioning.make_mesh(mesh)
    rows = grid.shape["data"] * grid.shape["fsdp"]
    partitioning.check_mesh(mesh, grid.size, config, length=config.max_length, batch_size=rows)
    held: dict[str, Any] = {}

    def params() -> dict:
        if "stacked" not in held:
            held.clear()
            abstract = _abstract(config, grid)
            held["stacked"] = checkpoint.restore_params(
                found.path, abstract, found.step, found.weights
            )
        return held["stacked"]

    def decoding() -> tuple[PolyLMConfig, dict]:
        if "apart" not in held:
            held.clear()
            held["apart"] = weights.load(found, config, grid)
        return held["apart"]

    return LanguageModel(config, tokenizer, grid, params, decoding, loading.batching)


def _config(found: Checkpoint, progress: checkpoint.Progress) -> PolyLMConfig:
    """Sizes from the parameters' shapes, precision as the run had it."""
    config = param_table.config_of(open_params(found.path, found.step, found.weights).shapes)
    trained = progress.fingerprint.get("model", {})
    known = {name: trained[name] for name in ("dtype", "residual_dtype") if name in trained}
    return dataclasses.replace(config, **known)


def _abstract(config: PolyLMConfig, mesh: Mesh):
    """The parameters' shapes and shardings; the layers' matrices in the dtype of their products."""
    boxed = abstract_params(PolyLM(config))

    def one(path, x, sharding):
        matrix = path[0].key.startswith("h") and not any("ln_" in key.key for key in path)
        return jax.ShapeDtypeStruct(
            x.shape, jnp.dtype(config.dtype) if matrix else x.dtype, sharding=sharding
        )

    shardings = partitioning.param_shardings(boxed, mesh)
    return jax.tree_util.tree_map_with_path(one, nn.unbox(boxed), shardings)
