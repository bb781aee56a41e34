"""Variants that leave a trunk: where each says that it does, held against what it is.

Which steps two runs share is found without this (`reuse`). A recipe that says it has the trunk
trained first, with a checkpoint kept at every place where one leaves, and is refused where a
variant would have parted from the trunk before and so cost its whole length.
"""

from collections.abc import Mapping

from polylm_jax.ablation import reuse, variants
from polylm_jax.ablation.plans import Ablation, Plan
from polylm_jax.ablation.variants import Run
from polylm_jax.errors import InputError


def check(plans: Mapping[Run, Plan], asked: Ablation) -> None:
    """InputError for a variant that is no longer the trunk at the step where it says it leaves it.

    Seeds change no step's kind, so the first one's runs are compared.
    """
    seed = asked.seeds[0]
    for name, step in asked.leaves.items():
        trunk, branch = plans[Run(asked.trunk, seed)], plans[Run(name, seed)]
        least = min(plan.resolved.total_steps for plan in (trunk, branch))
        if not 0 < step < branch.resolved.total_steps or step > trunk.resolved.total_steps:
            raise InputError(
                f"LEAVES has {name!r}: {step}, and of {asked.trunk!r} and it the shorter one has "
                f"{least} steps: give a step between, 1 or more."
            )
        if (shared := reuse.shared_steps(trunk, branch)) < step:
            raise InputError(
                f"LEAVES has {name!r}: {step}, and it is another run than {asked.trunk!r} "
                f"{_since(trunk, branch, shared)}: give it the trunk's phases up to step {step}, or "
                f"{shared} here."
            )


def _since(trunk: Plan, branch: Plan, shared: int) -> str:
    """From where on two runs differ, and in what."""
    if not shared:
        return "from its first step on"
    rate = trunk.resolved.same_rates(branch.resolved) <= shared
    return f"from step {shared} on, in its {'learning rate' if rate else 'rows'}"


def trunk_of(asked: Ablation, run: Run) -> Run | None:
    """The run that one leaves, if it leaves any: to be trained before it."""
    return Run(asked.trunk, run.seed) if run.variant in asked.leaves else None


def read(trunk: str, leaves: Mapping[str, int], known: Mapping) -> dict[str, int]:
    """Variant -> the step at which it leaves the trunk; InputError for names that there aren't."""
    if not leaves and not trunk:
        return {}
    if not (leaves and trunk):
        raise InputError(
            f"TRUNK = {trunk!r} and LEAVES = {dict(leaves)!r}: give both, the variant that others "
            "leave and the step at which each does, or neither."
        )
    variants.known(trunk, known, "TRUNK")
    for name, step in leaves.items():
        variants.known(name, known, "LEAVES")
        if name == trunk or not isinstance(step, int):
            raise InputError(
                f"LEAVES has {name!r}: {step!r}: give another variant than the trunk, and a step."
            )
    return dict(leaves)
