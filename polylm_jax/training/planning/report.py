"""The plan of one step as nested names and numbers, from what the compiler made of it."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from polylm_jax.model import cost, partitioning
from polylm_jax.training import metrics
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.planning import candidates, collectives, cycles, hlo, money, roofline, work
from polylm_jax.training.planning.chips import Topology
from polylm_jax.training.planning.compilation import Compiled


def report(
    resolved: Resolved,
    topology: Topology,
    devices: list[jax.Device],
    compiled: Compiled,
    price_per_chip_hour: float | None = None,
) -> dict:
    """What `plan` prints and saves; 'work', 'collectives', 'roofline' and 'expected' only where the
    step compiled."""
    experiment = resolved.experiment
    tokens_per_step = max(resolved.steps.sizes) * experiment.sequence_length
    flops_per_token = cost.flops_per_token(experiment.model, experiment.sequence_length)
    peak = metrics.peak_flops(devices[0].device_kind)
    assert peak is not None, f"no table has {devices[0].device_kind}"
    run = functools.partial(
        money.at_utilisation,
        tokens=resolved.total_tokens,
        flops_per_token=flops_per_token,
        chips=topology.num_chips,
        peak_flops=peak,
        price_per_chip_hour=price_per_chip_hour,
    )
    total = compiled.memory.total
    plan: dict[str, Any] = {
        "topology": topology.name,
        "slices": topology.slices,
        "chips": topology.num_chips,
        "setting": setting(resolved),
        "compile_seconds": compiled.seconds,
        "memory": dataclasses.asdict(compiled.memory) | _beside(resolved, topology),
        # libtpu also compiles steps whose sum is more than there is, where what is alive at once fits.
        "fits": compiled.fits and total is not None and total <= topology.chip.hbm_bytes,
        "refusal": compiled.refusal,
        "run": [run(mfu) for mfu in money.UTILISATIONS],
        "run_tokens": resolved.total_tokens,
        "price_per_chip_hour": price_per_chip_hour,
    }
    if compiled.hlo:
        model_flops = flops_per_token * tokens_per_step
        plan |= _step(resolved, topology, devices, compiled, model_flops, peak)
        if plan["expected"]:
            plan["expected"]["run"] = run(plan["expected"]["mfu"])
    return plan


def _beside(resolved: Resolved, topology: Topology) -> dict:
    """What memory is compared with, and of the arguments what an average takes, if one is kept."""
    kept = candidates.parts(resolved.experiment, topology).get("average")
    return {"hbm": topology.chip.hbm_bytes} | ({"average": kept} if kept else {})


def setting(resolved: Resolved) -> dict:
    """What a search changes, and the batch that it is about."""
    experiment, batch_size = resolved.experiment, max(resolved.steps.sizes)
    data, fsdp, _ = resolved.mesh_shape
    return {
        "mesh": dict(zip(partitioning.AXES, resolved.mesh_shape, strict=True)),
        "batch_size": batch_size,
        "batch_sizes": list(resolved.steps.sizes),
        "sequence_length": experiment.sequence_length,
        "microbatches": experiment.microbatches,
        "rows_at_once": batch_size / (data * fsdp * experiment.microbatches),
        "remat": experiment.model.remat,
        "num_chunks": experiment.num_chunks,
        "vocab_blocks": experiment.vocab_blocks,
    }


def _step(resolved, topology, devices, compiled, model_flops, peak) -> dict:
    """Work, traffic and the estimate of the compiled step."""
    module = hlo.parse(compiled.hlo)
    mesh = partitioning.make_mesh(resolved.experiment.mesh, devices)
    found = collectives.find(module, dict(mesh.shape), topology.slices)
    flops, hbm_bytes = work.flops(module), work.hbm_bytes(module)
    places = coordinates(mesh.devices.ravel())
    line = roofline.estimate(
        topology,
        places,
        found,
        flops=flops,
        peak_flops=peak,
        hbm_bytes=hbm_bytes,
    )
    chips = topology.num_chips
    counted = cycles.estimate(module, topology.chip, peak_flops=peak, waited=line.waited)
    return {
        "expected": _expected(counted, model_flops / (chips * peak)),
        "work": {
            "model_flops": model_flops,
            "hardware_flops": flops * chips,
            "hbm_bytes_per_chip": hbm_bytes,
            "collective_bytes_per_chip": sum(one.sent for one in found),
            "crossing_bytes_per_chip": sum(roofline.crossing_bytes(one, places) for one in found),
        },
        "collectives": collectives.table(found),
        "roofline": dataclasses.asdict(line)
        | {
            "seconds": line.seconds,
            "binds": line.binds,
            "mfu_bound": model_flops / (chips * peak * line.seconds),
            "peak_flops": peak,
        },
    }


def _expected(counted: cycles.Cycles | None, at_peak: float) -> dict | None:
    """From libtpu's cycles, as published runs were; at_peak: seconds of the model's FLOPs at peak."""
    if counted is None:
        return None
    seconds, best, worst = counted.expected()
    return {
        "seconds": seconds,
        "seconds_range": [best, worst],
        "mfu": at_peak / seconds,
        "mfu_range": [at_peak / worst, at_peak / best],
        "cycles": dataclasses.asdict(counted) | {"seconds": counted.seconds},
        "factor": cycles.factor()[0],
    }


def coordinates(devices: np.ndarray) -> np.ndarray:
    """[devices, 1 + dims]: slice and place on the torus of each."""
    return np.array([[getattr(d, "slice_index", 0), *d.coords] for d in devices])
