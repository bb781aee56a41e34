"""A text that is wanted, and what comes of it: what passes between the protocol and the engine."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from polylm_jax.inference.serving.sampler import Rule

FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class LogP:
    """Of a run of tokens: log p float32 [tokens], the likeliest [tokens, K] in their places, theirs."""

    log_p: np.ndarray
    likeliest: np.ndarray
    log_p_of_likeliest: np.ndarray

    def first(self, count: int) -> "LogP":
        """Of the first `count` tokens."""
        return LogP(self.log_p[:count], self.likeliest[:count], self.log_p_of_likeliest[:count])


@dataclasses.dataclass(frozen=True)
class Output:
    """What an engine delivers of a job: new tokens, and why it ended if it did.

    finish: 'eos', 'length', or FAILED where the engine could not go on; None while it goes on.
    log_p: of `tokens`, where the job wanted it. prompt: of the prompt's tokens but the first, with
    the first delivery, where it wanted that. error: what failed.
    """

    tokens: Sequence[int] = ()
    finish: str | None = None
    log_p: LogP | None = None
    prompt: LogP | None = None
    error: str = ""


@dataclasses.dataclass(eq=False)
class Job:
    """One text wanted. deliver: called with each `Output`, from the engine's thread.

    max_new_tokens: 0 only reads the prompt. log_p, prompt_log_p: whether those are wanted.
    repeatable: to the last bit the same whoever else is served, which costs all rows of its group.
    over: it has had its last delivery, or nobody waits for it any more.
    """

    tokens: Sequence[int]
    max_new_tokens: int
    rule: Rule = Rule()  # noqa: RUF009 (frozen)
    log_p: bool = False
    prompt_log_p: bool = False
    repeatable: bool = False
    deliver: Callable[[Output], None] = lambda made: None
    over: bool = False
    arrived: float = 0.0
