"""A checkpoint in EleutherAI's lm-evaluation-harness (lm_eval 0.4): the registered model `polylm`.

    python -m polylm_jax.evaluation.lm_eval_model run --model polylm \\
        --model_args checkpoint=MODEL_DIR,vocabulary=NAME.model --tasks xcopa_th

is `lm_eval run` with this model known to it. From Python, import this module and pass `PolyLMEval`.
"""

import inspect
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from polylm_jax.checkpoints.identity import Selection
from polylm_jax.errors import InputError, nearest
from polylm_jax.evaluation import language_model
from polylm_jax.evaluation.language_model import Batching, Loading
from polylm_jax.evaluation.requests import Ids, Request, encode_pairs, encode_texts, windows
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.sampling import Sampling
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.spread import spread

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty")
OTHERS = ("until", "do_sample", "num_beams")
_log = logging.getLogger(__name__)


@register_model("polylm")
class PolyLMEval(LM):
    """lm_eval's language model over a checkpoint of ours.

    A request that doesn't fit the model's positions loses the left of its context, as in lm_eval's
    own models, and is counted: `too_long` has the numbers, a warning says them, and they stand in
    the results' config.
    """

    @spread("selection", "batching", "mesh")
    def __init__(
        self,
        checkpoint: str,
        vocabulary: str,
        *,
        selection: Selection,
        dtype: str = "",
        batching: Batching,
        mesh: MeshConfig,
        max_gen_toks: int = 256,
        **harness: object,
    ):
        """checkpoint: MODEL_DIR of a run. vocabulary: its SentencePiece model. dtype: of the matrix
        products. harness: batch_size, max_batch_size and device of lm_eval, which batching and mesh
        stand for here.

        Raises InputError for bad input.
        """
        super().__init__()
        for name in harness:
            if name not in ("batch_size", "max_batch_size", "device"):
                known = inspect.signature(PolyLMEval).parameters
                raise InputError(f"model_args: polylm takes no {name!r}.{nearest(name, known)}")
        self._found, progress = selection.identify(checkpoint)
        self._max_new_tokens = max_gen_toks
        loading = Loading(dtype=dtype, mesh=mesh, batching=batching)
        self.model = language_model.load(self._found, progress, str(vocabulary), loading)
        self.too_long: dict[str, int] = {}

    @property
    def tokenizer_name(self) -> str:
        """What tells lm_eval's caches of requests apart."""
        return self.model.tokenizer.fingerprint

    def get_model_info(self) -> dict:
        """What lm_eval writes beside the results."""
        return {
            "model_num_parameters": self.model.config.num_params,
            "model_dtype": self.model.config.dtype,
            "model_sha": self._found.identity,
            "model_step": self._found.step,
            "requests_too_long": self.too_long,
        }

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """(log p of the continuation given the context, whether it is the greedy one)."""
        pairs = [instance.args for instance in requests]
        encoded = self._encoded(pairs)
        answers: list = [None] * len(pairs)
        for number, (log_p, _, greedy) in self.model.score(encoded):
            answers[number] = (log_p, greedy)
            self.cache_hook.add_partial("loglikelihood", pairs[number], answers[number])
        return answers

    def _encoded(self, pairs: Sequence[tuple[str, str]]) -> list[Request]:
        """Requests that fit: what is too long loses the left of its context, and is counted."""
        encoded = encode_pairs(self.model.tokenizer, pairs)
        room = self.model.max_length + 1
        for number, (context, continuation) in enumerate(encoded):
            left = room - len(continuation)
            if left < 1:
                raise InputError(
                    f"a continuation has {len(continuation)} tokens and the model "
                    f"{self.model.max_length} positions: leave that request out."
                )
            if len(context) > left:
                encoded[number] = Request(context[-left:], continuation)
                self._count("loglikelihood")
        self._tell("loglikelihood", len(pairs))
        return encoded

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """log p of whole texts, in windows of the model's length, each after EOS."""
        texts = [instance.args[0] for instance in requests]
        ids, eos = self._ids(texts), self.model.tokenizer.eos_id
        asked, owner = windows(ids, eos, self.model.max_length)
        sums = [0.0] * len(texts)
        for number, (log_p, _, _) in self.model.score(asked):
            sums[owner[number]] += log_p
        for text, total in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return sums

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answers, each cut before the first of its `until` strings; greedy unless do_sample."""
        groups: dict[str, list[int]] = {}
        for number, instance in enumerate(requests):
            groups.setdefault(json.dumps(instance.args[1], sort_keys=True), []).append(number)
        answers = [""] * len(requests)
        for numbers in groups.values():
            some = [requests[number].args for number in numbers]
            for index, text in self._generated(some):
                answers[numbers[index]] = text
                self.cache_hook.add_partial("generate_until", some[index], text)
        return answers

    def _generated(self, asked: Sequence[tuple[str, Mapping]]) -> Iterable[tuple[int, str]]:
        until, length, options = self._options(asked[0][1])
        room = self.model.max_length - length
        if room < 1:
            raise InputError(
                f"max_gen_toks = {length} leaves no room for a prompt in the model's "
                f"{self.model.max_length} positions: ask for fewer."
            )
        prompts = [self._prompt(ids, room) for ids in self._ids([text for text, _ in asked])]
        self._tell("generate_until", len(asked))
        for index, answer in self.model.answer(prompts, length, until, **options):
            yield index, answer.text

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        return encode_texts(self.model.tokenizer, texts)

    def _prompt(self, ids: Ids, room: int) -> Sequence[int] | np.ndarray:
        if len(ids) > room:
            self._count("generate_until")
        return ids[-room:] if len(ids) else [self.model.tokenizer.eos_id]

    def _options(self, given: Mapping) -> tuple[Sequence[str], int, dict]:
        """gen_kwargs of a task -> (until, max new tokens, options of a generation request)."""
        known = (*LENGTHS, *SAMPLING, *OTHERS)
        for name in given:
            if name not in known:
                raise InputError(f"gen_kwargs: polylm takes no {name!r}.{nearest(name, known)}")
        until = given.get("until") or ()
        until = (until,) if isinstance(until, str) else tuple(filter(None, until))
        lengths = [given[name] for name in LENGTHS if given.get(name) is not None]
        length = int(lengths[0]) if lengths else self._max_new_tokens
        chosen = {name: given[name] for name in SAMPLING if given.get(name) is not None}
        if not given.get("do_sample", chosen.get("temperature", 0) > 0):
            chosen = {k: v for k, v in chosen.items() if k == "repetition_penalty"}
        elif "temperature" not in chosen:
            chosen["temperature"] = 1.0
        options: dict[str, object] = {"sampling": Sampling(**chosen).check()}
        if (given.get("num_beams") or 1) > 1:
            options["beams"] = Beams(beams=int(given["num_beams"])).check()
        return until, length, options

    def _count(self, what: str) -> None:
        self.too_long[what] = self.too_long.get(what, 0) + 1

    def _tell(self, what: str, asked: int) -> None:
        if self.too_long.get(what):
            _log.warning(
                "%s: %d requests so far (%d in this call were asked) don't fit the model's %d "
                "positions; the left of their contexts was cut off.",
                what, self.too_long[what], asked, self.model.max_length,
            )  # fmt: skip


def main(run: Callable[[], None] | None = None) -> int:
    """lm_eval's command line; exit code 2 with one sentence for bad input of ours."""
    from lm_eval.__main__ import cli_evaluate

    try:
        (run or cli_evaluate)()
    except InputError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
