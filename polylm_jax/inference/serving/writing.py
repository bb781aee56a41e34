"""From what the engine delivers to what a client reads: text, stop strings, finish reasons."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from polylm_jax.inference.generation.detokenizer import Detokenizer
from polylm_jax.inference.serving.jobs import LogP, Output
from polylm_jax.inference.serving.requests import Choice
from polylm_jax.tokenizer.tokenizer import Tokenizer

CONTEXT = 16  # tokens of the prompt that a text is decoded behind
REASONS = {"eos": "stop", "stop": "stop", "length": "length"}


@dataclasses.dataclass(frozen=True)
class Delta:
    """What is new of a choice. finish: the protocol's reason, None while it goes on."""

    text: str
    tokens: Sequence[int]
    log_p: LogP | None
    finish: str | None


class Writer:
    """One choice as it grows. index: its number in the answer."""

    def __init__(self, index: int, choice: Choice, tokenizer: Tokenizer):
        self.index, self.choice, self.job = index, choice, choice.job
        self._stream = Detokenizer(tokenizer, list(self.job.tokens)[-CONTEXT:], choice.stops)
        self.text = ""
        self.tokens: list[int] = []
        self.finish: str | None = None
        self.log_p: list[LogP] = []
        self.prompt_log_p: LogP | None = None

    def take(self, made: Output) -> Delta:
        """What a delivery adds; after a stop string nothing does."""
        if made.prompt:
            self.prompt_log_p = made.prompt
        before, ids = len(self.tokens), [*self.tokens, *made.tokens]
        stopped = self._stopped(ids, before)
        self.tokens = ids[:stopped] if stopped else ids
        new = self.tokens[before:]
        finish = "stop" if stopped else made.finish
        text = self._stream.show(self.tokens, last=finish is not None)
        self.text += text
        self.finish = REASONS[finish] if finish else None
        log_p = made.log_p.first(len(new)) if made.log_p else None
        if log_p:
            self.log_p.append(log_p)
        return Delta(text, new, log_p, self.finish)

    def _stopped(self, ids, before) -> int:
        """How many tokens had come when a stop string was whole; 0 where none is."""
        if not self.choice.stops or not self._stream.text(ids)[1]:
            return 0
        counts = range(before + 1, len(ids) + 1)
        return next(count for count in counts if self._stream.text(ids[:count])[1])

    @property
    def all_log_p(self) -> LogP:
        """Of all of the text's tokens."""
        fields = [field.name for field in dataclasses.fields(LogP)]
        return LogP(*(np.concatenate([getattr(p, f) for p in self.log_p]) for f in fields))
