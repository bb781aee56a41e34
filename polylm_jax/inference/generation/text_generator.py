"""Prompts -> texts: `TextGenerator.texts(prompts)`, the tokenizer on both sides of `decode`."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from polylm_jax.errors import InputError
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.decode import Decoder, Request
from polylm_jax.inference.generation.detokenizer import Detokenizer
from polylm_jax.inference.generation.sampling import GREEDY, Sampling
from polylm_jax.tokenizer.tokenizer import Tokenizer

Show = Callable[[int, str], None]


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A text to be continued once.

    max_new_tokens: fewer where the model has not so many positions left. stop: strings that the
    text ends before. sampling, seed, sample, beams: as in `decode.Request`.
    """

    text: str
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    seed: int = 0
    sample: int = 0
    beams: Beams | None = None


@dataclasses.dataclass(frozen=True)
class Text:
    """What came: the text after the prompt, the number of tokens made, why it ended (`Completion`)."""

    text: str
    finish: str
    tokens: int
    score: float | None = None


class TextGenerator:
    """A decoder with its vocabulary; InputError where it could make ids that this one lacks."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer):
        if decoder.pieces > tokenizer.vocab_size:
            raise InputError(
                f"pieces = {decoder.pieces} of the decoder, and the vocabulary has "
                f"{tokenizer.vocab_size}: give the decoder pieces = {tokenizer.vocab_size}."
            )
        self.decoder, self.tokenizer = decoder, tokenizer

    def request(self, prompt: Prompt) -> Request:
        """The prompt in ids; an empty one is `</s>`, after which a document begins.

        InputError for a prompt that leaves the model no position, and whatever `decode` refuses.
        """
        ids = self.tokenizer.encode(prompt.text) or [self.tokenizer.eos_id]
        limit = self.decoder.config.max_length
        if len(ids) >= limit:
            raise InputError(
                f"a prompt of {len(ids)} tokens leaves no room in the model's {limit} positions: "
                f"shorten it ({prompt.text[:40]!r} ...)."
            )
        if "" in prompt.stop:
            raise InputError(
                "stop has an empty string, which every text begins with: leave it out."
            )
        request = Request(
            ids, min(prompt.max_new_tokens, limit - len(ids)), prompt.sampling, prompt.seed,
            prompt.sample, prompt.beams,
        )  # fmt: skip
        self.decoder.check(request)
        return request

    def texts(
        self, prompts: Sequence[Prompt], show: Show | None = None
    ) -> Iterator[tuple[int, Text]]:
        """(number of the prompt, its text), batch by batch as `Decoder.completions` gives them.

        show(number, new_text): called as text comes, with pieces that add up to the final text and
        never split a grapheme. Beam search knows its text at the end only; stop strings cut it there.
        """
        requests = [self.request(prompt) for prompt in prompts]
        streams = [
            Detokenizer(self.tokenizer, request.tokens, prompt.stop)
            for request, prompt in zip(requests, prompts, strict=True)
        ]

        def watch(number: int, ids: Sequence[int]) -> bool:
            if show and (new := streams[number].show(ids)):
                show(number, new)
            return bool(prompts[number].stop) and streams[number].text(ids)[1]

        watches = show or any(prompt.stop for prompt in prompts)
        for number, done in self.decoder.completions(requests, watch if watches else None):
            text, stopped = streams[number].text(done.tokens)
            if show and (new := streams[number].show(done.tokens, last=True)):
                show(number, new)
            finish = "stop" if stopped else done.finish
            yield number, Text(text, finish, len(done.tokens), done.score)
