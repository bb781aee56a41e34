"""What requests cost, in requests and tokens, and the cap that no request may break."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from polylm_jax.corpus.instructions.journal import Journal
from polylm_jax.runtime.ranges import Natural


class CapReached(Exception):
    """The next request might break the cap."""


@dataclass(frozen=True)
class Cap:
    """requests, tokens: the most that a pool may cost over all its starts; 0 for no limit."""

    requests: Natural = 0
    tokens: Natural = 0


class Spending:
    """What a pool has cost. A request is counted at its worst until its answer says what it cost.

    So the cap holds whenever the process dies, and whatever the endpoint forgets to say.
    """

    def __init__(self, cap: Cap, journal: Journal):
        self.cap, self._journal = cap, journal
        self.requests = self.tokens = 0
        self.outcomes: Counter[str] = Counter()
        self._open: dict[int, int] = {}  # request -> tokens that are put aside for it
        self._changed = asyncio.Event()

    def replay(self, event: dict) -> None:
        """An event of an earlier start. What was in flight when that ended stays at its worst."""
        if event["event"] == "sent":
            self.requests += 1
            self._open[event["request"]] = event["worst"]
            self.tokens += event["worst"]
        elif event["event"] == "paid":
            self._settle(event["request"], event["tokens"], event["outcome"])

    def replayed(self) -> None:
        """After the last one."""
        if self._open:
            self.outcomes["not known: in flight when the process ended"] += len(self._open)
        self._open.clear()

    async def open(self, worst: int) -> int:
        """Puts `worst` tokens aside for a request, waiting for those in flight where it must.

        Raises CapReached where it doesn't fit though nothing is in flight.
        """
        while not self._fits(worst):
            if not self._open or self._full():
                raise CapReached
            self._changed.clear()
            await self._changed.wait()
        self.requests += 1
        self.tokens += worst
        request = self.requests
        self._open[request] = worst
        event = {"event": "sent", "request": request, "worst": worst}
        self._journal.write(event, durable=False)
        return request

    def close(self, request: int, tokens: int | None, outcome: str) -> None:
        """What came of a request; tokens: None where the endpoint doesn't say, so the worst."""
        paid = self._open[request] if tokens is None else tokens
        event = {"event": "paid", "request": request, "tokens": paid, "outcome": outcome}
        self._journal.write(event, durable=False)
        self._settle(request, paid, outcome)
        self._changed.set()

    def _settle(self, request: int, tokens: int, outcome: str) -> None:
        self.tokens += tokens - self._open.pop(request)
        self.outcomes[outcome] += 1

    def _fits(self, worst: int) -> bool:
        fits = not self.cap.tokens or self.tokens + worst <= self.cap.tokens
        return fits and not self._full()

    def _full(self) -> bool:
        return bool(self.cap.requests) and self.requests >= self.cap.requests
