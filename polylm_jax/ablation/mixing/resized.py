"""The law asked at another size: the held-out mixtures trained there, and whether their order stays.

CHECK_SIZES = {'width_256': ['GIN LINE', ...]}: lines over those of PROXY. The runs of a size lie in
MIX_DIR/at_NAME; no law sees them. Shapes: Q mixtures, M measures.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylm_jax.ablation import variants
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.mixing import draws, outcome
from polylm_jax.ablation.mixing.answer import Answer
from polylm_jax.ablation.mixing.designs import ANCHOR, HELD_OUT, Design, Mixture
from polylm_jax.ablation.mixing.outcome import OBJECTIVE, Runs
from polylm_jax.ablation.mixing.proxies import PROPOSAL, MixProxy
from polylm_jax.ablation.plans import Reconfigured
from polylm_jax.errors import InputError

AT = "at_"


def kind(size: str) -> str:
    """The kind of a size's runs, and their folder."""
    return f"{AT}{size}"


def mixtures(design: Design, found: Answer | None = None) -> list[Mixture]:
    """What is trained at a size, with the first seed: held-out mixtures, the recipe's own, the proposal."""
    proposed = [] if found is None else found.to_train
    chosen = [design.mixtures[0], *design.of(HELD_OUT), *proposed]
    return [one._replace(seeds=one.seeds[:1]) for one in chosen]


def parameters(proxy: MixProxy, design: Design, reconfigured: Reconfigured) -> dict[str, int]:
    """Size -> parameters of its model; InputError for lines that don't make a run of the same text."""
    found = {}
    stores = {task: text for one in design.components for task, text in one.stores.items()}
    for size in proxy.sizes:
        if not variants.fits_a_folder(size):
            raise InputError(
                f"CHECK_SIZES names {size!r}, which can't name a folder: letters, digits, . _ + and - make a "
                "name."
            )
        try:
            resolved = proxy.at(size).resolved(reconfigured)
        except InputError as error:
            raise InputError(f"CHECK_SIZES[{size!r}]: {error}") from error
        if {one: resolved.stores[one].content_hash for one in resolved.schedule.trained} != stores:
            raise InputError(
                f"CHECK_SIZES[{size!r}] changes the text that is read: leave only lines of the model, "
                "the optimizer and the length there."
            )
        found[size] = resolved.experiment.model.num_params
    return found


def summary(design: Design, sizes: Mapping[str, int]) -> Iterator[str]:
    """Lines for the terminal, with those of `cost.summary`."""
    runs = len(mixtures(design)) + 1
    for size, number in sizes.items():
        yield f"{runs:4} runs at {size}, {number:,} parameters, whose time isn't counted here"


def compared(design: Design, found: Answer, runs: Runs) -> dict[str, dict]:
    """Size -> what its runs say of the law, as plain values; only sizes that have some."""
    measures = found.fitted.runs.measures
    here = outcome.means(runs, (ANCHOR, HELD_OUT, PROPOSAL), measures)
    result = {}
    for one in (name for name in runs if name.startswith(AT)):
        there = outcome.means(runs, (one,), measures)
        asked = [m for m in mixtures(design, found) if m.name in there and m.name in here]
        if asked:
            records = next(iter(filter(None, runs[one].values())))
            about = {key: records[0][key] for key in ("parameters", "tokens")}
            result[one.removeprefix(AT)] = about | _of_size(asked, found, here, there)
    return result


def _of_size(asked: Sequence[Mixture], found: Answer, here: Mapping, there: Mapping) -> dict:
    unseen = [one for one in asked if one.name != draws.RECIPE]
    if not unseen:
        return {"mixtures": [], "measures": {}, "change": None}
    said_QM = outcome.predicted(found, unseen).mean_QM
    here_QM, there_QM = (np.stack([of[one.name] for one in unseen]) for of in (here, there))
    measures = found.fitted.runs.measures
    sides = ((said_QM, None), (here_QM, here), (there_QM, there))
    columns = {OBJECTIVE: [_objective(found, by).value(side, measures) for side, by in sides]}
    columns |= {name: [side[:, m] for side, _ in sides] for m, name in enumerate(measures)}
    return {
        "mixtures": [one.name for one in unseen],
        "measures": {name: _ranks(*three_Q) for name, three_Q in columns.items()},
        "change": _change(found, here, there),
    }


def _objective(found: Answer, measured: Mapping[str, np.ndarray] | None) -> Objective:
    """What is small, 'worst' against the recipe's own values at the size that was measured."""
    objective = found.objective
    if objective.kind != "worst" or measured is None or draws.RECIPE not in measured:
        return objective
    own = dict(zip(found.fitted.runs.measures, measured[draws.RECIPE].tolist(), strict=True))
    return dataclasses.replace(objective, reference={m: own[m] for m in objective.reference})


def _ranks(said_Q: np.ndarray, here_Q: np.ndarray, there_Q: np.ndarray) -> dict:
    """Rank correlations of one measure, and how many pairs of mixtures stand in another order there."""
    kept = np.isfinite(said_Q) & np.isfinite(here_Q) & np.isfinite(there_Q)
    said_Q, here_Q, there_Q = said_Q[kept], here_Q[kept], there_Q[kept]
    one, other = np.triu_indices(len(here_Q), 1)
    turned = (here_Q[one] - here_Q[other]) * (there_Q[one] - there_Q[other]) < 0
    return {
        "law": outcome.rank(said_Q, there_Q),
        "law_here": outcome.rank(said_Q, here_Q),
        "runs": outcome.rank(here_Q, there_Q),
        "turned": int(turned.sum()),
        "pairs": len(one),
    }


def _change(found: Answer, here: Mapping, there: Mapping) -> dict[str, float] | None:
    """The objective of the proposal less the recipe's own, at both sizes."""
    pair = (found.mixture.name, draws.RECIPE)
    if not all(name in of for name in pair for of in (here, there)):
        return None
    measures = found.fitted.runs.measures
    sides = {}
    for place, of in (("here", here), ("there", there)):
        value_2 = _objective(found, of).value(np.stack([of[name] for name in pair]), measures)
        sides[place] = float(value_2[0] - value_2[1])
    return sides
