"""Answers as the protocol writes them: whole ones, and the chunks of a stream."""

import secrets
import time
from collections.abc import Sequence

from polylm_jax.inference.serving.logprobs import Pieces
from polylm_jax.inference.serving.protocol import Chat, Completion
from polylm_jax.inference.serving.writing import CONTEXT, Delta, Writer
from polylm_jax.tokenizer.tokenizer import Tokenizer


class Answer:
    """The answer to one request, whichever endpoint it came to."""

    def __init__(
        self, body: Chat | Completion, writers: Sequence[Writer], model: str, fingerprint: str,
        tokenizer: Tokenizer, pieces: Pieces,
    ):  # fmt: skip
        self._body, self._writers = body, writers
        self._tokenizer, self._pieces = tokenizer, pieces
        self._is_chat = isinstance(body, Chat)
        kind = "chat.completion" if self._is_chat else "text_completion"
        self._chunk_kind = {"object": "chat.completion.chunk"} if self._is_chat else {}
        name = "chatcmpl" if self._is_chat else "cmpl"
        self._head = {
            "id": f"{name}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()),
            "model": model, "system_fingerprint": fingerprint,
        }  # fmt: skip
        options = body.stream_options
        self._every = bool(options and options.continuous_usage_stats)
        self._usage_last = bool(options and options.include_usage)

    def whole(self) -> dict:
        """All choices, done."""
        return self._head | {
            "choices": [self._choice(writer) for writer in self._writers],
            "usage": self.usage(),
        }

    def usage(self) -> dict:
        """Tokens read and made so far; a prompt counts once, however many choices it has."""
        prompts = {id(writer.job.tokens): len(writer.job.tokens) for writer in self._writers}
        read, made = sum(prompts.values()), sum(len(w.tokens) for w in self._writers)
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def _choice(self, writer: Writer) -> dict:
        choice: dict[str, object] = {
            "index": writer.index,
            "finish_reason": writer.finish,
            "logprobs": None,
        }
        if self._is_chat:
            if self._body.logprobs:
                content = self._pieces.chat(writer.tokens, writer.all_log_p, self._top)
                choice["logprobs"] = {"content": content, "refusal": None}
            message = {"role": "assistant", "content": writer.text, "refusal": None}
            return choice | {"message": message}
        if self._body.logprobs is not None:
            choice["logprobs"] = self._log_p(writer, writer.tokens, writer.log_p, echo=True)
        return choice | {"text": self._echoed(writer) + writer.text}

    @property
    def _top(self) -> int:
        body = self._body
        return (body.top_logprobs if isinstance(body, Chat) else body.logprobs) or 0

    def _echoed(self, writer: Writer) -> str:
        return self._tokenizer.decode(writer.job.tokens) if writer.choice.echo else ""

    def _log_p(self, writer, tokens, parts, *, echo: bool, shown=()) -> dict:
        """Of new tokens, behind those of the prompt where that is echoed. shown: those before them."""
        context = () if writer.choice.echo else list(writer.job.tokens)[-CONTEXT:]
        if echo and writer.choice.echo:
            tokens, parts = [*writer.job.tokens, *tokens], [None, writer.prompt_log_p, *parts]
        return self._pieces.completion(tokens, parts, self._top, shown, context)

    def opening(self) -> list[dict]:
        """The chunks that a stream begins with: a chat's role in each choice."""
        if not self._is_chat:
            return []
        return [
            self._chunk(writer, {"delta": {"role": "assistant", "content": "", "refusal": None}})
            for writer in self._writers
        ]

    def chunk(self, writer: Writer, delta: Delta) -> dict | None:
        """What is new; None where nothing can be shown yet."""
        first = len(writer.tokens) == len(delta.tokens)
        text = self._echoed(writer) + delta.text if first else delta.text
        wants = self._body.logprobs is not None and self._body.logprobs is not False
        if not (text or delta.finish or (wants and delta.tokens)):
            return None
        log_p = None
        if wants and delta.log_p and self._is_chat:
            content = self._pieces.chat(delta.tokens, delta.log_p, self._top)
            log_p = {"content": content, "refusal": None}
        elif wants and delta.log_p:
            before = [*writer.job.tokens] if writer.choice.echo and not first else []
            before += writer.tokens[: len(writer.tokens) - len(delta.tokens)]
            log_p = self._log_p(writer, delta.tokens, [delta.log_p], echo=first, shown=before)
        shown = {"delta": {"content": text} if text else {}} if self._is_chat else {"text": text}
        return self._chunk(writer, shown, log_p, delta.finish)

    def _chunk(self, writer, shown: dict, log_p=None, finish: str | None = None) -> dict:
        choice = {"index": writer.index, **shown, "logprobs": log_p, "finish_reason": finish}
        chunk = self._head | self._chunk_kind | {"choices": [choice]}
        if self._every:
            chunk["usage"] = self.usage()
        elif self._usage_last:
            chunk["usage"] = None
        return chunk

    def closing(self) -> list[dict]:
        """The chunk with the usage, where it was asked for."""
        if not self._usage_last:
            return []
        return [self._head | self._chunk_kind | {"choices": [], "usage": self.usage()}]
