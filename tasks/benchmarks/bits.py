"""Bits per byte and per character of any text: what no benchmark tells of Polish, Dutch and Hebrew.

A text is scored whole, in windows of the model's length, each after what came before (lm-eval's
rolling log-likelihood). Unlike the validation of a run, no EOS is scored at its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation.protocol import ROLLING, Protocol
from polylm_jax.languages import registry as languages_table
from tasks.benchmarks.items import Item, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Scoring, Variant
from tasks.metrics.bits import bits


@dataclass(frozen=True)
class Converter:
    """Documents under a name of their own in the records."""

    field: str

    def __call__(self, record: Record) -> Item:
        return {"text": text(record, self.field)}


def register(
    data_dir: str,
    vocabulary: str,
    files: Mapping[str, object],
    languages: Sequence[str] | None = None,
    split: str = "validation",
    field: str = "text",
    name: str = "bits",
) -> tuple[str, ...]:
    """Registers `bits.pl` and so on, and returns the names; see `Benchmark.register`.

    Args:
        files: {split: path}, in which {language} stands: a .txt is one text, a .jsonl a text per
            line, a .tsv one per row.
        languages: all that are known to polylm_jax.languages.registry, where it isn't said.
        field: the text's name in JSON lines or the header of the TSV.
        name: what the tasks' names begin with.
    """
    known = tuple(languages_table.LANGUAGES)
    benchmark = Benchmark(
        name=name,
        languages=known,
        variants=lambda language: (Variant("", None),),
        protocol=lambda language, split: Protocol(name, language, split, ROLLING, "bits_per_byte"),
        convert=lambda language, format: Converter("text" if format == "text" else field),
        fields={"text": str},
        formats={".txt": "text", ".jsonl": "jsonl", ".tsv": "tsv"},
        metrics=lambda language: (bits,),
    )
    wanted = known if languages is None else languages
    return benchmark.register(
        data_dir, vocabulary, wanted, files, Scoring(split, demonstrations=split)
    )
