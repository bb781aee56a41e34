"""What the report of an ablation says, section by section."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from polylm_jax.ablation import wording
from polylm_jax.ablation.forms import Cell, Section, number_cell, verdict_kind
from polylm_jax.ablation.records import task_of
from polylm_jax.languages.labels import in_order
from polylm_jax.languages.registry import LANGUAGES

BITS = "bits_per_byte/"


class Measures(NamedTuple):
    """Of a report: bits per byte, the average first and then as the languages' table has them; other
    scores; those of them that say nothing at this size."""

    bits: list[str]
    scores: list[str]
    silent: list[str]


def measures_of(found: Mapping) -> Measures:
    numbers = (about["numbers"] for about in found["variants"].values())
    names = list(dict.fromkeys(measure for one in numbers for measure in one))

    labels = [name.removeprefix(BITS) for name in names if name.startswith(BITS)]
    bits = [BITS + label for label in in_order(labels, first=("average", "not_english"))]
    silent = [m for m in names if task_of(m) in found["silent"]]
    return Measures(bits, [m for m in names if m not in {*bits, *silent}], silent)


def all_of(found: Mapping) -> Iterator[Section]:
    """The whole report; what there is nothing to say of is left out."""
    bits, scores, silent = measures_of(found)
    base = found["base"]
    notes = [note for note in (wording.half_way(found), *found["notes"]) if note]
    yield Section("", notes, kind="note")
    if found["claims"]:
        yield _claims(found["claims"])
    yield _winners(found, [*bits, *scores])
    yield _differences(f"Differences to {base}, bits per byte", found, bits, [wording.LEGEND])
    if scores:
        yield _differences(f"Benchmarks: differences to {base}", found, scores)
        yield _numbers("Benchmarks", found, scores)
    if silent:
        yield _numbers(wording.SILENT, found, silent)
    if found["slopes"]:
        rows = [(_named(m), _difference(m, one)) for m, one in found["slopes"].items()]
        yield Section(wording.SLOPES, heads=("", "slope"), rows=rows)
    yield Section("Curves", pictures=True)
    yield _numbers("Bits per byte of held-out text", found, bits)
    yield _variants(found)
    rows = [(name, *wording.cost(about)) for name, about in found["variants"].items()]
    yield Section("Cost", heads=("variant", *wording.COST_HEADS), rows=rows)


def _claims(claims: list[Mapping]) -> Section:
    kinds = {"seen": "good", "reversed": "bad"}
    rows = [
        (
            Cell(one["verdict"], kind=kinds.get(one["verdict"], "")),
            one["name"],
            f"{one['better']} over {one['than']}",
            wording.claim(one),
        )
        for one in claims
    ]
    return Section("Claims", (), ("verdict", "claim", "measured", "difference"), rows, "cards")


def _named(measure: str) -> Cell:
    code = measure.removeprefix(BITS)
    language = LANGUAGES.get(code) if measure.startswith(BITS) else None
    return Cell(wording.name_of(measure), language=language)


def _winners(found: Mapping, measures: list[str]) -> Section:
    rows = [
        (_named(measure), best, number_cell(worth, "good" if "beyond noise" in worth else "dim"))
        for measure, best, worth in wording.winners(found, measures)
    ]
    heads = ("", "best mean", f"beside {found['base']}")
    return Section("Who won where", [wording.discoveries(found, measures)], heads, rows)


def _differences(heading: str, found: Mapping, measures: list[str], said=()) -> Section:
    names = [name for name, about in found["variants"].items() if about["differences"]]
    if not names:
        return Section(heading, ["Nothing to compare yet."])
    rows = []
    for measure in measures:
        cells = [found["variants"][name]["differences"].get(measure) for name in names]
        rows.append((_named(measure), *(_difference(measure, one) for one in cells)))
    return Section(heading, said, ("", *names), rows)


def _difference(measure: str, one: Mapping | None) -> Cell | str:
    if one is None:
        return ""
    kind = verdict_kind(wording.better(measure, one))
    return number_cell(wording.difference(one, wording.digits_of(measure)), kind)


def _numbers(heading: str, found: Mapping, measures: list[str]) -> Section:
    """Means, and the lowest and the highest seed."""
    rows = []
    for measure in measures:
        digits = wording.digits_of(measure)
        cells = [about["numbers"].get(measure) for about in found["variants"].values()]
        shown = [number_cell(wording.spread(one, digits)) if one else "" for one in cells]
        rows.append((_named(measure), *shown))
    said = [] if rows else ["Nothing measured yet."]
    return Section(heading, said, ("", *wording.measured(found)), rows)


def _variants(found: Mapping) -> Section:
    rows = []
    for name, about in found["variants"].items():
        size = f"{about['tokens']:,}"
        if abs(about["tokens_of_base"] - 1) > 0.005:
            size += f" ({about['tokens_of_base']:.0%} of {found['base']}'s)"
        lines = Cell("the recipe as it is", lines=about["lines"])
        rows.append((name, size, wording.state(about), lines))
    return Section("Variants", heads=("variant", "tokens", "runs", "gin lines"), rows=rows)
