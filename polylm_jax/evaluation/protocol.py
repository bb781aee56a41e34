"""The protocol of a benchmark task: everything that a number must be read with, by the task's name.

A module that registers benchmark tasks in SeqIO adds a protocol for each; a report asks for it.
"""

from dataclasses import dataclass

from polylm_jax.errors import InputError, nearest
from polylm_jax.text import registrations

RANK, GENERATE = "rank", "generate"
ROLLING = "rolling"  # a text as a whole, in windows of the model's length
SUM, MEAN = "sum", "mean per token"  # of the log-probabilities of a choice's tokens
NO_NORMALISATION = ""
AS_PUBLISHED, REPAIRED = "as published", "repaired"
MAX_NEW_TOKENS = 256  # of a generated answer (paper, section 5)
STOP = ("\n",)  # where a base model's answer is cut; a tuned one writes until EOS


@dataclass(frozen=True)
class Protocol:
    """How a benchmark is scored in one language.

    Attributes:
        benchmark: 'xcopa'; MTG is four: 'mtg_title', 'mtg_story_end', 'mtg_question',
            'mtg_summary'.
        language: code of the language, as the project writes it ('ja'); of WMT the pair, 'en-de'.
        split: the benchmark's own name of what is scored ('test', 'validation'), also the task's
            split in SeqIO.
        kind: RANK, GENERATE or ROLLING.
        metric: the key of the benchmark's own number in what the task's metric functions return.
        fidelity: AS_PUBLISHED, or REPAIRED where the published prompt has a fault.
        scoring: what is scored given what, in words, where a benchmark is scored in two ways.
        normalisation: of RANK, the benchmark's own: SUM or MEAN. Both are always reported.
        few_shot: demonstrations before each item.
        demonstrations: where those are drawn from: a split, or `split` itself minus the item.
        max_new_tokens: of GENERATE.
        stop: of GENERATE, the strings before which an answer is cut.
        choices: of RANK, how many choices an item has: guessing scores 1 / choices.
        items: how many items the published split has; None where that isn't known. What was
            scored is counted, not taken from here.
        note: what else must be read with the number, in words.
    """

    benchmark: str
    language: str
    split: str
    kind: str
    metric: str
    fidelity: str = AS_PUBLISHED
    scoring: str = ""
    normalisation: str = NO_NORMALISATION
    few_shot: int = 0
    demonstrations: str = ""
    max_new_tokens: int = MAX_NEW_TOKENS
    stop: tuple[str, ...] = STOP
    choices: int = 0
    items: int | None = None
    note: str = ""

    def describe(self) -> str:
        """The protocol in one line: 'test split, zero-shot, as published, sum'."""
        shots = {0: "zero-shot", 1: "one-shot"}.get(self.few_shot, f"{self.few_shot}-shot")
        parts = [f"{self.split} split", shots, self.fidelity]
        if self.kind == RANK:
            parts += [self.normalisation, self.scoring]
        elif self.kind == GENERATE:
            cut = ", ".join(repr(stop) for stop in self.stop)
            parts += [f"greedy, at most {self.max_new_tokens} tokens"]
            parts += [f"cut at {cut}" if cut else "until EOS"]
        return ", ".join(part for part in (*parts, self.note) if part)


_PROTOCOLS: dict[str, Protocol] = {}


def add(task: str, protocol: Protocol) -> None:
    """Keeps the protocol of a task. Raises InputError when the task has another one already."""
    if _PROTOCOLS.setdefault(task, protocol) != protocol:
        raise InputError(
            f"task {task!r} already has another protocol: give the new task another name."
        )


def remove(task: str) -> None:
    """Forgets the protocol of a task, if there is one."""
    _PROTOCOLS.pop(task, None)


registrations.FORGETTING.append(remove)


def names() -> tuple[str, ...]:
    """The tasks that have a protocol, in the order in which they were added."""
    return tuple(_PROTOCOLS)


def find(task: str) -> Protocol:
    """The protocol of a task. Raises InputError, naming the nearest, when it has none."""
    if task not in _PROTOCOLS:
        raise InputError(
            f"benchmark task {task!r} has no protocol.{nearest(task, _PROTOCOLS)} Register it with "
            "tasks.benchmarks, or add one with polylm_jax.evaluation.protocol.add."
        )
    return _PROTOCOLS[task]
