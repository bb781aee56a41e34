"""The numbers of a task, and how they came about."""

import dataclasses

from polylm_jax.evaluation.protocol import Protocol

TEXT = "text"  # the kind of a task of plain text, beside protocol.RANK and protocol.GENERATE
COUNTS = ("items", "bytes", "characters", "tokens")  # among the metrics, and no scores


@dataclasses.dataclass(frozen=True)
class Result:
    """What the evaluation of a task found.

    metrics: as the task's own functions return them; empty where every item was too long. items:
    of the task; too_long of them aren't in the metrics. requests: asked in all; computed: of these,
    now, in `seconds`; the others were known.
    """

    task: str
    protocol: Protocol
    metrics: dict[str, float]
    items: int
    too_long: int
    requests: int
    computed: int
    seconds: float

    def as_dict(self) -> dict:
        """Plain JSON values."""
        told = {"describe": self.protocol.describe()} | dataclasses.asdict(self.protocol)
        return dataclasses.asdict(self) | {"protocol": told}
