"""Running stages: on this machine's cores, or through datatrove's executors for Slurm and Ray."""

import contextlib
import io
import json
import multiprocessing
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor

from polylm_jax.corpus.plan import Stage
from polylm_jax.corpus.tally import written
from polylm_jax.errors import InputError
from polylm_jax.runtime.output_folder import FULL

EXECUTORS = ("local", "slurm", "ray")
Say = Callable[[str], None]


def run(stages: Sequence[Stage], work: str, workers: int, say: Say) -> None:
    """Every stage after the other on `workers` processes; what is complete is left as it is.

    Raises InputError, with the work folder fit to go on from, where a worker dies or the disk is full.
    """
    pool = None
    if workers > 1:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["polylm_jax.corpus.stages"])
        pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        for stage in stages:
            _run_stage(stage, work, pool, say)
    except BrokenProcessPool as error:
        raise InputError(
            f"A worker died in the stage {stage.name!r} (killed, or out of memory): run the same "
            f"command again to go on from the shards that are done, with fewer WORKERS than {workers} "
            "if memory was short."
        ) from error
    except OSError as error:
        if any(word in str(error) for word in FULL):
            raise InputError(
                f"The disk of WORK_DIR = {work!r} is full, in the stage {stage.name!r}: free some "
                "space and run the same command again; it goes on from the shards that are done."
            ) from error
        raise
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def _executor(stage: Stage, work: str) -> LocalPipelineExecutor:
    folder = os.path.join(work, "stages", stage.name.replace(" ", "_"))
    return LocalPipelineExecutor(stage.steps, tasks=stage.tasks, workers=1, logging_dir=folder)


def _run_stage(stage: Stage, work: str, pool: ProcessPoolExecutor | None, say: Say) -> None:
    executor, start, busy = _executor(stage, work), time.perf_counter(), 0.0
    ranks = executor.get_incomplete_ranks()
    if not ranks:
        say(f"{stage.name}: all {stage.tasks} shards were done before")
        return
    if pool is None:
        for rank in ranks:
            busy += _run_shard(_executor(stage, work), rank)
    else:
        futures = [pool.submit(_run_shard, executor, rank) for rank in ranks]
        try:
            for future in as_completed(futures):
                busy += future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    seconds = time.perf_counter() - start
    _record(work, stage.name, seconds, busy)
    done = stage.tasks - len(ranks)
    before = f", {done} done before" if done else ""
    say(f"{stage.name}: {len(ranks)} shards{before}, {seconds:.1f} s")


def _run_shard(executor: LocalPipelineExecutor, rank: int) -> float:
    """One shard of one stage; seconds of this core. datatrove's own log goes to the stage's folder."""
    start = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        executor._run_for_rank(rank, local_rank=1)
    return time.process_time() - start


def _record(work: str, stage: str, wall: float, cpu: float) -> None:
    """Adds to what a stage has taken so far, over all starts of the run."""
    path = pathlib.Path(work) / "seconds.json"
    seconds = json.loads(path.read_text()) if path.is_file() else {}
    before = seconds.get(stage, {"wall": 0.0, "cpu": 0.0})
    seconds[stage] = {"wall": before["wall"] + wall, "cpu": before["cpu"] + cpu}
    written(path, json.dumps(seconds, indent=1).encode())


def submit(stages: Sequence[Stage], work: str, kind: str, options: Mapping[str, object]) -> None:
    """Queues every stage on a cluster, each after the one before; returns when all are queued (Slurm)
    or done (Ray). `options` go to datatrove's executor: time, partition, cpus_per_task, ..."""
    make = _cluster(kind)
    before: Any = None
    for stage in stages:
        name = stage.name.replace(" ", "_")
        given = {"logging_dir": os.path.join(work, "stages", name), "depends": before, **options}
        if kind == "slurm":
            given = {"job_name": f"clean_{name}", **given}
        try:
            before = make(stage.steps, tasks=stage.tasks, **given)
        except TypeError as error:
            raise InputError(f"EXECUTOR_OPTIONS for {kind!r}: {error}.") from error
    before.run()


def _cluster(kind: str) -> type:
    if kind == "slurm":
        from datatrove.executor.slurm import SlurmPipelineExecutor

        return SlurmPipelineExecutor
    from datatrove.executor.ray import RayPipelineExecutor

    return RayPipelineExecutor
