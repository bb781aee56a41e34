"""`run.py plan`: a recipe's step compiled for its TPU slice without the TPU, and what comes of it."""

import json
import math
import os

from polylm_jax.errors import InputError
from polylm_jax.runtime import paths
from polylm_jax.runtime.ranges import Count, Positive
from polylm_jax.training import metrics
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.planning import candidates, chips, compilation, plan_view, report


def plan(
    experiment: Experiment,
    topology: str,
    *,
    price_per_chip_hour: Positive | None = None,
    json_path: str | None = "plan.json",
    search: bool = False,
    search_limit: Count = 12,
    recipe: str = "",
) -> None:
    """Compiles the train step for a TPU slice without the TPU: memory, FLOPs, traffic, time, money.

    experiment: what would train: a `training.Experiment`, or one of tuning.
    topology: the slice, as 'v5p:4x4x8'; several slices are the mesh's num_slices.
    price_per_chip_hour: adds money to the table of the whole run.
    json_path: the same report as JSON, to this file; None saves nothing.
    search, search_limit: compares meshes, microbatches and rematerialisation policies in place of the
    recipe's own, at most so many of them.
    recipe: the resolved config; goes into the JSON.

    Times are a bound, from the chip's published peaks, and what is expected, from libtpu's own cycles
    and how published runs kept to them; a search ranks by that. Raises InputError for bad input, and where
    libtpu isn't installed.
    """
    slice_ = chips.parse(topology, experiment.mesh.num_slices)
    if price_per_chip_hour is not None and not _is_price(price_per_chip_hour):
        raise InputError(f"price_per_chip_hour = {price_per_chip_hour!r}: give a positive number.")
    if search_limit < 1:
        raise InputError(f"search_limit = {search_limit}: give 1 or more.")
    if json_path:
        _check_place(json_path)
    devices = compilation.devices(slice_)
    peak_flops = metrics.peak_flops(devices[0].device_kind)
    assert peak_flops is not None, f"no table has {devices[0].device_kind}"
    wanted = [experiment]
    if search:
        wanted = candidates.candidates(experiment, slice_, peak_flops, search_limit)
    plans: list[dict] = []
    for one in wanted:
        resolved = one.resolve(open_stores=False, num_devices=slice_.num_chips)
        plan_view.progress(len(plans) + 1, len(wanted), report.setting(resolved))
        compiled = compilation.compile_step(resolved, devices)
        plans.append(report.report(resolved, slice_, devices, compiled, price_per_chip_hour))
        plans = candidates.ranked(plans)
        _save(json_path, {"recipe": recipe} | ({"search": plans} if search else plans[0]))
    plan_view.show(plans[0])
    if search:
        plan_view.show_search(plans)
    if json_path:
        plan_view.line(f"saved: {json_path}")


def _is_price(price) -> bool:
    return isinstance(price, int | float) and 0 < price < math.inf


def _check_place(path: str) -> None:
    """InputError where no file can be written: found before the minutes that a compile takes."""
    file = paths.local(path, "json_path")
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InputError(
            f"json_path = {path!r} can't be written: give a file in a local folder that is there."
        )


def _save(path: str | None, made: dict) -> None:
    if path:
        paths.local(path, "json_path").write_text(json.dumps(made, indent=2, ensure_ascii=False))
