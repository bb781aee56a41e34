"""The steps that look at one document at a time, as datatrove's filters: each refusal has a reason."""

import contextlib
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from polylm_jax.corpus import (
    broken_files,
    characters,
    limits,
    mending,
    pairs,
    personal_data,
    repairs,
    rules,
    tally,
    two_languages,
)
from polylm_jax.corpus.benchmarks import Benchmark
from polylm_jax.corpus.decontamination import index_of
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.tally import Tally, merged
from polylm_jax.languages.registry import LANGUAGES

LEAST_OF_SCRIPT = 0.5  # of the letters of a text whose language nothing but its source tells


class Refusals(contextlib.nullcontext):
    """What datatrove's filters hand dropped documents to: counts them and keeps samples."""

    def __init__(self, tally: Tally, stage: str, reason: str = "dropped"):
        super().__init__(self)
        self.tally, self.stage, self.reason = tally, stage, reason

    def write(self, document: Document, rank: int = 0) -> None:
        reason = document.metadata.pop("filter_reason", self.reason)
        about = document.metadata
        source, language = about["source"], about["language"]
        self.tally.add(self.stage, source, language, reason, document.text)
        extra = {"because": about["because"]} if "because" in about else {}
        record = {"source": source, "id": document.id, "text": document.text, **extra}
        self.tally.sample(self.stage, language, reason, record)


class Refusing(BaseFilter):
    """A filter that is counted under the name of its stage; `filter` gives True or (False, reason)."""

    stage: str

    def __init__(self, tally: Tally):
        super().__init__(Refusals(tally, self.stage))
        self.tally = tally

    def note(self, document: Document, what: str, n: int = 1) -> None:
        """Counts something that happened to a document that stays."""
        self.tally.note(self.stage, document, what, n)


class Passing(PipelineStep):
    """A step that lets every document pass: `look` counts it, or changes its text."""

    def __init__(self, tally: Tally):
        super().__init__()
        self.tally = tally

    def look(self, document: Document) -> None:
        """One document on its way."""

    def run(self, data, rank: int = 0, world_size: int = 1):
        for document in data or ():
            self.look(document)
            yield document


class MendCharacters(Passing):
    """Turns back escapes and wrong encodings and composes letters, before anyone asks what language it is.

    It refuses nothing; a text that stays mojibake is marked, and goes with the repairs.
    """

    type, name = "FORMAT", "characters"

    def look(self, document: Document) -> None:
        document.text, done, broken = mending.mended(document.text)
        for what in done:
            self.tally.note("characters", document, what)
        if broken:
            document.metadata["mojibake"] = True


class Identify(Refusing):
    """Moves a document to the language that it is in; refuses doubtful and unwanted ones.

    Lines in another language than the text's are left out; a text whose lines mix two is refused.
    """

    type, name, stage = "FILTER", "language", "language"

    def __init__(self, tally: Tally, identifier: Identifier, least: float):
        super().__init__(tally)
        self.identifier, self.least = identifier, least

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        about = document.metadata
        if "pair" in about:
            return True
        claimed, codes = about["language"], self.identifier.codes
        if self._takes_its_word(claimed, document.text):
            self.note(document, "identified")
            self.note(document, "as its source says")
            return True
        parts = two_languages.parted(document.text, codes, claimed, self.identifier)
        if parts is not None and not parts.code:
            about["language"] = self.identifier(document.text)[0]
            return False, "two languages"
        document.text = document.text if parts is None else parts.text
        about["language"], sure = self.identifier(document.text, claimed)
        about["confidence"] = round(sure, 4)
        if self.identifier.compare:
            agree = self.identifier.second(document.text) == about["language"]
            self.note(document, "both agree" if agree else "they disagree")
        if sure < self.least:
            return False, "low confidence"
        if about["language"] not in codes:
            return False, "another language"
        self.note(document, "identified")
        if parts is not None:
            self.note(document, "lines in another language", parts.gone)
        if claimed not in ("und", about["language"]):
            self.note(document, f"moved from {claimed}")
        return True

    def _takes_its_word(self, claimed: str, text: str) -> bool:
        """Whether a source says a wanted language that no detector knows, and the script agrees."""
        if claimed not in self.identifier.codes or self.identifier.knows(claimed):
            return False
        return characters.share_of_script(text, LANGUAGES[claimed].script) >= LEAST_OF_SCRIPT


class Repair(Refusing):
    """Line-level repairs; refuses a text that hides things between its letters, and mojibake."""

    type, name, stage = "FILTER", "repairs", "repairs"

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        if document.metadata.pop("mojibake", False):
            return False, "mojibake"
        hidden = repairs.invisible_share(document.text)
        if hidden > repairs.MAX_INVISIBLE:
            return False, "invisible characters"
        text, done = repairs.repaired(document.text, hidden > 0)
        if not text or ("pair" in document.metadata and text.count("\n") != 1):
            return False, "nothing left"
        for what, count in done.items():
            self.note(document, what, count)
        document.text = text
        return True


class Rules(Refusing):
    """Gopher's and BLOOM's rules, with the ranges of the language, its script, and the source."""

    type, name, stage = "FILTER", "rules", "rules"

    def __init__(
        self, tally: Tally, own: limits.Own, of_sources: Mapping[str, Mapping] | None = None
    ):
        super().__init__(tally)
        self.limits = {
            code: limits.limits_of(language.script, own, code)
            for code, language in LANGUAGES.items()
        }
        self.of_sources = {name: dict(given) for name, given in (of_sources or {}).items()}

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        about = document.metadata
        if "pair" in about:
            return True
        code = about["language"]
        ranges = self.limits[code] | self.of_sources.get(about["source"], {})
        reason = next(rules.violations(document.text, LANGUAGES[code], ranges), None)
        return True if reason is None else (False, reason)


class Pairs(Refusing):
    """Two sentences that ought to translate each other."""

    type, name, stage = "FILTER", "pairs", "pairs"

    def __init__(self, tally: Tally, codes: Sequence[str]):
        super().__init__(tally)
        self.codes = tuple(codes)

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        if "pair" not in document.metadata:
            return True
        languages = document.metadata["language"].split("-")
        reason = pairs.fault(document.text.split("\n"), languages, self.codes)
        return True if reason is None else (False, reason)


class MaskPersonalData(Passing):
    """Markers for addresses and numbers, in pairs on both sides."""

    type, name = "FORMAT", "personal data"

    def __init__(self, tally: Tally, kinds: Sequence[str] = personal_data.ADDRESSES):
        super().__init__(tally)
        self.kinds = tuple(kinds)

    def look(self, document: Document) -> None:
        about = document.metadata
        codes = about["language"].split("-") if "pair" in about else [about["language"]]
        texts = document.text.split("\n") if "pair" in about else [document.text]
        masked = [personal_data.masked(*part, self.kinds) for part in zip(texts, codes)]
        document.text = "\n".join(text for text, _ in masked)
        for kind, count in sum((found for _, found in masked), Counter()).items():
            self.tally.note("personal data", document, kind, count)


class CountKept(Passing):
    """Counts what has come through everything."""

    type, name = "STATS", "kept"

    def look(self, document: Document) -> None:
        self.tally.note("kept", document, "kept")


class CheckSources:
    """Stops the run where a source gave nothing: a wrong encoding, a wrong field's name."""

    def __init__(self, sources: Sequence[str], counts: str, max_broken: float):
        self.sources, self.counts, self.max_broken = tuple(sources), counts, max_broken

    def __call__(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        counts, _ = merged(pathlib.Path(self.counts))
        read: Counter[str] = Counter()
        refused: dict[str, Counter[str]] = {source: Counter() for source in self.sources}
        for (stage, source, _, outcome), (documents, _) in counts.items():
            if stage == "note read":
                read[source] += documents
            elif stage == "reading":
                refused[source][outcome] += documents
        for source in self.sources:
            if not read[source]:
                raise broken_files.without_document(source, refused[source])
            broken_files.check(counts, source, self.max_broken)
        said = broken_files.summary(tally.broken_files(pathlib.Path(self.counts)))
        if said:
            print(said, flush=True)


class SaveTally(Passing):
    """The end of a shard: everything has come through, so its counts are written."""

    type, name = "STATS", "counts"

    def run(self, data, rank: int = 0, world_size: int = 1):
        yield from super().run(data, rank, world_size)
        self.tally.save(rank)


class Decontaminate(Refusing):
    """Refuses what holds an item of a benchmark's test set, and says which benchmark's."""

    type, name, stage = "FILTER", "benchmarks", "benchmarks"

    def __init__(self, tally: Tally, benchmarks: Sequence[Benchmark]):
        super().__init__(tally)
        self.benchmarks = tuple(benchmarks)

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        index = index_of(self.benchmarks)
        codes = document.metadata["language"].split("-")
        texts = document.text.split("\n") if "pair" in document.metadata else [document.text]
        for text, code in zip(texts, codes):
            found = index.search(text, LANGUAGES[code])
            if found:
                return False, found
        return True
