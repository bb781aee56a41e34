"""The settings of `run.py serve`, by what they are about; each is declared here once."""

from collections.abc import Sequence
from dataclasses import dataclass

from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Port, Positive


@dataclass(frozen=True)
class Listening:
    """Where the server listens, and what it takes from clients.

    host, port: where it listens; anywhere but on a loopback address it needs a key, which is read
    from the environment (POLYLM_API_KEY).
    max_body_bytes, body_seconds: of a request's body at most, and how long it may take to come.
    drain_seconds: after SIGTERM, texts under way have as long.
    cors_origins: other sites whose pages may call the server from a browser, as
    'https://app.example.org', or '*' for all.
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    max_body_bytes: Count = 4_000_000
    body_seconds: Positive = 20.0
    drain_seconds: NonNegative = 60.0
    cors_origins: Sequence[str] = ()


@dataclass(frozen=True)
class ChatSettings:
    """How the turns of a chat become one text.

    chat_template: Jinja over `messages`, by default PolyLM's chat format.
    chat_stops: strings that end an answer.
    """

    chat_template: str = ""
    chat_stops: Sequence[str] = ("<|user|>",)


@dataclass(frozen=True)
class Computing:
    """How texts are made, and how many.

    mesh: devices as data x fsdp x tensor.
    rows: texts made at once, a multiple of data x fsdp.
    chunk: tokens between two looks at who came and who left.
    max_waiting: texts in the queue.
    max_new_tokens: of one text, 0 for what the model has positions for.
    compilation_cache_dir: compiled programs are kept here for the next start; '' keeps none.
    """

    mesh: MeshConfig = MeshConfig()  # noqa: RUF009 (frozen)
    rows: Count = 8
    chunk: Count = 8
    max_waiting: Count = 256
    max_new_tokens: Natural = 0
    compilation_cache_dir: str = "~/.cache/polylm_jax"
