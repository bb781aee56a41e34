"""What the logs of a run say, as far as it has come: curves, scores, tokens, cost.

Reads what `run_log` wrote, also while it is being written: a line half there is left out.
"""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence

from polylm_jax.ablation.variants import Run
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime import json_lines
from polylm_jax.runtime.storage import Folder
from polylm_jax.training.log import flat

DONE, UNDER_WAY, NOT_BEGUN = "done", "under way", "not begun"
CONTINUED = "continued_from.json"
LOGS = ("metrics", "validation", "evaluation", "ledger")
TokensPerStep = int | Sequence[list[int]]
# Of an evaluation line, what is no score.
COUNTS = ("items", "items_too_long", "bytes", "characters", "tokens")


@dataclasses.dataclass(frozen=True)
class Record:
    """One run's logs. Lines are as they were written; `numbers` flattens them.

    total_steps, tokens_per_step: as planned; where steps differ in size, [first step, tokens before
    it, tokens of each] of each stretch. continued: where it began in another run's place:
    {"run": its title, "step": n}, else nothing. averaged: the languages that a mean is taken over,
    by default its own; the same for all runs that are compared.
    """

    run: Run
    total_steps: int
    tokens_per_step: TokensPerStep
    metrics: list[dict]
    validation: list[dict]
    evaluation: list[dict]
    ledger: list[dict]
    events: list[dict]
    continued: Mapping
    averaged: frozenset[str] | None = None

    @property
    def labels(self) -> frozenset[str]:
        """The languages that its validation covers; of none of the table, all labels."""
        found = {k for line in self.validation for k in line["bits_per_byte"]}
        return frozenset(found & set(LANGUAGES) or found)

    @property
    def held_out_bytes(self) -> dict[str, int]:
        """Bytes of held-out text per label."""
        return dict(self.validation[-1]["bytes"]) if self.validation else {}

    @property
    def step(self) -> int:
        """The newest step in the logs."""
        return max(
            (lines[-1]["step"] for lines in (self.metrics, self.validation) if lines), default=0
        )

    @property
    def state(self) -> str:
        if any(e["event"] == "end" and e["step"] == self.total_steps for e in self.events):
            return DONE
        return UNDER_WAY if self.metrics or self.validation else NOT_BEGUN

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, those of a run that it continues included."""
        return self.tokens_at(self.step)

    def tokens_at(self, step: int) -> int:
        """Tokens of the first `step` steps."""
        if isinstance(self.tokens_per_step, int):
            return step * self.tokens_per_step
        first, before, each = max(one for one in self.tokens_per_step if one[0] <= step)
        return before + (step - first) * each

    def step_at(self, tokens: int) -> int:
        """The step that so many tokens are up to."""
        if isinstance(self.tokens_per_step, int):
            return tokens // self.tokens_per_step
        first, before, each = max(one for one in self.tokens_per_step if one[1] <= tokens)
        return first + (tokens - before) // each

    @property
    def seconds(self) -> float:
        """Of training, saving and validating, by the run's own clock; steps done again count once."""
        return sum(line["seconds"]["all"] for line in self._own_metrics)

    @property
    def trained_tokens(self) -> int:
        """Tokens that this run itself trained on."""
        return max(self.tokens - self.tokens_at(self.continued.get("step", 0)), 0)

    @property
    def _own_metrics(self) -> list[dict]:
        return [line for line in self.metrics if line["step"] > self.continued.get("step", 0)]

    def numbers(self, step: int | None = None) -> dict[str, float]:
        """Measure -> value, at the newest step or at `step`, from validation and evaluation."""
        found: dict[str, float] = {}
        for kind, lines in (("validation", self.validation), ("evaluation", self.evaluation)):
            at = [line for line in lines if step is None or line["step"] == step]
            if at:
                found |= _measures(kind, at[-1], self.averaged or self.labels)
        return found

    def steps(self) -> list[int]:
        """The steps at which it was validated or evaluated."""
        return sorted({line["step"] for line in (*self.validation, *self.evaluation)})


def task_of(measure: str) -> str:
    """'evaluation/xcopa.th/accuracy_sum' -> 'xcopa.th'; '' for bits per byte of held-out text."""
    head, _, rest = measure.partition("/")
    return rest.rpartition("/")[0] if head == "evaluation" else ""


def _measures(kind: str, line: Mapping, averaged: frozenset[str]) -> dict[str, float]:
    """{'bits_per_byte/th': 1.2, 'bits_per_byte/average': ...}, {'evaluation/TASK/METRIC': ...}."""
    if kind == "validation":
        bits = line["bits_per_byte"]
        means = {"average": averaged, "not_english": averaged - {"en"}}
        found = {
            name: statistics.fmean(bits[k] for k in labels if k in bits)
            for name, labels in means.items() if labels & set(bits)
        }  # fmt: skip
        return {f"bits_per_byte/{k}": v for k, v in (found | bits).items()}
    numbers = flat({k: v for k, v in line.items() if k != "step"}, "evaluation/")
    return {k: v for k, v in numbers.items() if k.rpartition("/")[2] not in COUNTS}


def read(folder: Folder, run: Run, total_steps: int, tokens_per_step: TokensPerStep) -> Record:
    """The record of a run below ABLATION_DIR, empty where it hasn't begun."""
    keys = [f"{run.path}/{name}.jsonl" for name in (*LOGS, "events")]
    *logs, continued = folder.read_all([*keys, f"{run.path}/{CONTINUED}"])
    metrics, validation, evaluation, ledger, events = map(json_lines.objects, logs)
    return Record(
        run,
        total_steps,
        tokens_per_step,
        metrics,
        validation,
        evaluation,
        ledger,
        events,
        continued=json.loads(continued) if continued else {},
    )
