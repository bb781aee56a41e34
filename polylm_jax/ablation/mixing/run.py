"""`run.py mix`: which shares to train on, by cheap proxy runs, laws, a proposal and its check.

MIX_DIR/design.json                                  what is trained, and what must not change
       /anchors/, proxies/, held_out/, proposal/     each an ABLATION_DIR: runs, recipes, logs
       /at_NAME/                                     the same, of a size of CHECK_SIZES
       /report.html, report.md, report.json, *.png
       /proposed.gin                                 a recipe for `run.py train`
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from polylm_jax.ablation import evidence as records
from polylm_jax.ablation import launch, variants
from polylm_jax.ablation.laws.conformal import LEAST
from polylm_jax.ablation.mixing import (
    answer,
    cost,
    designs,
    pool,
    proposed,
    proxies,
    resized,
    scored,
    seed_effects,
)
from polylm_jax.ablation.mixing.answer import Answer
from polylm_jax.ablation.mixing.designs import ANCHOR, HELD_OUT, PROXY, Design, MixSizes, Mixture
from polylm_jax.ablation.mixing.pool import Earlier, Point
from polylm_jax.ablation.mixing.proxies import PROPOSAL, MixProxy
from polylm_jax.ablation.mixing.question import MixQuestion
from polylm_jax.ablation.plans import Reconfigured
from polylm_jax.errors import InputError
from polylm_jax.runtime.paths import resolve
from polylm_jax.runtime.ranges import Count, Natural, NonNegative
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import Folder

Stage = Literal["design", "train", "fit", "propose", "check"]
Done = Mapping[str, Mapping[str, Sequence[Mapping]]]  # kind -> mixture -> its finished runs


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the runs are done on.

    workers: processes that train a run each, as for `ablate`.
    price_per_hour: of the machine, for what is told before the runs.
    """

    workers: Count | None = None
    price_per_hour: NonNegative = 0.0


@spread("machine")
def mix(
    folder: str,
    sizes: MixSizes,
    proxy: MixProxy,
    question: MixQuestion,
    *,
    evidence: Sequence[str] = (),
    target_parameters: Natural = 0,
    machine: Machine,
    stage: Stage = "check",
    reconfigured: Reconfigured | None = None,
    gin_files: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Finds the shares of tokens that a training run should have, by proxy runs of its recipe.

    The recipe's own mixture, equal shares, UniMax, a temperature and mixtures drawn at random are
    trained small; laws are fitted to what they reach in each language; the shares that they predict
    to be best under the constraints are proposed, and checked by runs. Killed, the same command goes
    on; several machines that share MIX_DIR divide the runs.

    folder: where the design, the runs, the report and `proposed.gin` go, local or gs://.
    sizes: how many mixtures are trained, for which target.
    proxy: what makes a proxy of the recipe.
    question: what is to be small, and what must hold.
    evidence: folders of earlier ablations and mixes, whose runs are used where they are compatible.
    target_parameters: of the model that the mixture is for; 0 where it isn't said.
    stage: the last one that is done: design, train, fit, propose or check.
    reconfigured, gin_files: what run.py gives: the recipe with further lines; its files and overrides.

    Raises InputError for bad input, before anything is trained; SystemExit(143) when told to leave.
    """
    if reconfigured is None:
        raise InputError("mix needs `reconfigured`: call it through run.py.")
    if not folder:
        raise InputError("mix needs MIX_DIR: give it as --gin.MIX_DIR=VALUE.")
    variants.check_seeds(sizes.seeds)
    one = _begun(Folder(folder, "MIX_DIR"), sizes, proxy, question, evidence, reconfigured)
    one = dataclasses.replace(one, workers=machine.workers)
    lines = cost.summary(one.design, one.done(), one.speeds(), machine.price_per_hour)
    print("\n".join([*lines, *resized.summary(one.design, one.parameters)]), flush=True)
    if stage == "design" or not one.train(ANCHOR, PROXY) or stage == "train":
        return
    earlier = one.earlier.validated_as(one.points())
    found = one.answer(earlier)
    if stage != "fit":
        proposed.write(one.place, one.design, found, gin_files or {})
    at_sizes = map(resized.kind, proxy.sizes)
    if stage == "check" and not one.train(HELD_OUT, PROPOSAL, *at_sizes, found=found):
        return

    from polylm_jax.ablation.mixing import report  # brings matplotlib, which no other mode needs

    runs = one.runs(found)
    print(report.write(one.place, one.design, question, found, runs, earlier, target_parameters))


@dataclasses.dataclass(frozen=True)
class _Mix:
    """A mix whose design is settled.

    settings: what decides a proxy, of `evidence.settings`. parameters: of the model of each size.
    """

    place: Folder
    design: Design
    proxy: MixProxy
    question: MixQuestion
    earlier: Earlier
    settings: Mapping
    parameters: Mapping[str, int]
    reconfigured: Reconfigured
    workers: int | None = None

    def mixtures(self, kind: str, found: Answer | None = None) -> list[Mixture]:
        """Those of a kind that have runs of their own."""
        if kind.startswith(resized.AT):
            return resized.mixtures(self.design, found)
        if kind != PROPOSAL:
            return self.design.of(kind)
        return [] if found is None else found.to_train

    def measured(self, kind: str, found: Answer | None = None) -> dict[str, list[dict]]:
        """Mixture -> the evidence of its finished runs, without what their seeds do to all alike."""
        anchors = proxies.measured(self.place, ANCHOR, self.design.of(ANCHOR))
        effects = seed_effects.of(anchors, self.design.mixtures[0].seeds)
        made = proxies.measured(self.place, kind, self.mixtures(kind, found))
        return {n: [seed_effects.without(r, effects) for r in runs] for n, runs in made.items()}

    def proxy_of(self, kind: str) -> MixProxy:
        """What makes the runs of a kind of mixtures."""
        size = kind.removeprefix(resized.AT)
        return self.proxy if size == kind else self.proxy.at(size)

    def done(self) -> dict[str, int]:
        """Kind -> finished runs, as far as they are known before a proposal is."""
        return {k: sum(map(len, self.measured(k).values())) for k in (ANCHOR, PROXY, HELD_OUT)}

    def speeds(self) -> list[float]:
        """Tokens/s of the finished runs, here and in earlier evidence."""
        here = [r for k in (ANCHOR, PROXY) for runs in self.measured(k).values() for r in runs]
        return [
            *self.earlier.speeds,
            *(r["tokens_per_second"] for r in here if r["tokens_per_second"]),
        ]

    def train(self, *kinds: str, found: Answer | None = None) -> bool:
        """Trains what isn't done; False, said, where other processes have some of it.

        SystemExit(1) where runs failed, once all others are done.
        """
        failed: dict[variants.Run, int] = {}
        elsewhere: dict[variants.Run, str] = {}
        for kind in kinds:
            if mixtures := self.mixtures(kind, found):
                proxy = self.proxy_of(kind)
                asked = proxy.ablation(self.design.components, mixtures)
                done = proxies.train(self.place, kind, asked, self.reconfigured, self.workers)
                failed, elsewhere = {**failed, **done.failed}, {**elsewhere, **done.elsewhere}
            if there := [one.numbers for one in self.points()]:
                # A wrong name, before more is trained.
                pool.measures_of(there, self.question.scores)
        launch.end(failed, elsewhere)
        if elsewhere:
            print("The same command goes on when they are done.")
        return not elsewhere

    def points(self) -> list[Point]:
        """What the laws see of the runs that are done."""
        here = [r for k in (ANCHOR, PROXY) for runs in self.measured(k).values() for r in runs]
        return [pool.point(record, self.design) for record in here]

    def answer(self, earlier: Earlier) -> Answer:
        """Laws of the runs that are done, and the proposal; InputError for too few."""
        points = [*self.points(), *earlier.points]
        laws = answer.fitted_to(points, self.design, self.question)
        return answer.answer(laws, self.design, self.question)

    def runs(self, found: Answer) -> Done:
        """Kind -> mixture -> the evidence of its finished runs."""
        here = {k: self.measured(k, found) for k in (ANCHOR, PROXY, HELD_OUT, PROPOSAL)}
        there = map(resized.kind, self.proxy.sizes)
        return here | {k: proxies.measured(self.place, k, self.mixtures(k, found)) for k in there}


def _begun(
    place: Folder,
    sizes: MixSizes,
    proxy: MixProxy,
    question: MixQuestion,
    folders: Sequence[str],
    reconfigured: Reconfigured,
) -> _Mix:
    """The recipe read, the question checked, the design settled, earlier evidence looked at."""
    resolved = proxy.resolved(reconfigured)
    made = designs.make(resolved, sizes)
    question.check(made)  # before the folder knows of it
    scored.check(question, proxy, reconfigured)
    parameters = resized.parameters(proxy, made, reconfigured)
    if resolve(place.path, "MIX_DIR") in [resolve(path, "EVIDENCE") for path in folders]:
        raise InputError(
            f"EVIDENCE names MIX_DIR = {place.path!r} itself, whose runs are used anyway: leave it out."
        )
    settings = records.settings(proxy.repeating(resolved))
    earlier = pool.earlier(folders, made, settings)
    _check_enough(made, earlier)
    designs.settle(place, made)
    if folders:
        print(earlier.summary())
    return _Mix(place, made, proxy, question, earlier, settings, parameters, reconfigured)


def _check_enough(design: Design, earlier: Earlier) -> None:
    here = len(design.of(ANCHOR)) + len(design.of(PROXY))
    there = len({one.mixture for one in earlier.points})
    if here + there < LEAST:
        raise InputError(
            f"PROXIES = {len(design.of(PROXY))} with {len(design.of(ANCHOR))} anchors and {there} "
            f"mixtures of EVIDENCE are {here + there} mixtures, and a law with intervals needs {LEAST}: "
            f"give PROXIES = {LEAST - there - len(design.of(ANCHOR))} or more."
        )
