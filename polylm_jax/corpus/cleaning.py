"""`run.py clean`: from raw crawl to one JSONL.zst per language, with a report of what went and why."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from polylm_jax.corpus.settings import Filters, NearDuplicates, QualitySettings, Reading, Running
from polylm_jax.errors import InputError, one_of
from polylm_jax.languages import registry as known_languages
from polylm_jax.runtime import output_folder, paths
from polylm_jax.runtime.lock import hold
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import Folder

MEASURE = "measure"


@spread("reading", "filters", "quality", "near", "running")
def clean(
    sources: Mapping[str, object],
    output: str,
    work_dir: str,
    *,
    reading: Reading,
    filters: Filters,
    quality: QualitySettings,
    near: NearDuplicates,
    running: Running,
) -> None:
    """Cleans text: language, rules, quality, duplicates, pairs, test sets; a file per language.

    sources: name -> glob, or {'files': glob, ...} with the fields of `corpus.sources.Source`.
    output: the folder to make, with LL-NNNNN.jsonl.zst, report.json and report.html.
    work_dir: where stages leave what the next one reads; a run that was stopped goes on from there.

    Raises InputError for bad input; the output is complete or absent.
    """
    from polylm_jax.corpus import execution, first_look, measuring, stages
    from polylm_jax.corpus.benchmarks import benchmarks_of
    from polylm_jax.corpus.language_id import Identifier
    from polylm_jax.corpus.limits import check as check_limits
    from polylm_jax.corpus.personal_data import kinds_of as masked_kinds
    from polylm_jax.corpus.publishing import Publish
    from polylm_jax.corpus.sources import shards_of, sources_of

    one_of("EXECUTOR", running.executor, execution.EXECUTORS)
    limits = filters.limits or {}
    check_limits(limits)
    if running.stage not in ("", MEASURE):
        raise InputError(f"stage is {running.stage!r}: give '{MEASURE}', or none to clean.")
    if not running.stage:
        output_folder.check(output, running.overwrite)
    codes = tuple(known_languages.find(code).code for code in reading.languages)
    given = sources_of(sources, reading.data_dir)
    shards = shards_of(given, int(reading.shard_mb * 1e6))
    options = stages.Options(
        Identifier(codes, paths.without_home(reading.lid_model, "LID_MODEL"), reading.lid_compare),
        reading,
        near,
        limits=limits,
        source_limits={source.name: dict(source.limits) for source in given if source.limits},
        quality=_quality(quality, reading.data_dir),
        personal_data=masked_kinds(filters.personal_data),
        benchmarks=benchmarks_of(filters.benchmarks or {}, reading.data_dir),
    )
    first_look.check(options, given, shards, print)
    work = _work_folder(work_dir)
    if running.stage == MEASURE:
        measuring.run(options, given, str(work), print)
        return
    publish = Publish(str(paths.local(output, "OUTPUT")), str(work), running.overwrite)
    _run(stages.stages(options, shards, str(work), publish), work, running)


def _run(planned, work: pathlib.Path, running: Running) -> None:
    """All stages, in a work folder that nobody else works in."""
    from polylm_jax.corpus import execution, plan

    lock = hold(Folder(str(work), "WORK_DIR"))
    try:
        for said in plan.settle(work, planned):
            print(said)
        if running.executor == "local":
            execution.run(planned, str(work), running.workers or os.cpu_count() or 1, print)
        else:
            its_options = running.executor_options or {}
            execution.submit(planned, str(work), running.executor, its_options)
    finally:
        lock.close()


def _quality(quality: QualitySettings, data_dir: str):
    """The options of the quality stage; None where there is no gold."""
    from polylm_jax.corpus.quality import QualityOptions
    from polylm_jax.corpus.sources import files_of, sources_of

    if not quality.gold:
        return None
    given = sources_of(quality.gold, data_dir)
    samples = {known_languages.find(source.name).code: source for source in given}
    for source in samples.values():
        files_of(source)
    models = paths.without_home(quality.kenlm_models, "KENLM_MODELS")
    return QualityOptions(samples, dataclasses.replace(quality.check(), kenlm_models=models))


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
