"""Which process trains a run of an ablation, and whether any of it is left to train."""

import contextlib
import sys
from collections.abc import Iterator, Mapping

from polylm_jax.ablation import records
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.records import DONE
from polylm_jax.ablation.variants import Run
from polylm_jax.runtime import lock as run_lock
from polylm_jax.runtime.storage import Folder


@contextlib.contextmanager
def held(folder: str, run: Run) -> Iterator[None]:
    """The run is this process's as long as the block lasts; InputError, with who has it, else."""
    place = Folder(f"{folder.rstrip('/')}/locks/{run.variant}.seed_{run.seed}", run.title)
    lock = run_lock.hold(place)
    try:
        yield
    finally:
        lock.close()


def is_done(place: Folder, plan: Plan) -> bool:
    """Whether the log of a run says that it has reached its end."""
    total, size = plan.resolved.total_steps, plan.tokens_per_step
    return records.read(place, plan.run, total, size).state == DONE


def end(failed: Mapping[Run, int], elsewhere: Mapping[Run, str]) -> None:
    """Says which runs other processes have (-> who) and which failed (-> exit code): SystemExit(1) then."""
    for run, holder in elsewhere.items():
        print(f"{run.title} is left to another process: {holder}")
    if failed:
        names = "; ".join(f"{run.title} (exit code {code})" for run, code in failed.items())
        print(f"not finished: {names}. The same command tries again.", file=sys.stderr)
        sys.exit(1)
