"""What can be wrong with a run, found before its first stage: seconds, not hours, after the start."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import orjson

from polylm_jax.corpus import characters, perplexity, quality
from polylm_jax.corpus.broken_files import NO_TEXT, without_document
from polylm_jax.corpus.decontamination import index_of
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.pages import NotInstalled
from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.sources import Source, Unit
from polylm_jax.corpus.stages import Options
from polylm_jax.corpus.tally import Tally
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES

Say = Callable[[str], None]
LOOKED_AT = 100  # records of a source that give no text before it is refused


def check(
    options: Options, sources: Sequence[Source], shards: Sequence[Sequence[Unit]], say: Say
) -> None:
    """Raises InputError for what would end the run later, or lose all of a language or a source."""
    for code in options.identifier.codes:
        characters.unicode_scripts(LANGUAGES[code].script)
    options.identifier("a text that loads the model, or says what is wrong with it")
    _known_languages(options.identifier, sources, say)
    units = list(itertools.chain.from_iterable(shards))
    for source in sources:
        look(source, [unit for unit in units if unit.source == source], options.reading.max_line)
    if options.benchmarks:
        _benchmarks(options, say)
    if options.quality:
        _quality(options.quality)


def _known_languages(identifier: Identifier, sources: Sequence[Source], say: Say) -> None:
    """A language that the detector doesn't know comes from sources that name it, or not at all."""
    detector = identifier.model or "CLD2"
    for code in (code for code in identifier.codes if not identifier.knows(code)):
        named = [source.name for source in sources if source.language == code]
        if not named:
            raise InputError(
                f"LANGUAGES has {code!r}, which {detector} can't tell: say 'language': {code!r} of the "
                "sources that hold it, give a LID_MODEL that knows it, or leave it out."
            )
        say(f"languages: {detector} can't tell {code!r}; it is taken from {', '.join(named)} alone")


class _Enough(Exception):
    """So many records gave no text that more would say the same."""


class _Looking(ReadShards):
    """A reader that keeps why records gave no text, and stops at some number of them."""

    def __init__(self, max_line: int):
        super().__init__([], Tally("unused"), max_line)
        self.reasons: Counter[str] = Counter()
        self.fields: dict = {}

    def refuse(self, unit: Unit, reason: str, raw: bytes) -> None:
        self.reasons[reason] += 1
        if reason == NO_TEXT and not self.fields:
            try:
                self.fields = orjson.loads(raw)
            except orjson.JSONDecodeError:
                pass
        if self.reasons.total() >= LOOKED_AT:
            raise _Enough


def look(source: Source, units: Iterable[Unit], max_line: int) -> None:
    """Reads a source as far as its first document. InputError where none comes."""
    reader = _Looking(max_line)
    for unit in units:
        try:
            if next(reader.documents(unit), None) is not None:
                return
        except _Enough:
            break
        except NotInstalled:
            raise
        except InputError as error:
            reader.reasons[str(error)] += 1
    has = f"; its fields are {', '.join(map(repr, reader.fields))}" if reader.fields else ""
    raise without_document(source.name, reader.reasons, has, f" (now {source.text!r})")


def _benchmarks(options: Options, say: Say) -> None:
    index = index_of(tuple(options.benchmarks))
    for name, items in index.items.items():
        if not items:
            raise InputError(f"BENCHMARKS[{name!r}] holds no item: its files are empty.")
        short = index.skipped[name]
        say(f"benchmarks: {name} has {items:,} items, {short:,} too short to be searched for")


def _quality(options: quality.QualityOptions) -> None:
    """Loads what the quality stages need, and counts each gold sample."""
    settings = options.settings
    perplexity.check(settings.kenlm_models, options.languages if settings.perplexity else ())
    quality.classifier.check(settings.classifier)
    for code in options.languages:
        quality.gold_sample(options, code)
