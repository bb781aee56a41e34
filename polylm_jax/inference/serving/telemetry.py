"""What the server counts, for Prometheus: requests, queue, rows, tokens and times."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Telemetry:
    """The metrics of one server, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self):
        registry = self._registry = CollectorRegistry()
        names = {"registry": registry, "namespace": "polylm"}
        self._requests = Counter("requests", "Answered requests.", ["path", "status"], **names)
        self._gone = Counter("clients_gone", "Requests whose client left early.", **names)
        self._prompt_tokens = Counter("prompt_tokens", "Tokens of prompts read.", **names)
        self._made_tokens = Counter("generated_tokens", "Tokens made.", **names)
        self._active = Gauge("texts_active", "Texts under way.", **names)
        self._waiting = Gauge("texts_waiting", "Texts in the queue.", **names)
        timed = {"buckets": SECONDS, **names}
        self._queue_seconds = Histogram("queue_seconds", "From arrival to prefill.", **timed)
        self._request_seconds = Histogram(
            "request_seconds", "From a request's body to its answer's end.", ["path"], **timed
        )
        self._first_seconds = Histogram(
            "first_token_seconds", "From a request's body to its first token.", **timed
        )
        self._turn_seconds = Histogram("chunk_seconds", "A chunk of all texts under way.", **timed)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._requests.labels(path, status).inc()
        self._request_seconds.labels(path).observe(seconds)

    def gone(self) -> None:
        """A client left before its answer was there."""
        self._gone.inc()

    def first_token(self, seconds: float) -> None:
        """A request has its first token."""
        self._first_seconds.observe(seconds)

    def started(self, seconds: float, tokens: int) -> None:
        """A prompt of so many tokens is read after so long in the queue."""
        self._queue_seconds.observe(seconds)
        self._prompt_tokens.inc(tokens)

    def made(self, tokens: int) -> None:
        """So many new tokens."""
        self._made_tokens.inc(tokens)

    def turn(self, active: int, waiting: int, seconds: float) -> None:
        """The engine has gone round once."""
        self._active.set(active)
        self._waiting.set(waiting)
        self._turn_seconds.observe(seconds)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
