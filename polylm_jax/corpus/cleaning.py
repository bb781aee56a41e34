"""`run.py clean`: from raw crawl to one JSONL.zst per language, with a report of what went and why."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry as known_languages
from polylm_jax.runtime import output_folder, paths
from polylm_jax.runtime.lock import hold
from polylm_jax.runtime.ranges import Count, Natural, Positive, Share
from polylm_jax.runtime.storage import Folder

MEASURE = "measure"


def clean(
    sources: Mapping[str, object],
    output: str,
    work_dir: str,
    *,
    data_dir: str = "",
    languages: Sequence[str] = known_languages.PAPER_CODES,
    workers: Natural = 0,
    shard_mb: Positive = 64,
    max_line_mb: Positive = 32,
    max_broken: Share = 0.2,
    lid_model: str = "",
    lid_compare: bool = False,
    min_confidence: Share = 0.5,
    limits: Mapping[str, Mapping] | None = None,
    gold: Mapping[str, object] | None = None,
    kenlm_models: str = "",
    perplexity: bool = True,
    classifier: str = "sklearn",
    gold_kept: Share = 0.98,
    minhash_ngrams: Count = 5,
    minhash_bands: Count = 14,
    minhash_rows: Count = 8,
    minhash_numbers: bool = True,
    minhash_chains: bool = False,
    personal_data: bool | Sequence[str] = False,
    benchmarks: Mapping[str, Mapping] | None = None,
    executor: str = "local",
    executor_options: Mapping[str, object] | None = None,
    overwrite: bool = False,
    stage: str = "",
) -> None:
    """Cleans text: language, rules, quality, duplicates, pairs, test sets; a file per language.

    sources: name -> glob, or {'files': glob, ...} with the fields of `corpus.sources.Source`.
    output: the folder to make, with LL-NNNNN.jsonl.zst, report.json and report.html.
    work_dir: where stages leave what the next one reads; a run that was stopped goes on from there.
    data_dir: what relative globs are relative to. languages: the codes that are wanted.
    workers: processes; 0 for one per core. shard_mb: text that one process reads at a time.
    max_line_mb: a longer record is counted and left out. max_broken: the share of a source's
        records that may be broken before the run stops.
    lid_model: a fastText model such as lid.176.bin or GlotLID; '' for CLD2 and lingua. lid_compare: asks lingua as well, and reports.
    min_confidence: of the language. limits: {'Latn': {'characters': (200, None)}}, see corpus.limits.
    gold: language -> a gold sample, as in `sources`; none leaves the quality stage out.
    kenlm_models: 'folder/{language}.arpa.bin'; '' trains one per language from its gold.
    classifier: 'sklearn', 'fasttext' or ''. gold_kept: what each threshold keeps of held-out gold.
    minhash_*: n-grams of the shingles, bands, hashes per band; whether texts that differ in numbers
        and signs alone both stay; whether of a chain of near-duplicates one stays alone.
    personal_data: True, or which kinds are masked.
    benchmarks: name -> {'files': glob, 'fields': [...]}. overwrite: replaces an output that exists.
    executor: 'local', 'slurm' or 'ray', the latter two with datatrove's options.
    stage: 'measure' cleans nothing: it measures GOLD, or SOURCES, and proposes limits that keep it.

    Raises InputError for bad input; the output is complete or absent.
    """
    from polylm_jax.corpus import execution, first_look, measuring, stages
    from polylm_jax.corpus.benchmarks import benchmarks_of
    from polylm_jax.corpus.language_id import Identifier
    from polylm_jax.corpus.limits import check as check_limits
    from polylm_jax.corpus.personal_data import kinds_of as masked_kinds
    from polylm_jax.corpus.publishing import Publish
    from polylm_jax.corpus.sources import shards_of, sources_of

    _check_executor(executor, execution.EXECUTORS)
    _check_numbers(workers, shard_mb, max_line_mb, minhash_bands, minhash_rows)
    _check_share("MIN_CONFIDENCE", min_confidence)
    _check_share("MAX_BROKEN", max_broken)
    check_limits(limits or {})
    if stage not in ("", MEASURE):
        raise InputError(f"stage is {stage!r}: give '{MEASURE}', or none to clean.")
    if not stage:
        output_folder.check(output, overwrite)
    codes = tuple(known_languages.find(code).code for code in languages)
    given = sources_of(sources, data_dir)
    shards = shards_of(given, int(shard_mb * 1e6))
    options = stages.Options(
        identifier=Identifier(codes, paths.without_home(lid_model, "LID_MODEL"), lid_compare),
        min_confidence=min_confidence,
        limits=limits or {},
        source_limits={source.name: dict(source.limits) for source in given if source.limits},
        quality=_quality(gold, data_dir, kenlm_models, perplexity, classifier, gold_kept),
        ngrams=minhash_ngrams,
        bands=minhash_bands,
        rows=minhash_rows,
        numbers=minhash_numbers,
        chains=minhash_chains,
        personal_data=masked_kinds(personal_data),
        benchmarks=benchmarks_of(benchmarks or {}, data_dir),
        max_line=int(max_line_mb * (1 << 20)),
        max_broken=max_broken,
    )
    first_look.check(options, given, shards, print)
    work = _work_folder(work_dir)
    if stage == MEASURE:
        measuring.run(options, given, str(work), print)
        return
    publish = Publish(str(paths.local(output, "OUTPUT")), str(work), overwrite)
    planned = stages.stages(options, shards, str(work), publish)
    _run(planned, work, workers, executor, executor_options or {})


def _run(planned, work: pathlib.Path, workers: int, executor: str, its_options) -> None:
    """All stages, in a work folder that nobody else works in."""
    from polylm_jax.corpus import execution, plan

    lock = hold(Folder(str(work), "WORK_DIR"))
    try:
        for said in plan.settle(work, planned):
            print(said)
        if executor == "local":
            execution.run(planned, str(work), workers or os.cpu_count() or 1, print)
        else:
            execution.submit(planned, str(work), executor, its_options)
    finally:
        lock.close()


def _quality(gold, data_dir, models, perplexity, classifier, keep):
    """The options of the quality stage; None where there is no gold."""
    from polylm_jax.corpus.quality import QualityOptions
    from polylm_jax.corpus.sources import files_of, sources_of

    if not gold:
        return None
    samples = {known_languages.find(s.name).code: s for s in sources_of(gold, data_dir)}
    for source in samples.values():
        files_of(source)
    models = paths.without_home(models, "KENLM_MODELS")
    return QualityOptions(samples, models, perplexity, classifier, keep)


def _check_executor(executor: str, known: Sequence[str]) -> None:
    if executor not in known:
        hint = nearest(executor, known)
        raise InputError(f"EXECUTOR is {executor!r}: give 'local', 'slurm' or 'ray'.{hint}")


def _check_numbers(workers, shard_mb, max_line_mb, bands, rows) -> None:
    if workers < 0:
        raise InputError(f"WORKERS is {workers}: give 0 for one per core, or how many.")
    for name, value in (("SHARD_MB", shard_mb), ("MAX_LINE_MB", max_line_mb)):
        if value <= 0:
            raise InputError(f"{name} is {value}: give a number of megabytes above 0.")
    if bands < 1 or rows < 1:
        raise InputError(
            f"MINHASH_BANDS x MINHASH_ROWS is {bands} x {rows}: both must be 1 or more."
        )


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}: give a number from 0 to 1.")


def _work_folder(work_dir: str) -> pathlib.Path:
    work = paths.local(work_dir, "WORK_DIR")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"WORK_DIR = {work_dir!r} can't be made ({error.strerror}): name a folder that this user "
            "may write."
        ) from error
    return work
