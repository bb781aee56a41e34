"""The report as Markdown."""

from collections.abc import Mapping, Sequence

from polylm_jax.ablation import wording
from polylm_jax.ablation.page_tables import measures_of
from polylm_jax.runtime.markdown import table


def report(found: Mapping, pictures: Sequence[str]) -> str:
    """The whole text; pictures lie beside it as NAME.png."""
    bits, scores, silent = measures_of(found)
    parts = [f"# {found['title'] or 'Ablation'}", wording.half_way(found)]
    parts += found["notes"]
    if found["claims"]:
        rows = [
            (f"**{c['verdict']}**", c["name"], f"{c['better']} over {c['than']}", wording.claim(c))
            for c in found["claims"]
        ]
        parts += ["## Claims", table(("verdict", "claim", "measured", "difference"), rows)]
    parts += ["## Who won where", _winners(found, [*bits, *scores])]
    parts += [wording.discoveries(found, [*bits, *scores])]
    parts += ["## Bits per byte of held-out text", _numbers(found, bits)]
    parts += [f"## Differences to {found['base']}", _differences(found, bits)]
    if scores:
        parts += ["## Benchmarks", _numbers(found, scores), _differences(found, scores)]
    if silent:
        parts += [f"## {wording.SILENT}", _numbers(found, silent)]
    if found["slopes"]:
        slopes = found["slopes"].items()
        named = [(wording.name_of(m), wording.difference(one)) for m, one in slopes]
        parts += [f"## {wording.SLOPES}", table(("", "slope"), named)]
    parts += ["## Variants", _variants(found), "## Cost", _cost(found)]
    parts += [f"![{name}]({name}.png)" for name in pictures]
    return "\n\n".join(part for part in parts if part) + "\n"


def _winners(found: Mapping, measures: list[str]) -> str:
    rows = [
        (wording.name_of(measure), best, worth)
        for measure, best, worth in wording.winners(found, measures)
    ]
    return table(("", "best mean", f"beside {found['base']}"), rows) if rows else ""


def _numbers(found: Mapping, measures: list[str]) -> str:
    names = list(found["variants"])
    rows = []
    for measure in measures:
        cells = [found["variants"][name]["numbers"].get(measure) for name in names]
        digits = wording.digits_of(measure)
        shown = [wording.spread(cell, digits) if cell else "" for cell in cells]
        rows.append((wording.name_of(measure), *shown))
    return table(("", *wording.measured(found)), rows) if rows else "Nothing measured yet."


def _differences(found: Mapping, measures: list[str]) -> str:
    names = [name for name, about in found["variants"].items() if about["differences"]]
    if not names:
        return "Nothing to compare yet."
    rows = []
    for measure in measures:
        cells = [found["variants"][name]["differences"].get(measure) for name in names]
        rows.append((wording.name_of(measure), *(_cell(measure, cell) for cell in cells)))
    return table(("", *names), rows)


def _cell(measure: str, one: Mapping | None) -> str:
    if one is None:
        return ""
    told = wording.difference(one, wording.digits_of(measure))
    return {True: f"**{told}** better", False: f"**{told}** worse", None: told}[
        wording.better(measure, one)
    ]


def _variants(found: Mapping) -> str:
    rows = [
        (name, f"{about['tokens']:,}", wording.state(about),
         "<br>".join(f"`{line}`" for line in about["lines"]) or "the recipe as it is")
        for name, about in found["variants"].items()
    ]  # fmt: skip
    return table(("variant", "tokens", "runs", "gin lines"), rows)


def _cost(found: Mapping) -> str:
    rows = [(name, *wording.cost(about)) for name, about in found["variants"].items()]
    return table(("variant", *wording.COST_HEADS), rows)
