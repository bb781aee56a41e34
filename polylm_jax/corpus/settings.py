"""The settings of `run.py clean`, by what they are about; each is declared here once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import PAPER_CODES
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Bounds, Count, Natural, Positive, Share


@dataclass(frozen=True)
class Reading:
    """How raw text is read, and in which languages it is wanted.

    data_dir: what relative globs are relative to.
    languages: the codes that are wanted.
    shard_mb: text that one process reads at a time.
    max_line_mb: a longer record is counted and left out.
    max_broken: the share of a source's records that may be broken before the run stops.
    lid_model: a fastText model such as lid.176.bin or GlotLID; '' for CLD2 and lingua.
    lid_compare: asks lingua as well, and reports.
    min_confidence: of the language, below which a document goes.
    """

    data_dir: str = ""
    languages: Sequence[str] = PAPER_CODES
    shard_mb: Positive = 64
    max_line_mb: Positive = 32
    max_broken: Share = 0.2
    lid_model: str = ""
    lid_compare: bool = False
    min_confidence: Share = 0.5

    @property
    def max_line(self) -> int:
        """Bytes of the longest record."""
        return int(self.max_line_mb * (1 << 20))


@dataclass(frozen=True)
class Filters:
    """What else goes, or is masked.

    limits: {'Latn': {'characters': (200, None)}}, see corpus.limits.
    personal_data: True, or which kinds are masked.
    benchmarks: test sets whose items go, name -> {'files': glob, 'fields': [...]}.
    """

    limits: Mapping[str, Mapping] | None = None
    personal_data: bool | Sequence[str] = False
    benchmarks: Mapping[str, Mapping] | None = None


@dataclass(frozen=True)
class QualitySettings:
    """Quality by comparison with good text.

    gold: language -> a gold sample, as in `sources`; none leaves the quality stage out.
    kenlm_models: 'folder/{language}.arpa.bin'; '' trains one per language from its gold.
    perplexity: whether perplexity is looked at.
    classifier: 'sklearn', 'fasttext' or ''.
    gold_kept: the share of held-out gold that each threshold keeps.
    """

    gold: Mapping[str, object] | None = None
    kenlm_models: str = ""
    perplexity: bool = True
    classifier: str = "sklearn"
    gold_kept: Annotated[float, Bounds(0.5, 1, below=True)] = 0.98

    def check(self) -> "QualitySettings":
        """Itself, or InputError."""
        if self.classifier not in ("", "sklearn", "fasttext"):
            raise InputError(
                f"CLASSIFIER is {self.classifier!r}: give 'sklearn', 'fasttext' or ''."
            )
        return check_ranges(self)


@dataclass(frozen=True)
class NearDuplicates:
    """When two texts are one, by MinHash; see `duplicates.curve`.

    minhash_ngrams, minhash_bands, minhash_rows: n-grams of the shingles, bands, hashes per band.
    minhash_numbers: texts that differ in numbers and signs alone both stay.
    minhash_chains: of a chain of near-duplicates one stays alone.
    """

    minhash_ngrams: Count = 5
    minhash_bands: Count = 14
    minhash_rows: Count = 8
    minhash_numbers: bool = True
    minhash_chains: bool = False


@dataclass(frozen=True)
class Running:
    """What runs, and where.

    workers: processes; 0 for one per core.
    executor: 'local', 'slurm' or 'ray'.
    executor_options: of datatrove's executor, for the latter two.
    overwrite: replaces an output that exists.
    stage: 'measure' cleans nothing: it measures GOLD, or SOURCES, and proposes limits that keep it.
    """

    workers: Natural = 0
    executor: str = "local"
    executor_options: Mapping[str, object] | None = None
    overwrite: bool = False
    stage: str = ""
