"""WMT20: translation between English and German, Japanese, Russian, Chinese, from aligned text.

`sacrebleu -t wmt20 -l en-de --echo src` and `--echo ref` write the files; TFDS has no WMT20.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from polylm_jax.evaluation.protocol import GENERATE, Protocol
from polylm_jax.languages import registry as languages_table
from polylm_jax.runtime.spread import spread
from tasks.benchmarks.items import Item, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Generation, Variant
from tasks.metrics.translation import chrf, sacrebleu, signature

ITEMS = {  # SacreBLEU's wmt20
    "de-en": 785,
    "ja-en": 993,
    "ru-en": 991,
    "zh-en": 2000,
    "en-de": 1418,
    "en-ja": 1000,
    "en-ru": 2002,
    "en-zh": 1418,
}
FILES = {
    "test": {
        "source": "wmt20/wmt20.{pair}.{source}",
        "target": "wmt20/wmt20.{pair}.{target}",
    }
}


@dataclass(frozen=True)
class Prompt:
    """`{source}` / `Translate this sentence from {Src} to {Tgt}.`, and the translation below."""

    source: str
    target: str
    joint: str = ""

    def context(self, item: Item) -> str:
        source, target = (languages_table.find(c).name for c in (self.source, self.target))
        return f"{item['source']}\nTranslate this sentence from {source} to {target}.\n"

    def references(self, item: Item) -> Sequence[str]:
        return (item["target"],)


def from_columns(record: Record) -> Item:
    """Aligned files, or a TSV with the columns `source` and `target`."""
    return {name: text(record, name) for name in ("source", "target")}


def _sides(pair: str) -> tuple[str, str]:
    source, _, target = pair.partition("-")
    return source, target


def _protocol(pair: str, split: str) -> Protocol:
    note = f"BLEU {signature(_sides(pair)[1])}"
    items = ITEMS[pair] if split == "test" else None
    return Protocol("wmt20", pair, split, GENERATE, "bleu", items=items, note=note)


def _convert(pair: str, format: str) -> Callable[[Record], Item]:
    del pair, format
    return from_columns


WMT20 = Benchmark(
    name="wmt20",
    languages=tuple(ITEMS),
    variants=lambda pair: (Variant("", Prompt(*_sides(pair))),),
    protocol=_protocol,
    convert=_convert,
    fields={"source": str, "target": str},
    formats={".tsv": "tsv", ".jsonl": "jsonl", "aligned": "aligned"},
    metrics=lambda pair: (partial(sacrebleu, language=_sides(pair)[1]), chrf),
    fill=lambda pair: {"pair": pair, **dict(zip(("source", "target"), _sides(pair)))},
)


@dataclass(frozen=True)
class _Scoring(Generation):
    """As this benchmark is scored by default."""

    demonstrations: str = "test"


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    pairs: Sequence[str] = WMT20.languages,
    files: Mapping[str, object] | str = FILES,
    *,
    scoring: _Scoring,
) -> tuple[str, ...]:
    """Registers `wmt20.en_de`, `wmt20.en_de.one_shot` and so on, and returns the names.

    See `Benchmark.register`. In `files`, {pair} is 'en-de', {source} 'en' and {target} 'de'.
    """
    return WMT20.register(data_dir, vocabulary, pairs, files, scoring)
