"""PAWS-X: whether two sentences say the same, in 7 languages.

`{sentence1}, {right}? {Yes|No}, {sentence2}` scored whole, by the sum. The words are lm-eval v0.3's,
whose numbers are the paper's; French asks in English there ('right'), which `repaired` puts into
lm-eval 0.4's French.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation.protocol import RANK, SUM, Protocol
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import Item, one_of, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Scoring, with_repaired
from tasks.metrics.accuracy import accuracy

# language -> ('right', no, yes): label 1 is a paraphrase
WORDS = {
    "en": ("right", "No", "Yes"),
    "zh": ("对吧", "不是", "是"),
    "es": ("verdad", "No", "Sí"),
    "fr": ("right", "No", "Oui"),
    "ja": ("ですね", "いいえ", "はい"),
    "ko": ("맞죠", "아니요", "예"),
    "de": ("richtig", "Nein", "Ja"),
}
REPAIRED_WORDS = {"fr": ("n'est-ce pas", "Non", "Oui")}
FILES = {
    "test": "pawsx/{language}/test_2k.tsv",
    "validation": "pawsx/{language}/dev_2k.tsv",
    "train": "pawsx/{language}/{train}.tsv",
}
TFDS = {
    split: {"tfds": "paws_x_wiki/{language}", "split": split}
    for split in ("test", "validation", "train")
}
ITEMS = {"test": 2000, "validation": 2000}


@dataclass(frozen=True)
class Prompt:
    """`{sentence1}, {right}? {word}, {sentence2}`, scored whole; the choices are no and yes."""

    words: tuple[str, str, str]

    def choices(self, item: Item) -> list[Choice]:
        right, *answers = self.words
        return [
            Choice("", f"{item['sentence1']}, {right}? {answer}, {item['sentence2']}")
            for answer in answers
        ]

    def answer(self, item: Item) -> int:
        return item["label"]


@dataclass(frozen=True)
class Converter:
    """Records of PAWS-X's TSV or of TFDS.

    Some rows of the published files have neither 0 nor 1 for a label. TFDS leaves those out;
    `skip_unlabelled` does so too, otherwise they're refused.
    """

    skip_unlabelled: bool = False

    def __call__(self, record: Record) -> Item | None:
        if self.skip_unlabelled and str(record.get("label")) not in ("0", "1"):
            return None
        sentences = {name: text(record, name) for name in ("sentence1", "sentence2")}
        return {**sentences, "label": one_of(record, "label", ("0", "1"))}


def _protocol(language: str, split: str) -> Protocol:
    return Protocol(
        "pawsx",
        language,
        split,
        RANK,
        "accuracy_sum",
        normalisation=SUM,
        choices=2,
        items=ITEMS.get(split),
    )


def _benchmark(convert: Callable[[Record], Item | None]) -> Benchmark:
    return Benchmark(
        name="pawsx",
        languages=tuple(WORDS),
        variants=lambda language: with_repaired(Prompt, language, WORDS, REPAIRED_WORDS),
        protocol=_protocol,
        convert=lambda language, format: convert,
        fields={"sentence1": str, "sentence2": str, "label": int},
        formats={".tsv": "tsv", "tfds": "tfds"},
        tfds=TFDS,
        metrics=lambda language: (accuracy,),
        fill=lambda language: {"train": "train" if language == "en" else "translated_train"},
    )


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = tuple(WORDS),
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: Scoring,
    skip_unlabelled: bool = False,
) -> tuple[str, ...]:
    """Registers `pawsx.ja` and so on, and returns the names; see `Benchmark.register`.

    skip_unlabelled: leave out rows whose label is neither 0 nor 1, as TFDS does.
    """
    benchmark = _benchmark(Converter(skip_unlabelled))
    return benchmark.register(data_dir, vocabulary, languages, files, scoring)
