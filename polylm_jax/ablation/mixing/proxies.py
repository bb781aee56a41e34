"""The runs of a mix: mixtures as gin lines over the recipe, trained by `ablate`'s machinery.

MIX_DIR/anchors, proxies, held_out, proposal are each an ABLATION_DIR: its runs have their recipes, locks
and logs there, and `ablate --report_only` reads them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polylm_jax.ablation import evidence, plans, variants
from polylm_jax.ablation import run as ablations
from polylm_jax.ablation.mixing import components as parts
from polylm_jax.ablation.mixing import draws
from polylm_jax.ablation.mixing.components import Component
from polylm_jax.ablation.mixing.designs import Mixture
from polylm_jax.ablation.plans import Ablation, Reconfigured
from polylm_jax.runtime.ranges import Count
from polylm_jax.runtime.storage import Folder
from polylm_jax.training.experiment import Resolved

REPEAT = "repeat_as_tokens"
PROPOSAL = "proposal"


class Trained(NamedTuple):
    """Runs that didn't come to their end: by themselves, and because others have them."""

    failed: dict
    elsewhere: dict


@dataclasses.dataclass(frozen=True)
class MixProxy:
    """What makes a proxy of a recipe.

    target_tokens: of the run that the mixture is for: small stores are repeated as often as there.
    lines: gin lines, which make it short and small. sizes: name -> gin lines over these, which make the
    runs of another size that the check trains (`mixing.sizes`).
    """

    target_tokens: Count
    lines: Sequence[str] = ()
    sizes: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def at(self, size: str) -> "MixProxy":
        """What makes the runs of a size."""
        return dataclasses.replace(self, lines=(*self.lines, *self.sizes[size]), sizes={})

    def resolved(self, reconfigured: Reconfigured) -> Resolved:
        """The recipe as a proxy that repeats nothing on purpose, its stores open, checked.

        InputError for what `train` refuses.
        """
        alone = Ablation((0,), variants=variants.read([(draws.RECIPE, *self.lines)])).check()
        made = plans.make(reconfigured, alone, "unused")
        return next(iter(made.values())).resolved

    def repeating(self, resolved: Resolved) -> Resolved:
        """The same run as it will be: small stores are repeated as often as at the target."""
        experiment = resolved.experiment
        phases = zip(experiment.phases, resolved.schedule.phases, strict=True)
        repeated: dict[str, Any] = {REPEAT: self.target_tokens}
        again = dataclasses.replace(
            experiment,
            phases=[
                dataclasses.replace(config, mixture=dict(phase.shares), name=phase.name)
                for config, phase in phases
            ],
            tasks=None,  # their stores are there
            **repeated,
        )
        return again.resolve(num_devices=again.planned_devices())

    def ablation(self, components: Sequence[Component], mixtures: Sequence[Mixture]) -> Ablation:
        """The mixtures, all with the same seeds, as an ablation of the recipe."""
        repeat = f"training.Experiment.{REPEAT} = {self.target_tokens}"
        given = [(one.name, *self.lines, repeat, *lines(components, one)) for one in mixtures]
        return Ablation(tuple(mixtures[0].seeds), variants=variants.read(given)).check()


def lines(components: Sequence[Component], mixture: Mixture) -> tuple[str, ...]:
    """The gin lines that give the recipe's phases a mixture's shares; none for the recipe's own."""
    if mixture.name == draws.RECIPE:
        return ()
    shares = parts.shares_of_tasks(components, mixture.shares)
    found = (
        f"training.with_shares.shares = {shares!r}",
        "training.Experiment.phases = @training.with_shares()",
    )
    if mixture.parts is None:
        return found
    return (*found, f"training.with_shares.parts = {mixture.parts.tolist()!r}")


def place_of(mix: Folder, kind: str) -> Folder:
    """The ABLATION_DIR of a kind of mixtures."""
    return Folder(f"{mix.path.rstrip('/')}/{kind}", "MIX_DIR")


def train(
    mix: Folder, kind: str, asked: Ablation, reconfigured: Reconfigured, workers: int | None
) -> Trained:
    """Trains what isn't done of the mixtures of a kind; every run that is leaves its evidence."""
    place = place_of(mix, kind)
    made = ablations.planned(place, asked, reconfigured)
    return Trained(*ablations.train_all(place, made, asked.runs, report=False, workers=workers))


def measured(mix: Folder, kind: str, mixtures: Sequence[Mixture]) -> dict[str, list[dict]]:
    """Mixture -> the evidence of its runs that are done, seed by seed."""
    place = place_of(mix, kind)
    return {
        one.name: evidence.read(place, [f"{one.name}/seed_{s}/{evidence.FILE}" for s in one.seeds])
        for one in mixtures
    }
