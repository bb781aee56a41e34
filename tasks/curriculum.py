"""The paper's curriculum: its sources as tasks, and the mixtures `polylm.stage1`, `polylm.stage2`.

Stage 1 is the whole corpus (638B tokens, Tables 1 and 2), stage 2 a part of higher quality with
more of the other languages (97B tokens, Section 3.3 and Figure 5); a recipe's phases join them.
The shares of languages, code and parallel text are languages.STAGE1 and STAGE2. What the paper
leaves open is decided here and can be changed by argument:

- Which source a language comes from in stage 1. Tables 1 and 2 together nearly say it: mC4 321.7B
  + Pile 105.7B = 427.4B tokens against English's 425.0B, and CC-100's 208.1B against the other
  languages' 204.1B. So English is mC4 and Pile, the others CC-100, though the text names mC4 and
  Wikipedia for them too.
- In stage 2 every other language divides alike between CC-100, Wikipedia and mC4 (Figure 5 has
  35.88, 17.58 and 2.28 % of all tokens). English is Arxiv, StackExchange and Books, of the Pile.
- The parallel share goes to English with each of the 17 others as their shares in the stage are,
  half to each direction.
- The Pile is read as English without its GitHub: code is a component of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry as languages
from polylm_jax.runtime.ranges import Share
from polylm_jax.runtime.spread import spread
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import bilingual, monolingual, registry

NAME = "polylm"
OTHERS = tuple(code for code in languages.PAPER_CODES if code != "en")
_SUBSET = "meta.pile_set_name"
_PILE = {"format": "jsonl", "paths": "pile/*.jsonl.zst", "id": None}
_BOOKS = ("Books3", "BookCorpus2", "Gutenberg (PG-19)")

# Where each source lies under data_dir, as it's published ({code}: the source's own name of a
# language; see docs/data.md), and how it's read.
SOURCES: dict[str, dict[str, Any]] = {
    "mc4": {"format": "jsonl", "paths": "mc4/c4-{code}.tfrecord-*.json.gz", "id": "url"},
    "cc100": {"format": "text", "paths": "cc100/{code}.txt.xz", "documents": "blank_lines"},
    "wikipedia": {"format": "parquet", "paths": "wikipedia/*.{code}/*.parquet", "id": "title"},
    "pile": {**_PILE, "where_not": {_SUBSET: "Github"}},
    "pile_arxiv": {**_PILE, "where": {_SUBSET: "ArXiv"}},
    "pile_stackexchange": {**_PILE, "where": {_SUBSET: "StackExchange"}},
    "pile_books": {**_PILE, "where": {_SUBSET: _BOOKS}},
    "github": {"format": "jsonl", "paths": "github/*.jsonl.zst"},
    "opus": {"format": "moses", "paths": "opus/en-{code}/*.{side}"},
}
# The same text as TFDS prepares it. It can't prepare the Pile and CC-100.
TFDS: dict[str, dict[str, Any]] = {
    "mc4": {"name": "c4/multilingual", "split": "{code}", "id": "url"},
    "wikipedia": {"name": "wikipedia/20230601.{code}", "id": "title"},
}
STAGE1_ENGLISH = {"mc4": 321.7, "pile": 105.7}
STAGE1_OTHERS = {"cc100": 1.0}
STAGE2_ENGLISH = {"pile_arxiv": 14.79, "pile_stackexchange": 12.31, "pile_books": 4.65}
STAGE2_OTHERS = {"cc100": 35.88, "wikipedia": 17.58, "mc4": 2.28}


@dataclass(frozen=True)
class Places:
    """Where the sources are, and how they are read.

    layout: source -> another place than SOURCES says, in the same format, or a dict that says all of
    it: {"github": {"paths": "code/*.parquet", "text": "content"}}.
    tfds: sources that are read through TFDS (prepared in tfds_data_dir): 'mc4', 'wikipedia'. TFDS can't
    prepare the Pile, CC-100 and OPUS; 'c4/multilingual' the user must build.
    """

    layout: Mapping[str, Any] | None = None
    tfds: Sequence[str] = ()
    tfds_data_dir: str | None = None


@spread("places")
def register(
    vocabulary: str,
    data_dir: str,
    *,
    places: Places,
    stage1_english: Mapping[str, float] = STAGE1_ENGLISH,
    stage1_others: Mapping[str, float] = STAGE1_OTHERS,
    stage2_english: Mapping[str, float] = STAGE2_ENGLISH,
    stage2_others: Mapping[str, float] = STAGE2_OTHERS,
    template: str = "prompt",
    held_out: Share = HELD_OUT_FRACTION,
) -> tuple[str, ...]:
    """Registers the paper's tasks and both mixtures; returns the tasks' names, `polylm.mc4.en`...

    Nothing is looked for on disk before a task is read.

    vocabulary: the path of a SentencePiece model; it's opened when a task is first used.
    data_dir: what the sources are under; local or gs://.
    stage1_english, ...: source -> weight within English, or within each other language.
    template: how pairs are written; see `preprocessors.Pair`.
    held_out: the fraction of documents kept for validation.
    """
    specs = _specs(places.layout or {}, tuple(places.tfds), places.tfds_data_dir)
    stages = {
        "stage1": _rates(languages.STAGE1, stage1_english, stage1_others),
        "stage2": _rates(languages.STAGE2, stage2_english, stage2_others),
    }
    for source in (*stage1_english, *stage2_english, *stage1_others, *stage2_others):
        _check_source(source, specs)
    names: list[str] = []
    read: dict[str, Any] = {"vocabulary": vocabulary, "folder": data_dir, "held_out": held_out}
    for source, language in _documents(stages.values()):
        spec = _for_language(specs[source], source, language)
        names.append(monolingual.add(f"{NAME}.{source}", language, spec, **read))
    for code in OTHERS:
        spec = _for_language(specs["opus"], "opus", code)
        pair = ("en", code)
        names.extend(bilingual.add(f"{NAME}.opus", pair, spec, template=template, **read))
    for stage, rates in stages.items():
        registry.add_mixture(f"{NAME}.{stage}", {_task(*key): r for key, r in rates.items()})
    return tuple(names)


def _rates(
    shares: Mapping[str, float], english: Mapping[str, float], others: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """(source, language or pair) -> share of all tokens."""
    rates = {("github", languages.CODE): shares[languages.CODE]}
    for language in languages.PAPER_CODES:
        weights = english if language == "en" else others
        for source, weight in weights.items():
            rates[source, language] = shares[language] * weight / fsum(weights.values())
    total = fsum(shares[code] for code in OTHERS)
    for code in OTHERS:
        each = shares[languages.PARALLEL] * shares[code] / total / 2
        rates["opus", f"en_{code}"] = rates["opus", f"{code}_en"] = each
    return rates


def _documents(stages: Iterable[Mapping[tuple[str, str], float]]) -> list[tuple[str, str]]:
    """The (source, language) that aren't pairs, each once."""
    keys = (key for rates in stages for key in rates if key[0] != "opus")
    return list(dict.fromkeys(keys))


def _task(source: str, language: str) -> str:
    return f"{NAME}.{source}.{language}"


def _specs(
    layout: Mapping[str, Any], tfds: tuple[str, ...], tfds_data_dir: str | None
) -> dict[str, dict[str, Any]]:
    specs = dict(SOURCES)
    for source in tfds:
        if source not in TFDS:
            raise InputError(
                f"tfds: source {source!r} can't be prepared by TFDS."
                f"{nearest(source, TFDS)} It can be {', '.join(TFDS)}; give the others as files."
            )
        specs[source] = {**TFDS[source], "data_dir": tfds_data_dir}
    for source, given in layout.items():
        _check_source(source, specs)
        if isinstance(given, str):
            specs[source] = {**specs[source], "paths": given}
        else:
            specs[source] = dict(given)
    return specs


def _check_source(source: str, specs: Mapping[str, Any]) -> None:
    if source not in specs:
        raise InputError(
            f"source {source!r} isn't one of the paper's.{nearest(source, specs)} "
            f"Known: {', '.join(specs)}; others go into a corpus of your own (tasks.corpus)."
        )


def _for_language(spec: Mapping[str, Any], source: str, language: str) -> dict[str, Any]:
    """A spec with {code} filled in by what the source calls the language."""
    if source not in languages.CORPORA:
        return dict(spec)
    names = languages.corpus_name(language, source)
    filled: dict[str, Any] = {}
    for option, value in spec.items():
        if option == "paths" and source == "opus":
            sides = {"en": "en", language: names[0]}
            filled[option] = {code: _fill(value, names[0], side) for code, side in sides.items()}
        elif option == "paths":
            filled[option] = tuple(_fill(value, name) for name in names)
        else:
            filled[option] = _fill(value, names[0]) if isinstance(value, str) else value
    return filled


def _fill(text: str, code: str, side: str = "") -> str:
    return text.replace("{code}", code).replace("{side}", side)
