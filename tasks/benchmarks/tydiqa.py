"""TyDi QA's gold passage task: the answer to a question in its passage, in 9 languages.

The paper elides where the question stands; its Table 4 has context, question, answer in this order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from polylm_jax.evaluation.protocol import GENERATE, Protocol
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.items import BadRecord, Item, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Generation, Variant
from tasks.metrics.answers import answers

NAMES = {
    "ar": "Arabic",
    "en": "English",
    "id": "Indonesian",
    "ko": "Korean",
    "ru": "Russian",
    "bn": "Bengali",
    "fi": "Finnish",
    "sw": "Swahili",
    "te": "Telugu",
}
FILES = {
    "validation": "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name}.json",
    "train": "tydiqa/tydiqa-goldp-v1.1-train.json",
}
TFDS = {
    "validation": {"tfds": "tydi_qa/goldp", "split": "validation-{language}"},
    "train": {"tfds": "tydi_qa/goldp", "split": "train"},
}
ITEMS = {"ar": 921, "ko": 276}  # of the validation split, as far as they're known


@dataclass(frozen=True)
class Prompt:
    """The passage and the question under an instruction in English that names the language."""

    language: str
    joint: str = " "

    def context(self, item: Item) -> str:
        name = NAMES[self.language]
        return (
            f"Read the context and answer the question in one or a few words in {name}.\n"
            f"Context ({name}): {item['context']}\n"
            f"{item['question']}\n"
            "Answer:"
        )

    def references(self, item: Item) -> Sequence[str]:
        return item["answers"]


@dataclass(frozen=True)
class Converter:
    """Questions of one language: TyDi QA's ids begin with 'korean-', and no other benchmark's do.

    by_id: whether the ids are asked; a data set of TFDS is known by its name.
    """

    language: str
    by_id: bool = True

    def __call__(self, record: Record) -> Item | None:
        key = text(record, "id")
        owner = key.partition("-")[0]
        known = owner in [name.lower() for name in NAMES.values()]
        if self.by_id and not known:
            raise BadRecord(
                f"its id {key!r} is none of TyDi QA's, which begin with a language ('korean-'): "
                "another benchmark's files are registered as tasks.benchmarks.today.xquad, or with "
                "tasks.benchmarks.own"
            )
        if known and owner != NAMES[self.language].lower():
            return None
        found = record["answers"]
        found = found["text"] if isinstance(found, Mapping) else found  # TFDS nests them
        if not found or not all(isinstance(one, str) and one.strip() for one in found):
            raise BadRecord("there is no text in 'answers'")
        item = {name: text(record, name) for name in ("context", "question")}
        return {**item, "answers": list(found)}


def _protocol(language: str, split: str) -> Protocol:
    items = ITEMS.get(language) if split == "validation" else None
    return Protocol("tydiqa", language, split, GENERATE, "f1", items=items)


def _convert(language: str, format: str) -> Callable[[Record], Item | None]:
    return Converter(language, by_id=format != "tfds")


TYDIQA = Benchmark(
    name="tydiqa",
    languages=tuple(NAMES),
    variants=lambda language: (Variant("", Prompt(language)),),
    protocol=_protocol,
    convert=_convert,
    fields={"context": str, "question": str, "answers": list},
    formats={".json": "squad", "tfds": "tfds"},
    tfds=TFDS,
    metrics=lambda language: (partial(answers, language=language),),
    fill=lambda language: {"name": NAMES[language].lower()},
)


@dataclass(frozen=True)
class _Scoring(Generation):
    """As this benchmark is scored by default."""

    split: str = "validation"


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = TYDIQA.languages,
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: _Scoring,
) -> tuple[str, ...]:
    """Registers `tydiqa.ko` and `tydiqa.ko.one_shot`, and returns the names; see `Benchmark.register`.

    `files` are TyDi QA's own: the paper's rows stand beside these tasks.
    """
    return TYDIQA.register(data_dir, vocabulary, languages, files, scoring)
