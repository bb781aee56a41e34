"""The routes: completions, chats, models, tokens, health, metrics and the page."""

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import AsyncIterator, Sequence

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from polylm_jax.inference.serving import bodies, page
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.engine import Closed, Engine, Full
from polylm_jax.inference.serving.jobs import FAILED, Output
from polylm_jax.inference.serving.logprobs import Pieces
from polylm_jax.inference.serving.middleware import Guard, Json
from polylm_jax.inference.serving.protocol import (
    ApiError,
    Chat,
    CommonBody,
    Completion,
    Detokenize,
    Tokenize,
    parsed,
)
from polylm_jax.inference.serving.requests import Choice, RequestReader
from polylm_jax.inference.serving.responses import Answer
from polylm_jax.inference.serving.telemetry import Telemetry
from polylm_jax.inference.serving.writing import Delta, Writer
from polylm_jax.tokenizer.tokenizer import EOS, Tokenizer

LARGE = 20_000  # bytes of a body that is not tokenized between two others' chunks


@dataclasses.dataclass(frozen=True)
class Service:
    """What the routes answer with. fingerprint: of the weights. created: when they were loaded."""

    engine: Engine
    reader: RequestReader
    chat_format: ChatFormat
    tokenizer: Tokenizer
    telemetry: Telemetry
    model: str
    fingerprint: str
    max_length: int
    max_body_bytes: int = 4_000_000
    body_seconds: float = 20.0
    created: int = dataclasses.field(default_factory=lambda: int(time.time()))


def build(
    service: Service, key: str = "", hosts: Sequence[str] = (), origins: Sequence[str] = ()
) -> Guard | CORSMiddleware:
    """The ASGI application. origins: of other sites whose pages may call it from a browser."""
    routes = Routes(service)
    router = Router(
        [
            Route("/", routes.page),
            Route("/health", routes.health),
            Route("/metrics", routes.metrics),
            Route("/v1/models", routes.models),
            Route("/v1/models/{name:path}", routes.one_model),
            Route("/v1/completions", routes.completions, methods=["POST"]),
            Route("/v1/chat/completions", routes.chat_completions, methods=["POST"]),
            Route("/tokenize", routes.tokenize, methods=["POST"]),
            Route("/detokenize", routes.detokenize, methods=["POST"]),
            Route("/tokenizer_info", routes.tokenizer_info),
        ]
    )
    paths = [route.path for route in router.routes if isinstance(route, Route)]
    guard = Guard(router, service.telemetry, key, hosts, paths)
    if not origins:
        return guard
    # Before the guard: a browser asks first (OPTIONS) without the key, and reads errors alike.
    return CORSMiddleware(
        guard, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"],
        expose_headers=["retry-after"],
    )  # fmt: skip


class Routes:
    """One method per route."""

    def __init__(self, service: Service):
        self._service = service
        self._pieces = Pieces(service.tokenizer)

    async def completions(self, request: Request) -> Response:
        return await self._texts(request, Completion, self._service.reader.completion)

    async def chat_completions(self, request: Request) -> Response:
        return await self._texts(request, Chat, self._service.reader.chat)

    async def _texts(self, request, form, plan) -> Response:
        began = time.monotonic()
        body = await self._body(request, form)
        self._check_model(body.model)
        choices = await self._planned(request, plan, body)
        writers = [Writer(i, one, self._service.tokenizer) for i, one in enumerate(choices)]
        s = self._service
        answer = Answer(body, writers, s.model, s.fingerprint, s.tokenizer, self._pieces)
        made = _Deliveries(s.engine, writers)
        made.submit()
        if body.stream:
            return Stream(request, made, self._streamed(answer, made, began))
        with made:
            await bodies.until_gone(request, self._finished(made, began))
        return Json(answer.whole())

    async def _finished(self, made, began):
        async for _ in self._deltas(made, began):
            pass

    async def _deltas(self, made, began) -> AsyncIterator[tuple[Writer, Delta]]:
        first = True
        async for writer, delta in made:
            if first:
                self._service.telemetry.first_token(time.monotonic() - began)
                first = False
            yield writer, delta

    async def _streamed(self, answer: Answer, made, began) -> AsyncIterator[dict]:
        for chunk in answer.opening():
            yield chunk
        try:
            async for writer, delta in self._deltas(made, began):
                if shown := answer.chunk(writer, delta):
                    yield shown
        except ApiError as error:
            yield error.body()
            return
        for chunk in answer.closing():
            yield chunk

    async def _planned(self, request, plan, body: CommonBody) -> list[Choice]:
        """Long prompts are tokenized beside the loop that serves the others."""
        if int(request.headers.get("content-length", LARGE)) < LARGE:
            return plan(body)
        return await run_in_threadpool(plan, body)

    async def _body(self, request, form):
        s = self._service
        return parsed(form, await bodies.fields(request, s.max_body_bytes, s.body_seconds))

    def _check_model(self, name):
        if name not in (None, self._service.model):
            raise ApiError(
                404, f"The model {name[:100]!r} is not served: it is {self._service.model!r}.",
                param="model", code="model_not_found",
            )  # fmt: skip

    async def models(self, request: Request) -> Response:
        return Json({"object": "list", "data": [self._model()]})

    async def one_model(self, request: Request) -> Response:
        self._check_model(request.path_params["name"])
        return Json(self._model())

    def _model(self):
        s = self._service
        return {
            "id": s.model, "object": "model", "created": s.created, "owned_by": "polylm-jax",
            "max_model_len": s.max_length, "max_output_tokens": s.reader.limits.max_new_tokens,
        }  # fmt: skip

    async def health(self, request: Request) -> Response:
        engine = self._service.engine
        if not engine.open:
            raise ApiError(503, "the server takes no more requests.")
        return Json({"status": "ok", "active": engine.slots.active, "waiting": engine.waiting})

    async def metrics(self, request: Request) -> Response:
        telemetry = self._service.telemetry
        return Response(telemetry.text(), media_type=telemetry.content_type)

    async def page(self, request: Request) -> Response:
        return Response(page.content(), media_type="text/html", headers=page.HEADERS)

    async def tokenize(self, request: Request) -> Response:
        """Text -> ids. A text that is a control piece as a whole, as '</s>', is that piece.

        Clients learn the ids of special tokens in this way; inside of a text they stay text.
        """
        body = await self._body(request, Tokenize)
        processor = self._service.tokenizer.processor
        token = processor.piece_to_id(body.prompt)
        ids = [token] if processor.is_control(token) else []
        ids = ids or await run_in_threadpool(self._service.tokenizer.encode, body.prompt)
        counted = {"count": len(ids), "max_model_len": self._service.max_length}
        return Json({**counted, "tokens": ids})

    async def detokenize(self, request: Request) -> Response:
        """Ids -> text."""
        body = await self._body(request, Detokenize)
        if max(body.tokens, default=0) >= self._service.tokenizer.vocab_size:
            raise ApiError(400, "tokens has an id beyond the vocabulary.", param="tokens")
        return Json({"prompt": self._service.tokenizer.decode(body.tokens)})

    async def tokenizer_info(self, request: Request) -> Response:
        template = self._service.chat_format.template
        return Json({"eos_token": EOS, "bos_token": None, "pad_token": None,
                     "chat_template": template, "tokenizer_class": "PolyLM"})  # fmt: skip


class _Deliveries:
    """What comes of a request's jobs, as it comes; whatever ends it, its places are free then."""

    def __init__(self, engine: Engine, writers: Sequence[Writer]):
        self._engine, self._writers = engine, writers
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[Writer, Output]] = asyncio.Queue()
        for writer in writers:
            writer.job.deliver = functools.partial(self._put, writer)

    def _put(self, writer, made):
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (writer, made))

    def submit(self):
        """ApiError 429 or 503 where the engine doesn't take them."""
        try:
            self._engine.submit([writer.job for writer in self._writers])
        except Full:
            raise ApiError(
                429, f"{self._engine.waiting} texts wait already: try again later.",
                code="rate_limit_exceeded", headers={"retry-after": "1"},
            ) from None  # fmt: skip
        except Closed:
            raise ApiError(
                503, "the server is shutting down: try another one.", headers={"retry-after": "5"}
            ) from None

    async def __aiter__(self) -> AsyncIterator[tuple[Writer, Delta]]:
        going = len(self._writers)
        while going:
            writer, made = await self._queue.get()
            if writer.finish:
                continue
            if made.finish == FAILED:
                raise ApiError(503, f"{made.error}: try again.", code="unavailable")
            delta = writer.take(made)
            if writer.finish:
                going -= 1
                self._engine.cancel([writer.job])
            yield writer, delta

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._engine.cancel([writer.job for writer in self._writers])


class Stream(Response):
    """Server-sent events, until the client leaves. made: closed then."""

    def __init__(self, request: Request, made: _Deliveries, chunks: AsyncIterator[dict]):
        super().__init__(
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]
        self._request, self._made, self._chunks = request, made, chunks

    async def __call__(self, scope, receive, send):
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with self._made:
            await send(start)
            await bodies.until_gone(self._request, self._send(send))

    async def _send(self, send):
        async with contextlib.aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                await self._event(send, orjson.dumps(chunk))
        await self._event(send, b"[DONE]")
        await send({"type": "http.response.body", "body": b""})

    async def _event(self, send, content: bytes):
        body = b"data: " + content + b"\n\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})
