"""XWinograd: which of two names a pronoun stands for, in 6 languages.

The pronoun is replaced by an option and the rest of the sentence is scored given that,
`log p(suffix | prefix + option)`, as lm-eval v0.3 does, whose numbers are the paper's. It puts a
space before every suffix, also before a comma or within a Chinese sentence: `repaired` leaves the
sentence as it's written. `full` scores `log p(option + suffix | prefix)`, the layout of Table 10.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation.protocol import RANK, REPAIRED, SUM, Protocol
from polylm_jax.languages import registry as languages_table
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import BadRecord, Item, one_of, text
from tasks.benchmarks.records import TSV_PLAIN, Record
from tasks.benchmarks.registration import Benchmark, Scoring, Variant
from tasks.metrics.accuracy import accuracy

ITEMS = {"en": 2325, "zh": 504, "ja": 959, "pt": 263, "ru": 315, "fr": 83}
FILES = {"test": "xwinograd/{language}.jsonl"}  # Muennighoff/xwinograd, in which Japanese is 'jp'
BLANK = "_"
PARTIAL = "log p(suffix | prefix + option)"
FULL = "log p(option + suffix | prefix)"
_QUOTES = ("``", "''")  # what the tokens of the TSV have for a quotation mark


@dataclass(frozen=True)
class Partial:
    """The suffix given prefix and option, an option per choice."""

    repaired: bool = False

    def choices(self, item: Item) -> list[Choice]:
        suffix = item["suffix"] if self.repaired else " " + item["suffix"].strip()
        return [
            Choice(item["prefix"] + option, suffix or " ")
            for option in (item["option1"], item["option2"])
        ]

    def answer(self, item: Item) -> int:
        return item["label"]


@dataclass(frozen=True)
class Full:
    """Option and suffix given the prefix, an option per choice."""

    def choices(self, item: Item) -> list[Choice]:
        return [
            Choice(item["prefix"], item[name] + item["suffix"]) for name in ("option1", "option2")
        ]

    def answer(self, item: Item) -> int:
        return item["label"]


def from_json(record: Record) -> Item:
    """{"sentence": "Ann hit Bo since _ fell.", "option1": "Ann", "option2": "Bo", "answer": "2"}."""
    sentence = text(record, "sentence")
    if BLANK not in sentence:
        raise BadRecord("'sentence' has no '_'")
    prefix, _, suffix = sentence.partition(BLANK)
    options = {name: text(record, name) for name in ("option1", "option2")}
    answer = one_of(record, "answer", ("1", "2"))
    return {"prefix": prefix, "suffix": suffix, **options, "label": answer}


@dataclass(frozen=True)
class FromTsv:
    """The original TSV: language, source, '?', sentence, tokens, pronoun, the two candidates.

    The pronoun is given by its tokens, [begin, end), and a candidate is marked as the right one.
    A full stop that its last token carries stays in the sentence.
    """

    language: str

    def __call__(self, record: Record) -> Item | None:
        if len(record) != 7:
            raise BadRecord(f"there are {len(record)} columns, not XWinograd's 7")
        if record["1"] != self.language:
            return None
        tokens, pronoun, candidates = (_list(record, place) for place in ("5", "6", "7"))
        try:
            begin, end = _span(record["4"], tokens, *pronoun[1])
            options = [candidate[0] for candidate in candidates]
            right = [bool(candidate[3]) for candidate in candidates]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise BadRecord(f"pronoun or candidates can't be read ({error})") from error
        if len(options) != 2 or sum(right) != 1:
            raise BadRecord(f"there are {len(options)} candidates, {sum(right)} of them right")
        sentence = {"prefix": record["4"][:begin], "suffix": record["4"][end:]}
        named = {"option1": options[0], "option2": options[1]}
        return {**sentence, **named, "label": right.index(True)}


def _list(record: Record, place: str) -> list:
    try:
        found = json.loads(record[place])
    except ValueError as error:
        raise BadRecord(f"column {place} isn't JSON ({error})") from error
    if not isinstance(found, list):
        raise BadRecord(f"column {place} is no list")
    return found


def _span(sentence: str, tokens: Sequence[str], first: int, last: int) -> tuple[int, int]:
    """Where tokens [first, last) stand in the sentence, final punctuation left out."""
    spans, at = [], 0
    for token in tokens[:last]:
        written = '"' if token in _QUOTES and sentence.find(token, at) < 0 else token
        begin = sentence.index(written, at)
        at = begin + len(written)
        spans.append((begin, at))
    begin, end = spans[first][0], spans[last - 1][1]
    return begin, begin + len(sentence[begin:end].rstrip(".,;:!?。"))


def _convert(language: str, format: str) -> Callable[[Record], Item | None]:
    return FromTsv(_code(language)) if format == TSV_PLAIN else from_json


def _code(language: str) -> str:
    return languages_table.corpus_name(language, "xwinograd")[0]


def _protocol(language: str, split: str) -> Protocol:
    return Protocol(
        "xwinograd",
        language,
        split,
        RANK,
        "accuracy_sum",
        scoring=PARTIAL,
        normalisation=SUM,
        choices=2,
        items=ITEMS[language] if split == "test" else None,
    )


XWINOGRAD = Benchmark(
    name="xwinograd",
    languages=tuple(ITEMS),
    variants=lambda language: (
        Variant("", Partial()),
        Variant("repaired", Partial(repaired=True), {"fidelity": REPAIRED}),
        Variant("full", Full(), {"scoring": FULL}),
    ),
    protocol=_protocol,
    convert=_convert,
    fields={"prefix": str, "suffix": str, "option1": str, "option2": str, "label": int},
    formats={".jsonl": "jsonl", ".tsv": TSV_PLAIN},
    metrics=lambda language: (accuracy,),
    fill=lambda language: {"language": _code(language)},
)


@dataclass(frozen=True)
class _Scoring(Scoring):
    """As this benchmark is scored by default."""

    demonstrations: str = "test"


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = XWINOGRAD.languages,
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: _Scoring,
) -> tuple[str, ...]:
    """Registers `xwinograd.ja`, `xwinograd.ja.repaired` and `xwinograd.ja.full`, and returns the names.

    See `Benchmark.register`; `files` may also name the original TSV, which has all languages.
    """
    return XWINOGRAD.register(data_dir, vocabulary, languages, files, scoring)
