"""The numbers of a task, and how they came about."""

import dataclasses

from polylm_jax.evaluation.protocol import GENERATE, RANK, Protocol

TEXT = "text"  # the kind of a task of plain text, beside protocol.RANK and protocol.GENERATE
ANSWER_BITS = "answer_bits_per_byte"  # of the right choice, beside every accuracy
# Guessing between two choices over 50 items is off by 7 points, one time in three.
FEWEST = 50
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
    silent: bool = False  # says nothing at this size, see `signal_report`

    @property
    def few(self) -> bool:
        """Whether too few items were scored for a number of the task; texts are no items.

        Those that fit a short model are the short ones: of a task that lost more than half, or of
        which fewer than FEWEST are left, the number says something of them alone.
        """
        scored = self.items - self.too_long
        counted = self.protocol.kind in (RANK, GENERATE)
        return counted and (scored < FEWEST or scored < self.items / 2)

    def as_dict(self) -> dict:
        """Plain JSON values."""
        rules = {"describe": self.protocol.describe()} | dataclasses.asdict(self.protocol)
        return dataclasses.asdict(self) | {"protocol": rules, "few_items": self.few}
