"""`run.py ablate`: named variants of one recipe, at one budget, over seeds, to one report.

ABLATION_DIR/ablation.json                 the variants, their plans, the claims
            /VARIANT/seed_0/               MODEL_DIR of a run
            /recipes/VARIANT.seed_0.gin    the run alone: `run.py train --gin_file=...`, or `finetune`
            /recipes/VARIANT.seed_0.txt    what it said, where several were under way
            /report.html, report.md, report.json, *.png
"""

import dataclasses
import functools
import json
from collections.abc import Collection, Mapping, Sequence

from polylm_jax.ablation import branches, launch, plans, reuse
from polylm_jax.ablation import variants as variant_lines
from polylm_jax.ablation.plans import Ablation, Comparison, Plan, Reconfigured
from polylm_jax.ablation.variants import Run
from polylm_jax.ablation.workers import places, sweep
from polylm_jax.errors import InputError
from polylm_jax.evaluation import signal_report
from polylm_jax.runtime.ranges import Count, Seed
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training.identity import fingerprint
from polylm_jax.training.run_directory import check_resume


@dataclasses.dataclass(frozen=True)
class Running:
    """Which of the runs are done now, and how.

    variant, seed: only the runs of this variant, of this seed.
    start: False checks everything and writes the runs' recipes, and trains nothing.
    report_only: writes the report from the logs as they are, at any time, and does nothing else.
    share_beginnings: a run goes on from a checkpoint of a finished one that began the same.
    workers: processes that train a run each, on a chip or a core of its own; by default as many as the
    machine has, where the model is small.
    """

    variant: str = ""
    seed: Seed | None = None
    start: bool = True
    report_only: bool = False
    share_beginnings: bool = True
    workers: Count | None = None


@spread("comparison", "running")
def ablate(
    variants: Sequence[Sequence[str]],
    folder: str,
    *,
    comparison: Comparison,
    running: Running,
    reconfigured: Reconfigured | None = None,
) -> None:
    """Trains variants of a recipe at one budget over seeds, and reports which won where.

    Each run is what `run.py train` (or `finetune`) of its recipe alone would be; several workers train
    one each. A killed one goes on, a finished one is never run again, one that another process has is
    left to it. So the same command on several machines that share ABLATION_DIR divides the runs.

    variants: ('NAME', 'GIN LINE', ...) each.
    folder: where runs, their recipes and the report go, local or gs://.
    reconfigured: what run.py gives: the recipe with further lines.

    Raises InputError for bad input, before anything is trained; SystemExit(143) when told to leave.
    """
    if not folder:
        raise InputError("ablate needs ABLATION_DIR: give it as --gin.ABLATION_DIR=VALUE.")
    place = Folder(folder, "ABLATION_DIR")
    if running.report_only:
        print(_report(place))
        return
    if reconfigured is None:
        raise InputError("ablate needs `reconfigured`: call it through run.py.")
    asked = _asked(comparison, variants)
    order = asked.chosen(running.variant, running.seed)
    made = planned(place, asked, reconfigured)
    if not running.start:
        print("\n".join(f"{place.path}/{run.recipe}" for run in made))
        return
    shared = asked if running.share_beginnings else None
    failed, elsewhere = train_all(
        place, made, order, shared, bool(running.variant), workers=running.workers
    )
    print(_report(place))
    launch.end(failed, elsewhere)


def _asked(comparison: Comparison, variants: Sequence[Sequence[str]]) -> Ablation:
    """The comparison of these variants; InputError for what can't be."""
    read, seeds = variant_lines.read(variants), variant_lines.check_seeds(comparison.seeds)
    found: dict = {"variants": read, "seeds": seeds}
    found["leaves"] = branches.read(comparison.trunk, comparison.leaves or {}, read)
    if comparison.signal:
        found["silent"] = sorted(signal_report.silent(comparison.signal))
    return Ablation(**vars(comparison) | found).check()


def planned(place: Folder, asked: Ablation, reconfigured: Reconfigured) -> dict[Run, Plan]:
    """All plans, checked and written down."""
    made = plans.make(reconfigured, asked, place.path)
    plans.check_budgets(made, asked)
    branches.check(made, asked)
    _check_begun(place, made.values())
    for run, plan in made.items():
        place.write(run.recipe, plan.text.encode())
    about = plans.described(made, asked)
    place.write(plans.FILE, (json.dumps(about, ensure_ascii=False, indent=1) + "\n").encode())
    return made


def _check_begun(place: Folder, made: Collection[Plan]) -> None:
    """InputError for a run that has begun with another recipe, done or not."""
    notes: dict[str, list[Run]] = {}
    for plan in made:
        reuse.check_continued(plan, made, place)
        old = place.peek(f"{plan.run.path}/fingerprint.json")
        if old is not None:
            new = json.loads(to_json(fingerprint(plan.resolved)))
            where = f"{place.path}/{plan.run.path}"
            for line in check_resume(where, json.loads(old), new, False):
                notes.setdefault(line, []).append(plan.run)
    for line, runs in notes.items():
        print(f"{runs[0].title}{f' and {len(runs) - 1} more' if runs[1:] else ''}: {line}")


def train_all(
    place: Folder,
    made: Mapping[Run, Plan],
    order: Sequence[Run],
    asked: Ablation | None = None,
    alone: bool = False,
    report: bool = True,
    workers: int | None = None,
) -> tuple[dict[Run, int], dict[Run, str]]:
    """Trains what isn't done: (runs that failed -> exit code, runs that others have -> who).

    asked: says which runs wait for a trunk that another process has; None: beginnings aren't shared.
    alone: a run that another process has is refused. report: written now and then. workers: as for
    `ablate`.
    """
    left = sum(not launch.is_done(place, made[run]) for run in order)
    needed = sweep.need(made)
    here = places.chosen(places.machine(), needed, left, workers)
    if left:
        print(places.summary(here, needed), flush=True)
    reported = functools.partial(_report, place) if report else bool
    under_way = sweep.Sweep(place, made, here, asked=asked, alone=alone, report=reported)
    under_way.run(order)
    return under_way.failed, under_way.elsewhere


def _report(place: Folder) -> str:
    """Writes the report; imported here because it brings matplotlib, which no other mode needs."""
    from polylm_jax.ablation import report

    return report.write(place)
