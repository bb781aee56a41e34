"""The report of an ablation, from its logs as they are: report.html, report.md, report.json, PNG."""

import dataclasses
import json
from collections.abc import Mapping

from matplotlib.figure import Figure

from polylm_jax.ablation import comparison, figures, forms, sections, wording
from polylm_jax.ablation import records as run_records
from polylm_jax.ablation.comparison import Records
from polylm_jax.ablation.plans import FILE
from polylm_jax.ablation.records import NOT_BEGUN
from polylm_jax.ablation.variants import Run
from polylm_jax.errors import InputError
from polylm_jax.languages.labels import in_order
from polylm_jax.runtime.storage import Folder


def write(place: Folder) -> str:
    """Writes the report into ABLATION_DIR and says where the page is.

    Raises InputError where nothing was trained yet.
    """
    text = place.peek(FILE)
    if text is None:
        raise InputError(
            f"ABLATION_DIR = {place.path!r} holds no ablation: run `ablate` there first, or correct "
            "the folder."
        )
    plan = json.loads(text)
    records = read(place, plan)
    if all(r.state == NOT_BEGUN for runs in records.values() for r in runs.values()):
        raise InputError(
            f"ABLATION_DIR = {place.path!r} has no run with a log yet: there is nothing to report."
        )
    found = comparison.compare(plan, records)
    drawn = pictures(plan, found, records)
    title, made = found["title"] or "Ablation", list(sections.all_of(found))
    forms.write(place, title, found, made, drawn)
    return f"{place.path}/report.html"


def read(place: Folder, plan: Mapping) -> Records:
    """variant -> seed -> record, of all planned runs; means go over what all of them validate."""
    records = {
        name: {
            seed: run_records.read(
                place, Run(name, seed), about["total_steps"], about["tokens_per_step"]
            )
            for seed in plan["seeds"]
        }
        for name, about in plan["variants"].items()
    }
    validated = [r.labels for runs in records.values() for r in runs.values() if r.validation]
    common = frozenset.intersection(*validated) if validated else None
    return {
        name: {seed: dataclasses.replace(r, averaged=common) for seed, r in runs.items()}
        for name, runs in records.items()
    }


def labels(found: Mapping) -> list[str]:
    """The languages with bits per byte in any variant, in the table's order, pairs and code last."""
    numbers = (about["numbers"] for about in found["variants"].values())
    names = {m.partition("/")[2] for one in numbers for m in one if m.startswith("bits_per_byte/")}
    names -= {"average", "not_english"}
    return in_order(names)


def pictures(
    plan: Mapping, found: Mapping, records: Records
) -> dict[str, tuple[Figure | None, str]]:
    """File name -> (figure, None where there is nothing to draw, what it shows)."""
    drawn = {
        "differences": (
            figures.differences(found),
            (
                f"Difference to {found['base']} in bits per byte, mean over languages and 95 % interval "
                "over paired seeds; filled where zero lies outside."
            ),
        ),
        "languages": (
            figures.languages(found, labels(found)),
            "Difference per language; blue is better than the base, a dot is beyond noise.",
        ),
        "frontier": (
            figures.frontier(found),
            (
                "English against the other languages, means over seeds, bars from lowest to highest; "
                "the line joins the variants that none is better than in both."
            ),
        ),
        "validation": (
            figures.curves(records, figures.measure_of(figures.AVERAGE), "bits per byte"),
            (
                "Held-out bits per byte, mean over languages: mean over seeds, band from lowest to "
                "highest."
            ),
        ),
        "loss": (
            figures.curves(records, figures.loss_of, "training loss, nats per token"),
            "Training loss. Variants read different mixtures, so their losses don't compare.",
        ),
    }
    for number, measure in enumerate(_asked(found), 1):
        figure = figures.curves(records, figures.measure_of(measure), measure.rpartition("/")[2])
        drawn[f"measure_{number}"] = (figure, wording.name_of(measure))
    for name, runs in records.items():
        record = max(runs.values(), key=lambda one: one.step)
        figure = figures.tokens(plan["variants"][name], record) if record.ledger else None
        caption = "areas: trained; lines: planned; dashed: a phase begins. Between saves."
        drawn[f"tokens_{name}"] = (figure, f"Tokens per language, {record.run.title}; {caption}")
    return drawn


def _asked(found: Mapping) -> list[str]:
    """The measures of the claims, and what they are conditioned on, beside the average of bits."""
    both = [m for claim in found["claims"] for m in (claim["measure"], claim["only_where"]) if m]
    return [measure for measure in dict.fromkeys(both) if measure != figures.AVERAGE]
