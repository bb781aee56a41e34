"""A toy model behind the protocol: a live server on a port of its own, one for all tests."""

import contextlib
import functools
import pathlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

import jax
import toy_generation
import toy_hf
import uvicorn

from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.inference.serving import app
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.engine import Engine
from polylm_jax.inference.serving.requests import Limits, RequestReader
from polylm_jax.inference.serving.slots import Slots
from polylm_jax.inference.serving.telemetry import Telemetry
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

MODEL = PolyLMConfig(
    num_layers=1, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=640, max_length=160,
    dtype="float32", attention="reference",
)  # fmt: skip
NAME = "toy"
ROWS = 4


@functools.cache
def tokenizer() -> Tokenizer:
    """A vocabulary of 600 pieces."""
    return Tokenizer.load(toy_hf.vocabulary(pathlib.Path(tempfile.mkdtemp())))


@functools.cache
def decoder() -> Decoder:
    """Random weights on one device."""
    mesh = partitioning.make_mesh(partitioning.MeshConfig(), jax.devices()[:1])
    eos, pieces = (tokenizer().eos_id,), tokenizer().vocab_size
    return toy_generation.decoder(MODEL, mesh, eos=eos, batch_size=ROWS, chunk=8, pieces=pieces)


@functools.cache
def slots() -> Slots:
    """Warm ones. One engine at a time may use them."""
    found = Slots(decoder(), smallest_prompt=80)
    found.warm()
    return found


@contextlib.contextmanager
def engine(max_waiting: int = 64) -> Iterator[Engine]:
    """A running one, which has nothing under way when it ends."""
    running = Engine(slots(), Telemetry(), max_waiting)
    running.start()
    try:
        yield running
    finally:
        running.abort()
        assert running.join(30)


def service(running: Engine, **options) -> app.Service:
    """What the routes answer with."""
    chat_format = ChatFormat("", tokenizer())
    limits = Limits(MODEL.max_length, 128, running.max_waiting, ("<|user|>",))
    return app.Service(
        engine=running, reader=RequestReader(tokenizer(), chat_format, limits), chat_format=chat_format,
        tokenizer=tokenizer(), telemetry=running.telemetry, model=NAME, fingerprint="fp_toy",
        max_length=MODEL.max_length, **options,
    )  # fmt: skip


@contextlib.contextmanager
def server(key: str = "", hosts=(), max_waiting: int = 64, origins=(), **options) -> Iterator[str]:
    """The address of a live server."""
    with engine(max_waiting) as running:
        application = app.build(service(running, **options), key, hosts, origins)
        config = uvicorn.Config(application, log_level="error", lifespan="off")
        listening = uvicorn.Server(config)
        bound = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=listening.run, args=([bound],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            listening.should_exit = True
            thread.join(30)


def wait_until(condition, seconds: float = 30) -> None:
    """Returns once it holds; AssertionError where it doesn't in time."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)
