"""The stages of a cleaning run: what each reads and writes, and how many shards of it run apart.

All is known before the first stage starts, so that a cluster can queue every stage at once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datatrove.pipeline.dedup.exact_dedup import ExactDedupFilter, ExactFindDedups
from datatrove.pipeline.dedup.minhash import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)

from polylm_jax.corpus import duplicates, steps
from polylm_jax.corpus.decontamination import Benchmark
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.publishing import Publish
from polylm_jax.corpus.quality import Quality, QualityOptions, TrainQuality
from polylm_jax.corpus.reading import MAX_LINE, ReadShards
from polylm_jax.corpus.shards import ReadDocuments, WriteDocuments, WriteLanguages
from polylm_jax.corpus.sources import Unit
from polylm_jax.corpus.tally import Tally

_BUFFERED = 1000  # signatures that a merge reads of a file at once


@dataclass(frozen=True)
class Options:
    """What decides the documents that come out, beside the sources.

    Attributes:
        identifier: how languages are told.
        min_confidence: of the language, below which a document goes.
        limits: the user's own ranges of the rules, per script or for 'all'.
        quality: gold samples and what is made of them; None for no such stage.
        ngrams, bands, rows: of MinHash; see `duplicates.curve`.
        personal_data: whether addresses and numbers are masked.
        benchmarks: whose test items go.
        max_line: bytes of the longest record.
    """

    identifier: Identifier
    min_confidence: float = 0.5
    limits: Mapping[str, Mapping] = field(default_factory=dict)
    quality: QualityOptions | None = None
    ngrams: int = 5
    bands: int = 14
    rows: int = 8
    personal_data: bool = False
    benchmarks: Sequence[Benchmark] = ()
    max_line: int = MAX_LINE


@dataclass(frozen=True)
class Stage:
    """Steps that one process runs over one shard after another; `tasks` shards."""

    name: str
    steps: list
    tasks: int


def stages(options: Options, shards: Sequence[Sequence[Unit]], work: str, publish: Publish):
    """Every stage, in order. Folders are below `work`."""
    first = "quality" if options.quality else "rules"
    tasks, written = len(shards), os.path.join(work, "documents", first)
    names = list(dict.fromkeys(unit.source.name for shard in shards for unit in shard))
    check = steps.CheckSources(names, os.path.join(work, "counts"))
    planned = [_read(options, shards, work), Stage("check", [check], 1)]
    if options.quality:
        planned += _quality(options, tasks, work)
    planned += _exact(tasks, work)
    planned += _near(options, tasks, work, written)
    planned.append(_finish(options, tasks, work, written))
    return [*planned, Stage("publish", [publish], 1)]


def _tally(work: str, stage: str) -> Tally:
    return Tally(os.path.join(work, "counts", stage))


def _signed(work: str) -> str:
    return os.path.join(work, "exact", "signatures")


def _read(options: Options, shards: Sequence[Sequence[Unit]], work: str) -> Stage:
    tally = _tally(work, "1_read")
    last = [] if options.quality else [duplicates.SignExact(_signed(work))]
    pipeline = [
        ReadShards(shards, tally, options.max_line),
        steps.Identify(tally, options.identifier, options.min_confidence),
        steps.Repair(tally),
        steps.Rules(tally, options.limits),
        steps.Pairs(tally, options.identifier.codes),
        WriteDocuments(os.path.join(work, "documents", "rules")),
        steps.SaveTally(tally),
        *last,
    ]
    return Stage("read", pipeline, len(shards))


def _quality(options: Options, tasks: int, work: str) -> list[Stage]:
    tally, models = _tally(work, "2_quality"), os.path.join(work, "quality")
    before = os.path.join(work, "documents", "rules")
    train = TrainQuality(options.quality, before, tasks, models)
    pipeline = [
        ReadDocuments(before),
        Quality(tally, models),
        WriteDocuments(os.path.join(work, "documents", "quality")),
        steps.SaveTally(tally),
        duplicates.SignExact(_signed(work)),
    ]
    return [
        Stage("train quality", [train], len(options.quality.gold)),
        Stage("quality", pipeline, tasks),
    ]


def _exact(tasks: int, work: str) -> list[Stage]:
    found = os.path.join(work, "exact", "duplicates")
    config = duplicates.exact_config()
    search = ExactFindDedups(_signed(work), found, config, lines_to_buffer=_BUFFERED)
    return [Stage("exact duplicates", [search], 1)]


def _without_exact(work: str, tally: Tally | None) -> ExactDedupFilter:
    """Drops exact duplicates, counted where a tally is given."""
    refusals = tally and steps.Refusals(tally, "exact duplicates", "exact duplicate")
    found = os.path.join(work, "exact", "duplicates")
    os.makedirs(found, exist_ok=True)
    return ExactDedupFilter(found, duplicates.exact_config(), refusals)


def _near(options: Options, tasks: int, work: str, written: str) -> list[Stage]:
    config = duplicates.minhash_config(options.ngrams, options.bands, options.rows)
    signed, paired, clustered = (
        os.path.join(work, "near", name) for name in ("signatures", "buckets", "clusters")
    )
    sign = [
        ReadDocuments(written),
        _without_exact(work, None),
        duplicates.SignNear(signed, config),
    ]
    buckets = MinhashDedupBuckets(signed, paired, config=config, lines_to_buffer=_BUFFERED)
    cluster = MinhashDedupCluster(paired, clustered, config=config, lines_to_buffer=_BUFFERED)
    return [
        Stage("sign", sign, tasks),
        Stage("near duplicates", [buckets], options.bands),
        Stage("cluster", [cluster], 1),
    ]


def _finish(options: Options, tasks: int, work: str, written: str) -> Stage:
    tally = _tally(work, "3_finish")
    near = steps.Refusals(tally, "near duplicates", "near duplicate")
    clusters = os.path.join(work, "near", "clusters")
    pipeline = [
        ReadDocuments(written),
        _without_exact(work, tally),
        MinhashDedupFilter(clusters, near, lines_to_buffer=_BUFFERED),
        *([steps.Decontaminate(tally, options.benchmarks)] if options.benchmarks else []),
        *([steps.MaskPersonalData(tally)] if options.personal_data else []),
        WriteLanguages(os.path.join(work, "final")),
        steps.CountKept(tally),
        steps.SaveTally(tally),
    ]
    return Stage("finish", pipeline, tasks)
