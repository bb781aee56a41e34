"""A benchmark of one's own in one call: records, a prompt as a template, what is right, a metric.

`generated` writes an answer, `chosen` ranks choices, `continued` measures the right answer in bits
per byte. A template is a string with names of the record's fields in braces; where languages ask
differently, it is a table from language to template. docs/own_benchmarks.md shows TyDi QA, MGSM and
XQuAD.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from polylm_jax.errors import InputError, one_of
from polylm_jax.evaluation.protocol import GENERATE, MAX_NEW_TOKENS, RANK, SUM, Protocol
from polylm_jax.languages import codes
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import Item
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Generation, Scoring, Variant
from tasks.benchmarks.templates import Converter
from tasks.metrics.accuracy import accuracy
from tasks.metrics.answers import answers
from tasks.metrics.numbers import number
from tasks.metrics.translation import chrf, sacrebleu

FORMATS = {".jsonl": "jsonl", ".json": "squad", ".tsv": "tsv", "aligned": "aligned", "tfds": "tfds"}
METRICS: Mapping[str, Callable] = {  # name -> of a language, SeqIO's metric functions
    "f1": lambda language: (partial(answers, language=language),),
    "exact_match": lambda language: (partial(answers, language=language),),
    "number": lambda language: (number,),
    "chrf": lambda pair: (chrf, partial(sacrebleu, language=pair.rpartition("-")[2])),
}
Template = str | Mapping[str, str]
# data_dir, vocabulary, languages, files
Files = tuple[str, str, Sequence[str], Mapping[str, object]]


@dataclass(frozen=True)
class Made:
    """A prompt whose item has everything in it already: of choosing and of generating.

    templates: what the item was made with. A task is known by them: another prompt under the same
    name is refused.
    """

    joint: str = " "
    templates: tuple[object, ...] = ()

    def context(self, item: Item) -> str:
        return item["context"]

    def references(self, item: Item) -> Sequence[str]:
        return item["answers"]

    def choices(self, item: Item) -> list[Choice]:
        return [Choice(item["context"], f"{self.joint}{text}") for text in item["answers"]]

    def answer(self, item: Item) -> int:
        return item["label"]


def _of(template: Template, language: str) -> str:
    return template if isinstance(template, str) else template[language]


@dataclass(frozen=True)
class Published:
    """What is scored, and how a report tells of it.

    split: the one that is scored, a key of `files`.
    items: of the published split.
    joint: between prompt and answer.
    formats: of endings whose files are written otherwise, e.g. {'.tsv': 'tsv without a header'}.
    note: what a report says of the task.
    """

    split: str = "test"
    items: int | None = None
    joint: str = " "
    formats: Mapping[str, str] | None = None
    note: str = ""


@dataclass(frozen=True)
class Scored(Scoring, Published):
    """And after which demonstrations; they are of the scored split, unless another is named."""

    demonstrations: str = ""


@dataclass(frozen=True)
class Answered(Generation, Published):
    """The same of answers that are generated.

    metric: f1, exact_match, number (the last one of the answer) or chrf (with BLEU beside it).
    max_new_tokens: of an answer.
    """

    shots: Sequence[int] = (0,)
    demonstrations: str = ""
    metric: str = "f1"
    max_new_tokens: int = MAX_NEW_TOKENS


def _register(
    name: str,
    files: Files,
    prompt: Template,
    scored: Published,
    convert: Callable[[str], Converter],
    metrics: Callable[[str], Sequence[Callable]],
    **how: Any,
) -> tuple[str, ...]:
    """convert: language -> its converter. metrics: language -> SeqIO's. how: of the protocol."""
    data_dir, vocabulary, languages, paths = files
    lacking = [] if isinstance(prompt, str) else [c for c in languages if c not in prompt]
    if lacking:
        raise InputError(f"prompt of {name} has no template for {lacking[0]!r}: add one.")

    def rules(language: str, split: str) -> Protocol:
        return Protocol(name, language, split, items=scored.items, note=scored.note, **how)

    benchmark = Benchmark(
        name=name,
        languages=tuple(languages),
        variants=lambda language: [Variant("", _made(scored.joint, convert(language)))],
        protocol=rules,
        convert=lambda language, format: convert(language),
        fields={"context": str, "answers": list, "label": int},
        formats=FORMATS | dict(scored.formats or {}),
        metrics=metrics,
        fill=_fill,
    )
    return benchmark.register(data_dir, vocabulary, languages, paths, _scoring(scored))


def _scoring(scored: Published) -> Scoring:
    if not isinstance(scored, Scored | Answered):
        return Scoring(scored.split, demonstrations=scored.split)
    return replace(scored, demonstrations=scored.demonstrations or scored.split)


def _made(joint: str, one: Converter) -> Made:
    return Made(joint, (one.prompt, one.answer, one.choices, one.first))


def _fill(language: str) -> dict[str, str]:
    """What may stand in braces in `files` besides {language}."""
    if language not in codes.FLORES:
        return {}
    return {"flores": codes.flores(language), "flores_plus": codes.flores(language, plus=True)}


def path_of(pattern: str, language: str) -> str:
    """A path with {language}, {flores} and {flores_plus} filled in."""
    return pattern.format_map({"language": language, **_fill(language)})


@spread("scored")
def generated(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    answer: str,
    *,
    keep: Callable[[str], Callable[[Record], bool]] | None = None,
    scored: Answered,
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: an answer is generated and compared. Returns the names.

    name: of the benchmark; the report shows no published rows beside a name of one's own.
    files: split -> path, in which {language}, {flores} and {flores_plus} may stand.
    prompt: what the model reads.
    answer: the field with the right answer, or several.
    keep: of a language, whether a record is its own, for files that hold several.

    The others are as in `Benchmark.register`.
    """
    one_of(f"metric of {name}", scored.metric, METRICS)

    def convert(language: str) -> Converter:
        return Converter(_of(prompt, language), answer, keep=keep and keep(language))

    return _register(
        name, (data_dir, vocabulary, languages, files), prompt, scored, convert,
        METRICS[scored.metric], kind=GENERATE, metric=scored.metric,
        max_new_tokens=scored.max_new_tokens,
    )  # fmt: skip


@spread("scored")
def chosen(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    choices: Sequence[str],
    label: str,
    *,
    first: int = 0,
    scored: Scored,
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: the likeliest of some choices is taken. Returns the names.

    choices: templates, so '{option_a}' is a field and 'sports' itself. label: the field with the
    right one's number, counted from `first`, or its text. The others are as in `generated`.
    """
    return _register(
        name, (data_dir, vocabulary, languages, files), prompt, scored,
        lambda language: Converter(_of(prompt, language), label, tuple(choices), first),
        lambda _: (accuracy,), kind=RANK, metric="accuracy_sum", normalisation=SUM,
        choices=len(choices),
    )  # fmt: skip


@spread("scored")
def continued(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    answer: str,
    *,
    scored: Published,
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: bits per byte of the right answer, given the prompt. Returns the names."""
    return _register(
        name, (data_dir, vocabulary, languages, files), prompt, scored,
        lambda language: Converter(_of(prompt, language), answer), lambda _: (), kind=RANK,
        metric="bits_per_byte", scoring="the right answer given the prompt",
    )  # fmt: skip
