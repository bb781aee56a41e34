"""The report of a mix, from what its runs left: report.html, report.md, report.json, PNG.

Nothing in it depends on when or how often the runs were started: the same runs give the same bits.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from polylm_jax.ablation import forms
from polylm_jax.ablation.mixing import outcome, pictures, question, resized, sections
from polylm_jax.ablation.mixing.answer import Answer, Beside
from polylm_jax.ablation.mixing.designs import ANCHOR, Design
from polylm_jax.ablation.mixing.outcome import Runs
from polylm_jax.ablation.mixing.pool import Earlier
from polylm_jax.ablation.mixing.question import MixQuestion
from polylm_jax.runtime.storage import Folder


def write(
    place: Folder,
    design: Design,
    asked: MixQuestion,
    found: Answer,
    runs: Runs,
    earlier: Earlier,
    target_parameters: int,
) -> str:
    """Writes the report into MIX_DIR and says where the page is."""
    about = described(design, asked, found, runs, earlier, target_parameters)
    drawn = pictures.all_of(design, found, runs)
    title, made = sections.title(about), sections.all_of(about)
    forms.write(place, title, about, made, drawn)
    return "\n".join([*sections.verdict(about), f"{place.path}/report.html"])


def described(
    design: Design,
    asked: MixQuestion,
    found: Answer,
    runs: Runs,
    earlier: Earlier,
    target_parameters: int,
) -> dict:
    """The whole report as plain values."""
    checked = outcome.checked(design, found, runs)
    proposal = design.mixtures[0] if found.is_already else found.mixture
    checked |= outcome.among_allowed(design, asked, proposal, checked.get("values", {}))
    tests = list(outcome.tests(checked, of_scores=bool(asked.scores)))
    parameters = next(r["parameters"] for seeds in runs[ANCHOR].values() for r in seeds)
    return {
        "target": {"tokens": design.target_tokens, "parameters": target_parameters},
        "proxies": {
            "tokens": design.tokens,
            "parameters": parameters,
            "runs": len(found.fitted.runs.mixtures),
            "mixtures": len(set(found.fitted.runs.mixtures)),
            "seeds": len(design.mixtures[0].seeds),
            "earlier": len(earlier.points),
            "left_out": dict(earlier.left_out),
        },
        "asked": dataclasses.asdict(asked),
        "tests": [dataclasses.asdict(test) for test in tests],
        "law_held": _all(test.held for test in tests[:3]),
        "is_already": found.is_already,
        "distance": found.distance,
        "proposal": found.mixture.name,
        "phases": {name: float(w) for name, w in zip(design.phases, design.weights, strict=True)},
        "parts": {
            one.name: one.parts.tolist()
            for one in (*design.of(ANCHOR), *found.to_train) if one.parts is not None
        },
        "shares": list(_shares(design, found)),
        "objective": found.proposal.objective.plain(),
        "binding": list(found.proposal.binding),
        "against": {
            name: {"objective": one.objective.plain(),
                   "measures": {m: v.plain() for m, v in one.measures.items()}}
            for name, one in found.proposal.against.items()
        },
        "measures": {
            name: {"own": found.own[name], "proposal": found.proposal.measures[name].plain(), **about}
            for name, about in found.fitted.table().items()
        },
        "outside": dataclasses.asdict(found.fitted.outside(found.mixture.point[None])[0]),
        "beside": {law: _beside(design, one) for law, one in found.beside.items()},
        "sizes": resized.compared(design, found, runs),
        "check": checked,
    }  # fmt: skip


def _all(held: Iterator[bool | None]) -> bool | None:
    """Whether all hold; None as long as one is open and none has failed."""
    found = list(held)
    return False if False in found else None if None in found else True


def _beside(design: Design, one: Beside) -> dict:
    """What one law says by itself; shares: of the whole run, component -> what it would propose."""
    found = one.mixture
    whole_C = [] if found is None else question.whole_run(design, found.point).tolist()
    return {
        "shares": dict(zip((part.name for part in design.components), whole_C)),
        "distance": one.distance,
        "objective": one.change.objective.plain(),
        "measures": {name: value.plain() for name, value in one.change.measures.items()},
    }


def _shares(design: Design, found: Answer) -> Iterator[dict]:
    """Of each component its shares of the whole run and of each phase, tokens, epochs."""
    mixtures = [*design.of(ANCHOR), *(found.to_train or [found.mixture])]
    whole = {one.name: question.whole_run(design, one.point) for one in mixtures}
    for number, component in enumerate(design.components):
        share = float(whole[found.mixture.name][number])
        yield {
            "component": component.name,
            "languages": sorted(set(component.languages)),
            "tokens": component.tokens,
            "shares": {name: float(shares_C[number]) for name, shares_C in whole.items()},
            "by_phase": np.asarray(found.mixture.shares)[:, number].tolist(),
            "epochs": share * design.target_tokens / component.tokens,
        }
