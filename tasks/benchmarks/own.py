"""A benchmark of one's own in one call: records, a prompt as a template, what is right, a metric.

`generated` writes an answer, `chosen` ranks choices, `continued` measures the right answer in bits
per byte. A template is a string with names of the record's fields in braces; where languages ask
differently, it is a table from language to template. docs/own_benchmarks.md shows TyDi QA, MGSM and
XQuAD.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from polylm_jax.errors import InputError, nearest
from polylm_jax.evaluation.protocol import GENERATE, MAX_NEW_TOKENS, RANK, STOP, SUM, Protocol
from polylm_jax.languages import codes
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import BadRecord, Item
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Variant
from tasks.metrics.accuracy import accuracy
from tasks.metrics.answers import answers
from tasks.metrics.numbers import number
from tasks.metrics.translation import chrf, sacrebleu

FORMATS = {
    ".jsonl": "jsonl", ".json": "squad", ".tsv": "tsv", "aligned": "aligned", "tfds": "tfds",
}  # fmt: skip
METRICS: Mapping[str, Callable] = {  # name -> of a language, SeqIO's metric functions
    "f1": lambda language: (partial(answers, language=language),),
    "exact_match": lambda language: (partial(answers, language=language),),
    "number": lambda language: (number,),
    "chrf": lambda pair: (chrf, partial(sacrebleu, language=pair.rpartition("-")[2])),
}
Template = str | Mapping[str, str]


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


@dataclass(frozen=True)
class Converter:
    """A record -> {context, answers, label}. choices: templates of them, () for generated answers.

    label: of choices, the field that has the right one's number (from `first`) or its text.
    keep: whether a record is of this language; None keeps all.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...] = ()
    first: int = 0
    keep: Callable[[Record], bool] | None = None

    def __call__(self, record: Record) -> Item | None:
        if self.keep and not self.keep(record):
            return None
        context = filled(self.prompt, record)
        if not self.choices:
            return {"context": context, "answers": _texts(record, self.answer), "label": 0}
        texts = [filled(choice, record) for choice in self.choices]
        return {"context": context, "answers": texts, "label": self._label(record, texts)}

    def _label(self, record: Record, texts: list[str]) -> int:
        value = record.get(self.answer)
        if isinstance(value, str) and value in texts:
            return texts.index(value)
        if isinstance(value, bool) or not str(value).lstrip("-").isdigit():
            raise BadRecord(f"{self.answer!r} is {value!r}, neither a choice nor its number")
        place = int(str(value)) - self.first
        if not 0 <= place < len(texts):
            raise BadRecord(f"{self.answer!r} is {value!r}, and there are {len(texts)} choices")
        return place


def filled(template: str, record: Record) -> str:
    """Fields in braces as they stand in the record; columns without names are {1}, {2}."""

    def one(match: re.Match) -> str:
        if match[1] not in record:
            raise BadRecord(
                f"the template {template!r} asks for {match[1]!r}, and the record has "
                f"{', '.join(map(str, record))}"
            )
        return str(record[match[1]])

    return re.sub(r"\{(\w+)\}", one, template)


def _texts(record: Record, field: str) -> list[str]:
    """The right answers under a field: a text, a number, or a list of them."""
    found = record.get(field)
    found = found.get("text") if isinstance(found, Mapping) else found  # SQuAD's in TFDS
    found = list(found) if isinstance(found, list | tuple) else [found]
    texts = [str(one) for one in found if one is not None and str(one).strip()]
    if not texts or any(isinstance(one, Mapping) for one in found):
        raise BadRecord(f"there is no answer in {field!r}")
    return texts


def _of(template: Template, language: str) -> str:
    return template if isinstance(template, str) else template[language]


def _benchmark(
    name: str,
    languages: Sequence[str],
    told: Callable[[str, str], Protocol],
    convert: Callable[[str], Converter],
    metrics: Callable[[str], Sequence[Callable]],
    joint: str,
    formats: Mapping[str, str],
) -> Benchmark:
    return Benchmark(
        name=name,
        languages=tuple(languages),
        variants=lambda language: [Variant("", _made(joint, convert(language)))],
        protocol=told,
        convert=lambda language, format: convert(language),
        fields={"context": str, "answers": list, "label": int},
        formats=FORMATS | dict(formats),
        metrics=metrics,
        fill=_fill,
    )


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


def generated(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    answer: str,
    metric: str = "f1",
    split: str = "test",
    shots: Sequence[int] = (0,),
    demonstrations: str = "",
    seed: int = 0,
    stop: Sequence[str] = STOP,
    ending: str = "",
    max_new_tokens: int = MAX_NEW_TOKENS,
    items: int | None = None,
    joint: str = " ",
    keep: Callable[[str], Callable[[Record], bool]] | None = None,
    formats: Mapping[str, str] | None = None,
    note: str = "",
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: an answer is generated and compared. Returns the names.

    Args:
        name: of the benchmark; the report shows no published rows beside a name of one's own.
        files: split -> path, in which {language}, {flores} and {flores_plus} may stand.
        prompt: what the model reads. answer: the field with the right answer, or several.
        metric: f1, exact_match, number (the last one of the answer) or chrf (with BLEU beside it).
        keep: of a language, whether a record is its own, for files that hold several.
        formats: of endings whose files are written otherwise, e.g. {'.tsv': 'tsv without a header'}.
        items: of the published split. joint: between prompt and answer in a demonstration.

    The others are as in `Benchmark.register`.
    """
    _check(name, languages, prompt, metric)

    def told(language: str, split: str) -> Protocol:
        return Protocol(
            name, language, split, GENERATE, metric, items=items, max_new_tokens=max_new_tokens,
            note=note,
        )  # fmt: skip

    def convert(language: str) -> Converter:
        return Converter(_of(prompt, language), answer, keep=keep and keep(language))

    made = _benchmark(name, languages, told, convert, METRICS[metric], joint, formats or {})
    return made.register(
        data_dir, vocabulary, languages, files, split, shots, demonstrations or split, seed, stop,
        ending,
    )  # fmt: skip


def chosen(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    choices: Sequence[str],
    label: str,
    first: int = 0,
    split: str = "test",
    shots: Sequence[int] = (0,),
    demonstrations: str = "",
    seed: int = 0,
    items: int | None = None,
    joint: str = " ",
    formats: Mapping[str, str] | None = None,
    note: str = "",
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: the likeliest of some choices is taken. Returns the names.

    choices: templates, so '{option_a}' is a field and 'sports' itself. label: the field with the
    right one's number, counted from `first`, or its text. The others are as in `generated`.
    """
    _check(name, languages, prompt, "f1")

    def told(language: str, split: str) -> Protocol:
        return Protocol(
            name, language, split, RANK, "accuracy_sum", normalisation=SUM, choices=len(choices),
            items=items, note=note,
        )  # fmt: skip

    def convert(language: str) -> Converter:
        return Converter(_of(prompt, language), label, tuple(choices), first)

    made = _benchmark(
        name, languages, told, convert, lambda _: (accuracy,), joint,
        formats or {},
    )  # fmt: skip
    return made.register(
        data_dir, vocabulary, languages, files, split, shots, demonstrations or split, seed
    )


def continued(
    name: str,
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str],
    files: Mapping[str, object],
    prompt: Template,
    answer: str,
    split: str = "test",
    items: int | None = None,
    joint: str = " ",
    formats: Mapping[str, str] | None = None,
    note: str = "",
) -> tuple[str, ...]:
    """Registers NAME.LANGUAGE: bits per byte of the right answer, given the prompt. Returns the names."""
    _check(name, languages, prompt, "f1")

    def told(language: str, split: str) -> Protocol:
        return Protocol(
            name, language, split, RANK, "bits_per_byte", items=items, note=note,
            scoring="the right answer given the prompt",
        )  # fmt: skip

    def convert(language: str) -> Converter:
        return Converter(_of(prompt, language), answer)

    made = _benchmark(name, languages, told, convert, lambda _: (), joint, formats or {})
    return made.register(data_dir, vocabulary, languages, files, split, (0,), split, 0)


def _check(name: str, languages: Sequence[str], prompt: Template, metric: str) -> None:
    if metric not in METRICS:
        raise InputError(
            f"metric of {name} is {metric!r}.{nearest(metric, METRICS)} Give one of "
            f"{', '.join(METRICS)}."
        )
    lacking = [] if isinstance(prompt, str) else [c for c in languages if c not in prompt]
    if lacking:
        raise InputError(f"prompt of {name} has no template for {lacking[0]!r}: add one.")
