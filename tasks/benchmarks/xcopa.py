"""XCOPA: which of two sentences is the cause or the effect of a premise, in 11 languages.

The prompts are lm-eval v0.3's, whose numbers are the paper's. They cut the premise's last character
whatever it is (no Thai premise ends in a full stop) and lower the choice's first letter as in
English (Turkish 'I' becomes 'i', not 'ı'): `repaired` cuts full stops only, and knows Turkish.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation.protocol import RANK, REPAIRED, SUM, Protocol
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import Item, one_of, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Scoring, Variant
from tasks.metrics.accuracy import accuracy

# language -> (because, therefore)
CONNECTORS = {
    "id": ("karena", "maka"),
    "it": ("perché", "quindi"),
    "th": ("เพราะ", "ดังนั้น"),
    "tr": ("çünkü", "bu yüzden"),
    "vi": ("bởi vì", "vì vậy"),
    "zh": ("因为", "所以"),
    "et": ("sest", "seetõttu"),
    "ht": ("poukisa", "donk sa"),
    "qu": ("imataq", "chaymi"),
    "sw": ("kwa sababu", "kwa hiyo"),
    "ta": ("காரணமாக", "எனவே"),
}
QUESTIONS = ("cause", "effect")
FULL_STOPS = ".。!?！？"
FILES = {"test": "xcopa/test.{language}.jsonl", "validation": "xcopa/val.{language}.jsonl"}
ITEMS = {"test": 500, "validation": 100}


@dataclass(frozen=True)
class Prompt:
    """`{premise} {because|therefore} {choice}`, of which the choice is scored."""

    language: str
    repaired: bool = False

    def choices(self, item: Item) -> list[Choice]:
        premise = item["premise"].strip()
        cut = not self.repaired or premise[-1] in FULL_STOPS
        connector = CONNECTORS[self.language][QUESTIONS.index(item["question"])]
        context = f"{premise[:-1] if cut else premise} {connector}"
        return [Choice(context, f" {self._lowered(item[n])}") for n in ("choice1", "choice2")]

    def answer(self, item: Item) -> int:
        return item["label"]

    def _lowered(self, choice: str) -> str:
        first = choice[0].lower()
        if self.repaired and self.language == "tr":
            first = {"I": "ı", "İ": "i"}.get(choice[0], first)
        return first + choice[1:]


def item(record: Record) -> Item:
    """An item of XCOPA's JSON lines."""
    fields = {name: text(record, name) for name in ("premise", "choice1", "choice2")}
    question = QUESTIONS[one_of(record, "question", QUESTIONS)]
    return {**fields, "question": question, "label": one_of(record, "label", ("0", "1"))}


def _protocol(language: str, split: str) -> Protocol:
    return Protocol(
        "xcopa",
        language,
        split,
        RANK,
        "accuracy_sum",
        normalisation=SUM,
        choices=2,
        items=ITEMS.get(split),
    )


XCOPA = Benchmark(
    name="xcopa",
    languages=tuple(CONNECTORS),
    variants=lambda language: (
        Variant("", Prompt(language)),
        Variant("repaired", Prompt(language, repaired=True), {"fidelity": REPAIRED}),
    ),
    protocol=_protocol,
    convert=lambda language, format: item,
    fields={"premise": str, "choice1": str, "choice2": str, "question": str, "label": int},
    formats={".jsonl": "jsonl"},
    metrics=lambda language: (accuracy,),
)


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = XCOPA.languages,
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: Scoring,
) -> tuple[str, ...]:
    """Registers `xcopa.th` and `xcopa.th.repaired`, and returns the names; see `Benchmark.register`."""
    return XCOPA.register(data_dir, vocabulary, languages, files, scoring)
