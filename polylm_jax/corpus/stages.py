"""The stages of a cleaning run: what each reads and writes, and how many shards of it run apart.

All is known before the first stage starts, so that a cluster can queue every stage at once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datatrove.pipeline.dedup.exact_dedup import ExactDedupFilter, ExactFindDedups
from datatrove.pipeline.dedup.minhash import (
    MinhashDedupBuckets,
    MinhashDedupFilter,
)

from polylm_jax.corpus import duplicates, steps
from polylm_jax.corpus.benchmarks import Benchmark
from polylm_jax.corpus.clusters import Cluster
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.plan import Stage
from polylm_jax.corpus.publishing import Publish
from polylm_jax.corpus.quality import Quality, QualityOptions, TrainQuality
from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.settings import NearDuplicates, Reading
from polylm_jax.corpus.shards import ReadDocuments, WriteDocuments, WriteLanguages
from polylm_jax.corpus.sources import Unit
from polylm_jax.corpus.tally import Tally

_BUFFERED = 1000  # signatures that a merge reads of a file at once


@dataclass(frozen=True)
class Options:
    """What decides the documents that come out, beside the sources.

    Attributes:
        identifier: how languages are told.
        reading, near: as the user has them.
        limits: the user's own ranges of the rules, for 'all', per script or language.
        source_limits: those of some sources alone.
        quality: gold samples and what is made of them; None for no such stage.
        personal_data: the kinds of addresses and numbers that are masked.
        benchmarks: whose test items go.
    """

    identifier: Identifier
    reading: Reading
    near: NearDuplicates
    limits: Mapping[str, Mapping]
    source_limits: Mapping[str, Mapping]
    quality: QualityOptions | None
    personal_data: Sequence[str]
    benchmarks: Sequence[Benchmark]


def stages(options: Options, shards: Sequence[Sequence[Unit]], work: str, publish: Publish):
    """Every stage, in order. Folders are below `work`."""
    tasks = len(shards)
    names = list(dict.fromkeys(unit.source.name for shard in shards for unit in shard))
    check = steps.CheckSources(names, os.path.join(work, "counts"), options.reading.max_broken)
    planned = [
        _read(options, shards, work),
        Stage("check", [check], 1, {"max_broken": options.reading.max_broken}),
    ]
    planned.append(_rules(options, tasks, work))
    written = "rules"
    if options.quality:
        planned += _quality(options.quality, tasks, work, written)
        written = "quality"
    if options.benchmarks:
        planned.append(_benchmarks(options, tasks, work, written))
        written = "benchmarks"
    written = _documents(work, written)
    planned += _exact(tasks, work, written)
    planned += _near(options, tasks, work, written)
    planned.append(_finish(options, tasks, work, written))
    return [*planned, Stage("publish", [publish], 1, {"output": publish.output})]


def _tally(work: str, stage: str) -> Tally:
    return Tally(os.path.join(work, "counts", stage))


def _documents(work: str, stage: str) -> str:
    return os.path.join(work, "documents", stage)


def _filtering(
    name: str, middle: list, tally: Tally, work: str, before: str, after: str, **stage
) -> Stage:
    """A stage that reads documents, drops some and writes the others."""
    pipeline = [
        ReadDocuments(_documents(work, before)),
        *middle,
        WriteDocuments(_documents(work, after)),
        steps.SaveTally(tally),
    ]
    outputs = (f"documents/{after}", os.path.relpath(tally.folder, work))
    return Stage(name, pipeline, outputs=outputs, **stage)


def _read(options: Options, shards: Sequence[Sequence[Unit]], work: str) -> Stage:
    """The slowest: what comes after it can be done anew without it."""
    tally, identifier, reading = _tally(work, "1_read"), options.identifier, options.reading
    pipeline = [
        ReadShards(shards, tally, reading.max_line, reading.max_broken),
        steps.MendCharacters(tally),
        steps.Identify(tally, identifier, reading.min_confidence),
        steps.Repair(tally),
        WriteDocuments(_documents(work, "read")),
        steps.SaveTally(tally),
    ]
    settings = {
        "languages": list(identifier.codes),
        "lid_model": identifier.model,
        "lid_compare": identifier.compare,
        "min_confidence": reading.min_confidence,
        "max_line": reading.max_line,
        "shards": [
            [f"{unit.source.name} {unit.path} {unit.start}-{unit.end}" for unit in shard]
            for shard in shards
        ],
    }
    return Stage("read", pipeline, len(shards), settings, ("documents/read", "counts/1_read"))


def _rules(options: Options, tasks: int, work: str) -> Stage:
    tally = _tally(work, "2_rules")
    middle = [
        steps.Rules(tally, options.limits, options.source_limits),
        steps.Pairs(tally, options.identifier.codes),
    ]
    own = {name: dict(ranges) for name, ranges in options.source_limits.items()}
    settings = {"limits": options.limits, "limits of sources": own}
    return _filtering("rules", middle, tally, work, "read", "rules", tasks=tasks, settings=settings)


def _quality(quality: QualityOptions, tasks: int, work: str, before: str) -> list[Stage]:
    tally, models = _tally(work, "3_quality"), os.path.join(work, "quality")
    train = TrainQuality(quality, _documents(work, before), tasks, models)
    decides = {
        "gold": {code: list(source.files) for code, source in quality.gold.items()},
        "models": quality.settings.kenlm_models,
        "perplexity": quality.settings.perplexity,
        "classifier": quality.settings.classifier,
        "keep": quality.settings.gold_kept,
    }
    middle = [Quality(tally, models)]
    return [
        Stage("train quality", [train], len(quality.gold), {"quality": decides}, ("quality",)),
        _filtering("quality", middle, tally, work, before, "quality", tasks=tasks),
    ]


def _benchmarks(options: Options, tasks: int, work: str, before: str) -> Stage:
    """Before duplicates are looked for: of two near copies the one without a test item stays."""
    tally = _tally(work, "4_benchmarks")
    named = {b.name: [list(b.files), list(b.fields), b.language] for b in options.benchmarks}
    settings = {"benchmarks": named}
    middle = [steps.Decontaminate(tally, options.benchmarks)]
    return _filtering(
        "benchmarks", middle, tally, work, before, "benchmarks", tasks=tasks, settings=settings
    )


def _exact(tasks: int, work: str, written: str) -> list[Stage]:
    signed, found = (os.path.join(work, "exact", name) for name in ("signatures", "duplicates"))
    sign = [ReadDocuments(written), duplicates.SignExact(signed)]
    config = duplicates.exact_config()
    search = ExactFindDedups(signed, found, config, lines_to_buffer=_BUFFERED)
    return [
        Stage("sign exact", sign, tasks, outputs=("exact/signatures",)),
        Stage("exact duplicates", [search], 1, outputs=("exact/duplicates",)),
    ]


def _without_exact(work: str, tally: Tally | None) -> ExactDedupFilter:
    """Drops exact duplicates, counted where a tally is given."""
    refusals = tally and steps.Refusals(tally, "exact duplicates", "exact duplicate")
    found = os.path.join(work, "exact", "duplicates")
    os.makedirs(found, exist_ok=True)
    return ExactDedupFilter(found, duplicates.exact_config(), refusals)


def _near(options: Options, tasks: int, work: str, written: str) -> list[Stage]:
    near = options.near
    shape = near.minhash_ngrams, near.minhash_bands, near.minhash_rows
    config = duplicates.minhash_config(*shape)
    signed, about, paired, clustered = (
        os.path.join(work, "near", name) for name in ("signatures", "about", "buckets", "clusters")
    )
    sign = [
        ReadDocuments(written),
        _without_exact(work, None),
        duplicates.SignNear(signed, config, near.minhash_numbers, about),
    ]
    buckets = MinhashDedupBuckets(signed, paired, config=config, lines_to_buffer=_BUFFERED)
    cluster = Cluster(paired, about, clustered, near.minhash_numbers, near.minhash_chains)
    settings = dict(zip(("ngrams", "bands", "rows"), shape, strict=True))
    settings["minhash_numbers"] = near.minhash_numbers
    chains = {"minhash_chains": near.minhash_chains}
    return [
        Stage("sign", sign, tasks, settings, ("near/signatures", "near/about")),
        Stage("near duplicates", [buckets], near.minhash_bands, outputs=("near/buckets",)),
        Stage("cluster", [cluster], 1, chains, ("near/clusters",)),
    ]


def _finish(options: Options, tasks: int, work: str, written: str) -> Stage:
    tally = _tally(work, "5_finish")
    near = steps.Refusals(tally, "near duplicates", "near duplicate")
    clusters = os.path.join(work, "near", "clusters")
    pipeline = [
        ReadDocuments(written),
        _without_exact(work, tally),
        MinhashDedupFilter(clusters, near, load_cluster_sizes=True, lines_to_buffer=_BUFFERED),
        *([steps.MaskPersonalData(tally, options.personal_data)] if options.personal_data else []),
        WriteLanguages(os.path.join(work, "final")),
        steps.CountKept(tally),
        steps.SaveTally(tally),
    ]
    settings = {"personal_data": list(options.personal_data)}
    return Stage("finish", pipeline, tasks, settings, ("final", "counts/5_finish"))
