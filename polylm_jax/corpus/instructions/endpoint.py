"""An endpoint that speaks OpenAI's chat protocol: one question, one answer, whatever happens on the way.

Answers are streamed where the endpoint can, so that silence is told from work. The key comes from the
environment and goes into the request's header and nowhere else.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import httpx
import tenacity

from polylm_jax.corpus.instructions.answers import Answer, Failed, Received
from polylm_jax.corpus.instructions.spending import Spending
from polylm_jax.corpus.instructions.transport import SEEN, BoundedTransport, TooLong
from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, NonNegative, Positive, SomeShare

# A recipe names `Endpoint` whatever is run, and openai takes most of a second to import.
if TYPE_CHECKING:
    import openai

OPENAI = "https://api.openai.com/v1"
# Fields of a request that some servers refuse, and that `leave_out` may name.
OPTIONAL = ("stream", "stream_options", "top_p", "temperature")
HIDDEN = "[key]"


@dataclass(frozen=True)
class Endpoint:
    """Where the model is and how it is asked.

    base_url: up to and with /v1. model: as the endpoint names it. key_env: the variable that holds
    the key. temperature, top_p, max_tokens: of the tasks; the paper gives none, these are Alpaca's.
    concurrency: requests under way at once. attempts: per question. timeout: seconds from the
    question to the last word of its answer. quiet: seconds without a word after which it hangs.
    first_wait, longest_wait: seconds between attempts, doubled each time, with chance.
    length_field: 'max_completion_tokens' for OpenAI's reasoning models. leave_out: fields of
    `OPTIONAL` that are not sent, for a server that refuses them.
    """

    model: str
    base_url: str = OPENAI
    key_env: str = "OPENAI_API_KEY"
    temperature: NonNegative = 1.0
    top_p: SomeShare = 1.0
    max_tokens: Count = 3072
    concurrency: Count = 8
    attempts: Count = 6
    timeout: Positive = 300.0
    quiet: Positive = 60.0
    first_wait: NonNegative = 1.0
    longest_wait: NonNegative = 60.0
    length_field: str = "max_tokens"
    leave_out: Sequence[str] = ()

    def key(self) -> str:
        """The key; a word in its place for an endpoint of one's own that asks for none.

        Raises InputError for settings that can't be.
        """
        url = (
            httpx.URL(self.base_url) if self.base_url.startswith(("http://", "https://")) else None
        )
        if url is None or not url.host:
            raise InputError(f"BASE_URL = {self.base_url!r} is no address: give http(s)://HOST/v1.")
        if url.userinfo or url.query:
            raise InputError(f"BASE_URL holds a key: set it as {self.key_env} in the environment.")
        check_ranges(self)
        if self.length_field not in ("max_tokens", "max_completion_tokens"):
            raise InputError(f"LENGTH_FIELD is {self.length_field!r}: 'max_tokens' is usual.")
        for name in (self.leave_out,) if isinstance(self.leave_out, str) else self.leave_out:
            if name not in OPTIONAL:
                raise InputError(
                    f"LEAVE_OUT names {name!r}.{nearest(name, OPTIONAL)} Give some of "
                    f"{', '.join(OPTIONAL)}."
                )
        key = os.environ.get(self.key_env, "").strip()
        if not key and url.host == httpx.URL(OPENAI).host:
            raise InputError(f"{self.key_env} isn't set: put the endpoint's key there.")
        if not key.isascii() or any(c.isspace() for c in key):
            raise InputError(f"{self.key_env} holds what can't be a key: set it again.")
        return key or "none"


class Client:
    """Asks an endpoint, as often as it takes, within its spending. Use as a context."""

    def __init__(self, endpoint: Endpoint, spending: Spending):
        import openai

        self._endpoint, self._spending = endpoint, spending
        self._key = endpoint.key()
        self._places = asyncio.Semaphore(endpoint.concurrency)
        times = httpx.Timeout(
            endpoint.timeout, read=endpoint.quiet, connect=min(20, endpoint.quiet)
        )
        limits = httpx.Limits(max_connections=endpoint.concurrency + 4)
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=self._key,
            max_retries=0,
            timeout=times,
            http_client=httpx.AsyncClient(
                transport=BoundedTransport(limits=limits), timeout=times, follow_redirects=False
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()

    async def ask(self, prompt: str, temperature: float | None = None) -> Answer:
        """The answer to a prompt. Raises Failed after the last attempt, CapReached before one."""
        endpoint = self._endpoint
        chance = tenacity.wait_exponential(
            multiplier=endpoint.first_wait, max=endpoint.longest_wait
        ) + tenacity.wait_random(0, endpoint.first_wait)

        def wait(state: tenacity.RetryCallState) -> float:
            failed = state.outcome.exception() if state.outcome else None
            asked = failed.wait if isinstance(failed, Failed) else 0.0
            return max(chance(state), min(asked, endpoint.longest_wait))

        async with self._places:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception(lambda e: isinstance(e, Failed) and e.transient),
                wait=wait,
                stop=tenacity.stop_after_attempt(endpoint.attempts),
                reraise=True,
            ):
                with attempt:
                    return await self._paid(prompt, temperature)
        raise AssertionError("tenacity ends with an answer or an exception")

    async def _paid(self, prompt: str, temperature: float | None) -> Answer:
        """One attempt, its cost counted whatever becomes of it: the endpoint's own count, if it gave one."""
        worst = self._most(prompt) + self._endpoint.max_tokens
        request = await self._spending.open(worst)
        received, tokens, outcome = Received(), None, "stopped"
        try:
            answer = await self._attempt(prompt, temperature, received)
            tokens, outcome = answer.tokens or self._most(prompt, answer.text), "answered"
            return answer
        except Failed as failed:
            tokens, outcome = 0 if failed.free else received.tokens or None, failed.outcome
            raise
        finally:
            self._spending.close(request, tokens, outcome)

    @staticmethod
    def _most(*texts: str) -> int:
        """Tokens of texts that nobody has counted, at the most: no vocabulary needs more than bytes."""
        return sum(len(text.encode()) for text in texts)

    async def _attempt(self, prompt: str, temperature: float | None, received: Received) -> Answer:
        import openai

        try:
            async with asyncio.timeout(self._endpoint.timeout):
                return await self._answer(self._request(prompt, temperature), received)
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except (TimeoutError, openai.APITimeoutError, httpx.TimeoutException):
            raise Failed("timeout", True) from None
        except TooLong as error:
            raise Failed("too long", True, str(error)) from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, TooLong):
                raise Failed("too long", True, str(error.__cause__)) from None
            reached = isinstance(error.__cause__, httpx.ConnectError)
            raise Failed("no connection" if reached else "cut stream", True, free=reached) from None
        except httpx.TransportError:
            raise Failed("cut stream", True) from None
        except openai.APIError as error:  # an error inside of the stream
            raise Failed("error in the stream", True, self._shown(error.message)) from None
        except Failed as failed:
            failed.args = (self._shown(failed),)
            failed.outcome = self._shown(failed.outcome)
            raise
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
            # What openai's client finds no protocol in: broken JSON, a number for a text.
            raise Failed("not the protocol", True) from None

    def _request(self, prompt: str, temperature: float | None) -> dict:
        """The fields of a request, without those that are to be left out."""
        endpoint = self._endpoint
        optional = {
            "temperature": endpoint.temperature if temperature is None else temperature,
            "top_p": endpoint.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        left_out = (
            {endpoint.leave_out} if isinstance(endpoint.leave_out, str) else endpoint.leave_out
        )
        if "stream" in left_out:
            left_out = {*left_out, "stream_options"}
        return {
            "model": endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            endpoint.length_field: endpoint.max_tokens,
            **{name: value for name, value in optional.items() if name not in left_out},
        }

    async def _answer(self, request: dict, received: Received) -> Answer:
        """What comes of a request, kept in `received` as it comes."""
        create = self._client.chat.completions
        if "stream" not in request:
            raw = await create.with_raw_response.create(**request)
            received.add_json(raw.http_response.content)
            return self._without_key(received.answer(whole=True))
        stream, events = await create.create(**request), 0
        async with stream:
            async for chunk in stream:
                events += 1
                received.bill(chunk.usage)
                for choice in chunk.choices or ():
                    if not hasattr(choice, "delta"):
                        raise TypeError("a choice without a delta")
                    if getattr(choice, "index", None) in (0, None):  # some leave out the only one's
                        received.add(choice, choice.delta.content)
                if received.characters > 60 * self._endpoint.max_tokens:
                    raise TooLong(f"{received.characters:,} characters")
        seen = stream.response.extensions[SEEN]
        if seen.plain:  # JSON though a stream was asked for
            received.add_json(seen.plain)
        elif seen.size and not events:
            raise ValueError("a page, or the like")
        return self._without_key(received.answer(whole=seen.done or bool(seen.plain)))

    def _without_key(self, answer: Answer) -> Answer:
        hidden = self._key != "none" and self._key in answer.text
        return replace(answer, text=answer.text.replace(self._key, HIDDEN)) if hidden else answer

    def _refused(self, error: "openai.APIStatusError") -> Failed:
        code = error.status_code
        transient = code in (408, 409, 425, 429) or code >= 500
        detail = f"{code}: {self._shown(_message(error))}{self._remedy(code, _message(error))}"
        failed = Failed(f"HTTP {code}", transient, detail, free=code < 500 or code in (502, 503))
        try:
            failed.wait = max(0.0, float(error.response.headers.get("retry-after", 0)))
        except ValueError:
            failed.wait = 0.0
        return failed

    def _remedy(self, code: int, message: str) -> str:
        """What to set where a server refuses a field of the request and names it."""
        if code not in (400, 422):
            return ""
        if self._endpoint.length_field == "max_tokens" and "max_completion_tokens" in message:
            return "; set LENGTH_FIELD = 'max_completion_tokens'"
        named = [name for name in reversed(OPTIONAL) if name in message]
        named = ["stream_options"] if "stream_options" in named else named
        return f"; LEAVE_OUT = ({named[0]!r},) doesn't send it" if named else ""

    def _shown(self, message: object) -> str:
        """A server's words as one short line: the key taken out, nothing that moves a cursor."""
        text = str(message).replace(self._key, HIDDEN)[:300]
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line[:200] or "no message"


def _message(error: "openai.APIStatusError") -> str:
    body = error.body
    found = body.get("message") if isinstance(body, dict) else None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        found = body["error"].get("message")
    return found if isinstance(found, str) else json.dumps(body, default=str)[:300] if body else ""
