"""Which settings of a step a search compiles: those that may fit, the most promising first.

Compiling takes a minute, so a rule of thumb goes before it: FLOPs with what is recomputed at the
chip's peak, then what the links carry, as if nothing else ran. The compiled step has the last word.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from polylm_jax.errors import InputError
from polylm_jax.model import cost
from polylm_jax.model.config import POLICIES
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.inspection import memory_report
from polylm_jax.training.planning.chips import Topology

TENSOR = (1, 2, 4, 8)
MICROBATCHES = (1, 2, 4, 8, 16)
# Products of a step over those of its model: what the policy makes again in the backward pass.
PRODUCTS = {"none": 1.0, "dots_attention": 1.0, "dots": 1.03, "attention": 1.25, "full": 1.28}


def candidates(
    experiment: Experiment, topology: Topology, peak_flops: float, limit: int
) -> list[Experiment]:
    """At most `limit` settings for the batch of the recipe; InputError where none may fit."""
    promising = sorted(
        (thumb(one, topology, peak_flops), number, one)
        for number, one in enumerate(settings(experiment, topology))
        if held(one, topology) <= topology.chip.hbm_bytes
    )
    if not promising:
        raise InputError(
            f"no mesh of {topology.num_chips} chips of {topology.chip.name} holds the model and a "
            "batch of this size: take more chips, or a batch that divides over them."
        )
    return [one for _, _, one in promising[:limit]]


def settings(experiment: Experiment, topology: Topology) -> Iterator[Experiment]:
    """Every mesh, number of microbatches and policy that the shapes divide over."""
    chips = topology.num_chips
    for fsdp, tensor, parts, remat in itertools.product(
        (n for n in range(1, chips + 1) if chips % n == 0), TENSOR, MICROBATCHES, POLICIES
    ):
        if chips % (fsdp * tensor):
            continue
        mesh = MeshConfig(chips // (fsdp * tensor), fsdp, tensor, topology.slices)
        one = dataclasses.replace(
            experiment,
            mesh=mesh,
            microbatches=parts,
            model=dataclasses.replace(experiment.model, remat=remat),
        )
        try:
            one.check_shapes(chips)
        except InputError:
            continue
        yield one


def held(experiment: Experiment, topology: Topology) -> float:
    """Bytes of a chip, as `cost.per_device` counts them before anything is compiled."""
    return sum(parts(experiment, topology).values())


def parts(experiment: Experiment, topology: Topology) -> dict[str, int]:
    """Those bytes, part by part."""
    return memory_report(experiment, experiment.mesh.shape(topology.num_chips))


def thumb(experiment: Experiment, topology: Topology, peak_flops: float) -> float:
    """Seconds of a step by the rule of thumb."""
    model, chip, mesh = experiment.model, topology.chip, experiment.mesh
    tokens = max(experiment.batch_sizes) * experiment.sequence_length / topology.num_chips
    flops = cost.flops_per_token(model, experiment.sequence_length) * tokens
    # Per microbatch and device: two gathers in 2 bytes and one sum in 4 bytes of what tensor leaves.
    gathered = 8 * model.num_params / mesh.tensor * experiment.microbatches if mesh.fsdp > 1 else 0
    summed = 8 * model.num_params / (mesh.fsdp * mesh.tensor) if mesh.data > topology.slices else 0
    between = 8 * model.num_params / (mesh.fsdp * mesh.tensor) if topology.slices > 1 else 0
    # Four gathers and four sums of a layer's input in the two passes, two more where it is redone.
    passes = 10 if model.remat in ("attention", "full") else 8
    moved = passes * 2 * tokens * model.embed_dim * model.num_layers * (mesh.tensor - 1)
    links = 2 * chip.dims * chip.link_rate
    return (
        flops * PRODUCTS[model.remat] / peak_flops
        + (gathered + summed) / links
        + moved / (2 * chip.link_rate)
        + between / chip.dcn_rate
    )


def ranked(plans: Sequence[dict]) -> list[dict]:
    """What fits before what doesn't, then the step that is expected to be the shorter one.

    By the bound where the compiler's program says no cycles.
    """

    def seconds(plan: dict) -> float:
        return (plan.get("expected") or plan.get("roofline") or {}).get("seconds", 0)

    return sorted(plans, key=lambda plan: (not plan["fits"], seconds(plan)))
