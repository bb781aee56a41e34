"""XNLI: whether a sentence follows from another, contradicts it or neither, in 15 languages.

Each label's word is filled into `{premise}, {right}? {word}, {hypothesis}`, and the mean per token
of the whole string decides (Table 8's caption). The words are lm-eval v0.3's, machine-made: Arabic's
'no' reads 'number' there, which `repaired` puts right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation.protocol import MEAN, RANK, Protocol
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.examples import Choice
from tasks.benchmarks.items import BadRecord, Item, one_of, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Scoring, with_repaired
from tasks.metrics.accuracy import accuracy

# language -> ('right', entailment, neutral, contradiction)
WORDS = {
    "en": ("right", "Yes", "Also", "No"),
    "zh": ("正确", "是的", "所以", "不是的"),
    "ar": ("صحيح", "نعم", "لذا", "رقم"),
    "es": ("correcto", "Sí", "Asi que", "No"),
    "fr": ("correct", "Oui", "Aussi", "Non"),
    "ru": ("правильно", "Да", "Так", "Нет"),
    "th": ("ถูกต้อง", "ใช่", "ดังนั้น", "ไม่"),
    "tr": ("doğru", "Evet", "Böylece", "Hayır"),
    "vi": ("đúng", "Vâng", "Vì vậy", "Không"),
    "de": ("richtig", "Ja", "Auch", "Nein"),
    "bg": ("правилно", "да", "така", "не"),
    "el": ("σωστός", "Ναί", "Έτσι", "όχι"),
    "hi": ("सही", "हाँ", "इसलिए", "नहीं"),
    "sw": ("sahihi", "Ndiyo", "Hivyo", "Hapana"),
    "ur": ("صحیح", "جی ہاں", "اس لئے", "نہیں"),
}
REPAIRED_WORDS = {"ar": ("صحيح", "نعم", "لذا", "لا")}
LABELS = ("entailment", "neutral", "contradiction")
FILES = {"test": "xnli/xnli.test.tsv", "validation": "xnli/xnli.dev.tsv"}
TFDS = {
    "test": {"tfds": "xnli", "split": "test"},
    "validation": {"tfds": "xnli", "split": "validation"},
}
ITEMS = {"test": 5010, "validation": 2490}


@dataclass(frozen=True)
class Prompt:
    """`{premise}, {right}? {word}, {hypothesis}`, scored whole, a choice per word."""

    words: tuple[str, str, str, str]

    def choices(self, item: Item) -> list[Choice]:
        right, *labels = self.words
        return [
            Choice("", f"{item['premise']}, {right}? {label}, {item['hypothesis']}")
            for label in labels
        ]

    def answer(self, item: Item) -> int:
        return item["label"]


@dataclass(frozen=True)
class FromTsv:
    """Records of xnli.test.tsv, which has all languages."""

    language: str

    def __call__(self, record: Record) -> Item | None:
        if text(record, "language") != self.language:
            return None
        sentences = {"premise": text(record, "sentence1"), "hypothesis": text(record, "sentence2")}
        return {**sentences, "label": one_of(record, "gold_label", LABELS)}


@dataclass(frozen=True)
class FromTfds:
    """Examples of TFDS's `xnli`, each of which has all languages."""

    language: str

    def __call__(self, record: Record) -> Item:
        hypothesis = record["hypothesis"]
        translations = dict(zip(hypothesis["language"], hypothesis["translation"]))
        if self.language not in translations:
            raise BadRecord(f"there is no hypothesis in {self.language!r}")
        sentences = {"premise": text(record["premise"], self.language)}
        sentences["hypothesis"] = text(translations, self.language)
        return {**sentences, "label": one_of(record, "label", ("0", "1", "2"))}


def _convert(language: str, format: str) -> Callable[[Record], Item | None]:
    return FromTfds(language) if format == "tfds" else FromTsv(language)


def _protocol(language: str, split: str) -> Protocol:
    return Protocol(
        "xnli",
        language,
        split,
        RANK,
        "accuracy_mean",
        normalisation=MEAN,
        choices=3,
        items=ITEMS.get(split),
    )


XNLI = Benchmark(
    name="xnli",
    languages=tuple(WORDS),
    variants=lambda language: with_repaired(Prompt, language, WORDS, REPAIRED_WORDS),
    protocol=_protocol,
    convert=_convert,
    fields={"premise": str, "hypothesis": str, "label": int},
    formats={".tsv": "tsv", "tfds": "tfds"},
    tfds=TFDS,
    metrics=lambda language: (accuracy,),
)


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = XNLI.languages,
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: Scoring,
) -> tuple[str, ...]:
    """Registers `xnli.th` and so on, and returns the names; see `Benchmark.register`."""
    return XNLI.register(data_dir, vocabulary, languages, files, scoring)
