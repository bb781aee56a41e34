"""A checked body -> the jobs of its choices, within the model's and the server's limits."""

import dataclasses
import functools
import secrets

import jinja2

from polylm_jax.errors import InputError
from polylm_jax.inference.generation.sampling import Sampling
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.jobs import Job
from polylm_jax.inference.serving.protocol import ApiError, Chat, CommonBody, Completion
from polylm_jax.inference.serving.sampler import Rule
from polylm_jax.tokenizer.tokenizer import Tokenizer

LEAST_TEMPERATURE = 1e-4  # below it only rounding would choose: the likeliest token is taken
COMPLETION_TOKENS = 16  # the protocol's default of /v1/completions


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    max_length: positions of the model. max_new_tokens: of one text. max_choices: texts of one
    request. chat_stops: strings that end an answer besides a request's own.
    """

    max_length: int
    max_new_tokens: int
    max_choices: int
    chat_stops: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Choice:
    """One choice: its job, strings that end it, and what stands before it when it is shown."""

    job: Job
    stops: tuple[str, ...] = ()
    echo: bool = False


class RequestReader:
    """Turns bodies into jobs; ApiError 400 for what can't be."""

    def __init__(self, tokenizer: Tokenizer, chat_format: ChatFormat, limits: Limits):
        self._tokenizer, self._format, self.limits = tokenizer, chat_format, limits

    def completion(self, body: Completion) -> list[Choice]:
        """Choices of /v1/completions, prompt after prompt."""
        if body.best_of not in (None, body.n or 1):
            raise ApiError(
                400, "best_of other than n is not served: leave it out.", param="best_of"
            )
        echoed = bool(body.echo) and body.logprobs is not None
        job = functools.partial(
            Job, log_p=body.logprobs is not None, prompt_log_p=echoed,
            repeatable=body.seed is not None,
        )  # fmt: skip
        prompts = self._prompts(body.prompt)
        self._check_choices(len(prompts) * (body.n or 1))
        limit = COMPLETION_TOKENS if body.max_tokens is None else body.max_tokens
        if not limit and not body.echo:
            raise ApiError(400, "max_tokens = 0 without echo asks for nothing.", param="max_tokens")
        return [
            Choice(job(ids, limit, rule), body.stops, bool(body.echo))
            for ids in prompts
            for rule in self._rules(body)
            if self._fits(ids, limit, "prompt")
        ]

    def chat(self, body: Chat) -> list[Choice]:
        """Choices of /v1/chat/completions."""
        if body.top_logprobs is not None and not body.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs = true: set it.", param="top_logprobs")
        self._check_choices(body.n or 1)
        turns = [{"role": _role(m.role), "content": m.text} for m in body.messages]
        try:
            ids = self._format.ids(turns) or [self._tokenizer.eos_id]
        except jinja2.TemplateError as error:
            raise ApiError(400, f"the chat template refuses: {error}.", param="messages") from error
        room = self.limits.max_length - len(ids)
        given = body.max_completion_tokens or body.max_tokens
        limit = min(max(room, 1), self.limits.max_new_tokens) if given is None else given
        if limit < 1:
            raise ApiError(400, "max_tokens = 0: give a positive number.", param="max_tokens")
        self._fits(ids, limit, "messages")
        stops = (*body.stops, *self.limits.chat_stops)
        repeatable = body.seed is not None
        job = functools.partial(Job, log_p=bool(body.logprobs), repeatable=repeatable)
        return [Choice(job(ids, limit, rule), stops) for rule in self._rules(body)]

    def _prompts(self, prompt) -> list[list[int]]:
        """Token ids of each prompt; none at all is `</s>`, after which a document begins."""
        if prompt is None or isinstance(prompt, str):
            prompt = [prompt or ""]
        elif prompt and isinstance(prompt[0], int):
            prompt = [prompt]
        if not prompt or [] in prompt:
            raise ApiError(400, "prompt is an empty list: give text or token ids.", param="prompt")
        self._check_choices(len(prompt))
        ids = [
            (self._tokenizer.encode(one) or [self._tokenizer.eos_id])
            if isinstance(one, str)
            else one
            for one in prompt
        ]
        highest = max(max(one) for one in ids)
        if highest >= self._tokenizer.vocab_size:
            raise ApiError(
                400, f"prompt has token {highest} and the vocabulary "
                f"{self._tokenizer.vocab_size} pieces: use this model's.", param="prompt",
            )  # fmt: skip
        return ids

    def _check_choices(self, count):
        if count > self.limits.max_choices:
            raise ApiError(
                400, f"{count} texts in one request (prompts x n): ask for "
                f"{self.limits.max_choices} at most.", param="n",
            )  # fmt: skip

    def _fits(self, ids, limit, field) -> bool:
        """True, or ApiError."""
        length, most = self.limits.max_length, self.limits.max_new_tokens
        if limit > most:
            raise ApiError(
                400, f"max_tokens = {limit}: this server makes {most} at most.", param="max_tokens"
            )
        if len(ids) + limit > length:
            raise ApiError(
                400, f"This model's maximum context length is {length} tokens, and {len(ids)} in "
                f"the {field} with {limit} new ones exceed it: shorten one of them.",
                param=field, code="context_length_exceeded",
            )  # fmt: skip
        return True

    def _rules(self, body: CommonBody) -> list[Rule]:
        """One per choice: they share the seed and differ in the number of the sample."""
        temperature = 1.0 if body.temperature is None else body.temperature
        sampling = Sampling(
            temperature=0.0 if temperature < LEAST_TEMPERATURE else temperature,
            top_k=max(body.top_k or 0, 0),
            top_p=1.0 if body.top_p is None else body.top_p,
            repetition_penalty=body.repetition_penalty or 1.0,
        )
        seed = secrets.randbits(32) if body.seed is None else body.seed
        try:
            return [
                Rule(
                    sampling, seed, sample, body.frequency_penalty or 0.0,
                    body.presence_penalty or 0.0, _bias(body),
                ).check(self._tokenizer.vocab_size)
                for sample in range(body.n or 1)
            ]  # fmt: skip
        except InputError as error:
            raise ApiError(400, str(error), param="logit_bias") from error


def _bias(body: CommonBody) -> dict[int, float]:
    try:
        return {int(token): bias for token, bias in (body.logit_bias or {}).items()}
    except ValueError as error:
        raise ApiError(
            400, f"logit_bias has a key that is no token id ({error}).", param="logit_bias"
        ) from error


def _role(role: str) -> str:
    """'developer' is the newer name of 'system'."""
    return "system" if role == "developer" else role
