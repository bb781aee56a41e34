"""`run.py serve`: a checkpoint behind OpenAI's protocol, from its weights to its last answer."""

import hashlib
import ipaddress
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import types
import urllib.parse
from collections.abc import Sequence

import jax
import uvicorn

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.identity import Selection
from polylm_jax.errors import InputError
from polylm_jax.inference.generation import weights as loading
from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.inference.serving import app
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.engine import Engine
from polylm_jax.inference.serving.requests import Limits, RequestReader
from polylm_jax.inference.serving.settings import ChatSettings, Computing, Listening
from polylm_jax.inference.serving.slots import Slots
from polylm_jax.inference.serving.telemetry import Telemetry
from polylm_jax.model import devices, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime.spread import spread

KEY_VARIABLE = "POLYLM_API_KEY"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@spread("selection", "listening", "chat", "computing")
def serve(
    checkpoint: str,
    vocabulary: str,
    model: PolyLMConfig,
    *,
    selection: Selection,
    listening: Listening,
    chat: ChatSettings,
    computing: Computing,
    name: str = "",
) -> None:
    """Serves a checkpoint: OpenAI's protocol under /v1, and a page to talk in.

    checkpoint: MODEL_DIR of a run, local or gs://.
    vocabulary: the SentencePiece model that it was trained with.
    model: its config, as it was trained.
    name: of the model, by default the checkpoint's folder's.

    Raises InputError for bad input, before the weights are read.
    """
    key = _key(listening.host)
    _check_origins(listening.cors_origins)
    devices.start(computing.compilation_cache_dir)
    if jax.process_count() > 1:
        raise InputError("serve has one process: give it the devices of one host.")
    found, progress = selection.identify(checkpoint)
    tokenizer = identity.matching_tokenizer(vocabulary, progress, model.vocab_size)
    grid = partitioning.make_mesh(computing.mesh)
    decoder = Decoder(
        loading.generating(model), None, grid, eos=(tokenizer.eos_id,), batch_size=computing.rows,
        chunk=computing.chunk, pieces=tokenizer.vocab_size,
    )  # fmt: skip
    chat_format = ChatFormat(chat.chat_template, tokenizer)
    limit = min(computing.max_new_tokens or model.max_length, model.max_length)
    limits = Limits(model.max_length, limit, computing.max_waiting, tuple(chat.chat_stops))
    bound = _bound(listening.host, listening.port)
    decoder.params = loading.load(found, model, grid)[1]
    slots, telemetry = Slots(decoder), Telemetry()
    _warm(slots)
    service = app.Service(
        engine=Engine(slots, telemetry, computing.max_waiting),
        reader=RequestReader(tokenizer, chat_format, limits),
        chat_format=chat_format, tokenizer=tokenizer, telemetry=telemetry,
        model=name or pathlib.PurePath(checkpoint).name or "polylm",
        fingerprint=fingerprint(
            found.identity, tokenizer.fingerprint, model.numerics, chat.chat_template, limits,
            computing.rows, computing.chunk,
        ),
        max_length=model.max_length, max_body_bytes=listening.max_body_bytes,
        body_seconds=listening.body_seconds,
    )  # fmt: skip
    hosts = LOOPBACK_NAMES if _is_loopback(listening.host) else ()
    names = (*hosts, *([listening.host] if hosts else []))
    application = app.build(service, key, names, tuple(listening.cors_origins))
    run(service, application, bound, listening.drain_seconds)


def fingerprint(*deciding: object) -> str:
    """`system_fingerprint`: another one where the same request may get another text."""
    return f"fp_{hashlib.sha256(repr(deciding).encode()).hexdigest()[:12]}"


def _key(host: str) -> str:
    key = os.environ.get(KEY_VARIABLE, "")
    if not key and not _is_loopback(host):
        raise InputError(
            f"host = {host!r} is open to others: set {KEY_VARIABLE} in the environment to a key "
            "that they must send, or leave host at 127.0.0.1."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"{KEY_VARIABLE} must be printable ASCII without spaces: choose another.")
    return key


def _check_origins(origins: Sequence[str]) -> None:
    if isinstance(origins, str):
        raise InputError(f"cors_origins = {origins!r}: give a list of origins, [{origins!r}].")
    for origin in origins:
        found = urllib.parse.urlsplit(origin)
        good = found.scheme in ("http", "https") and found.netloc and not found.path
        if origin != "*" and not good:
            raise InputError(
                f"cors_origins has {origin!r}: give scheme and host of a site, without a path, as "
                "'https://app.example.org', or '*' for all."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bound(host: str, port: int) -> socket.socket:
    """The socket, bound before anything takes time; InputError where that can't be."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, number)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(
            f"host = {host!r}, port = {port} can't be listened on ({error}): choose another, with "
            "--port=N."
        ) from error
    return bound


def _warm(slots: Slots) -> None:
    began = time.monotonic()
    print("compiling ...", file=sys.stderr, flush=True)
    slots.warm()
    print(
        f"compiled in {time.monotonic() - began:.0f} s: prompts to {slots.prompt_buckets}, "
        f"{slots.rows} rows ({_widths(slots)} computed), {slots.nbytes / 2**20:,.0f} MiB of caches",
        file=sys.stderr,
    )


def _widths(slots: Slots) -> str:
    """'2 or 8', 'all'."""
    return " or ".join(map(str, slots.widths)) if len(slots.widths) > 1 else "all"


class Server(uvicorn.Server):
    """uvicorn's, which closes the engine at the first signal, so that what comes then gets a 503."""

    def __init__(self, config: uvicorn.Config, engine: Engine, drain_seconds: float):
        super().__init__(config)
        self._engine, self._drain_seconds = engine, drain_seconds

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        """SIGTERM or SIGINT: texts under way are finished; at the second SIGINT they are not."""
        if not self.should_exit:
            threading.Thread(target=self._drain, daemon=True).start()
        super().handle_exit(sig, frame)

    def _drain(self):
        print("shutting down: texts under way are finished", file=sys.stderr, flush=True)
        self._engine.close()
        if not self._engine.join(self._drain_seconds):
            self._engine.abort()


def run(service: app.Service, application, bound: socket.socket, drain_seconds: float) -> None:
    """Listens until a signal, then drains."""
    config = uvicorn.Config(
        application, log_level="warning", lifespan="off", server_header=False, access_log=False,
        timeout_keep_alive=75, timeout_graceful_shutdown=int(drain_seconds) + 10, ws="none",
    )  # fmt: skip
    server = Server(config, service.engine, drain_seconds)
    # uvicorn raises its signals again when it is done; to have drained is no failure.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    service.engine.start()
    host, port = bound.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"{service.model}: {address}/v1, and {address} to talk", file=sys.stderr, flush=True)
    try:
        server.run(sockets=[bound])
    finally:
        service.engine.abort()
        service.engine.join(drain_seconds)
        signal.signal(signal.SIGTERM, before)
    print("all texts are done", file=sys.stderr, flush=True)
