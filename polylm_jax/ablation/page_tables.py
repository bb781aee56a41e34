"""The tables of the page: who won where, differences in colour, numbers with their spread, cost."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from polylm_jax.ablation import wording
from polylm_jax.ablation.records import task_of
from polylm_jax.languages.labels import in_order
from polylm_jax.languages.registry import LANGUAGES

BITS = "bits_per_byte/"


class Cell(str):
    """A cell that is markup, with a class of its own."""

    kind = ""


def cell(markup: str, kind: str = "") -> Cell:
    made = Cell(markup)
    made.kind = kind
    return made


def text(value: object) -> str:
    return html.escape(str(value))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself where it is wider than the screen; its first column stays."""
    lines = ["<div class=scroll><table><thead><tr>", *(f"<th>{text(h)}</th>" for h in heads)]
    lines.append("</tr></thead>")
    for first, *rest in rows:
        lines.append(f"<tr><th scope=row>{_markup(first)}</th>")
        lines += [f"<td class='{getattr(c, 'kind', '')}'>{_markup(c)}</td>" for c in rest]
        lines.append("</tr>")
    return "".join([*lines, "</table></div>"])


def _markup(value: object) -> str:
    return value if isinstance(value, Cell) else text(value)


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


def named(measure: str) -> Cell:
    """A measure's name; of a language its code, its name and what it calls itself."""
    code = measure.removeprefix(BITS)
    if measure.startswith(BITS) and code in LANGUAGES:
        language = LANGUAGES[code]
        own = f"<span lang={code} dir=auto class=own>{text(language.native_name)}</span>"
        own = "" if language.native_name == language.name else own
        return cell(f"{text(code)} <span class=dim>{text(language.name)}</span> {own}")
    return cell(text(wording.name_of(measure)))


def winners(found: Mapping, measures: list[str]) -> str:
    rows = []
    for measure, best, worth in wording.winners(found, measures):
        real = "beyond noise" in worth
        rows.append(
            (
                named(measure),
                cell(f"<b>{text(best)}</b>"),
                cell(text(worth), "good" if real else "dim"),
            )
        )
    return table(("", "best mean", f"beside {found['base']}"), rows) if rows else ""


def differences(found: Mapping, measures: list[str]) -> str:
    """Green is better beyond noise, red worse; grey is within noise."""
    names = [name for name, about in found["variants"].items() if about["differences"]]
    if not names:
        return "<p class=dim>Nothing to compare yet.</p>"
    rows = []
    for measure in measures:
        found_cells = [found["variants"][name]["differences"].get(measure) for name in names]
        rows.append((named(measure), *(_difference(measure, one) for one in found_cells)))
    return table(("", *names), rows)


def _difference(measure: str, one: Mapping | None) -> Cell:
    if one is None:
        return cell("")
    digits = wording.digits_of(measure)
    told, _, ends = wording.difference(one, digits).partition(" ")
    verdict = wording.better(measure, one)
    mark = {True: " ▲", False: " ▼", None: ""}[verdict]
    kind = {True: "good", False: "bad", None: "dim"}[verdict]
    return cell(f"<b>{told}{mark}</b><small>{ends}</small>", kind)


def numbers(found: Mapping, measures: list[str]) -> str:
    """Means, and in small the lowest and the highest seed."""
    names = list(found["variants"])
    rows = []
    for measure in measures:
        cells = [found["variants"][name]["numbers"].get(measure) for name in names]
        rows.append((named(measure), *(_number(measure, one) for one in cells)))
    heads = ("", *wording.measured(found))
    return table(heads, rows) if rows else "<p class=dim>Nothing measured yet.</p>"


def _number(measure: str, one: Mapping | None) -> Cell:
    if one is None:
        return cell("")
    told, _, seeds = wording.spread(one, wording.digits_of(measure)).partition(" ")
    return cell(f"{told}<small>{seeds.strip('()')}</small>")


def slopes(found: Mapping) -> str:
    """Bits per byte for each doubling of the parameters."""
    return table(
        ("", "slope"), [(named(m), _difference(m, one)) for m, one in found["slopes"].items()]
    )


def variants(found: Mapping) -> str:
    rows = []
    for name, about in found["variants"].items():
        lines = "".join(f"<code>{text(line)}</code>" for line in about["lines"])
        size = f"{about['tokens']:,}"
        if abs(about["tokens_of_base"] - 1) > 0.005:
            size += f" ({about['tokens_of_base']:.0%} of {text(found['base'])}'s)"
        own = cell(lines or "the recipe as it is", "wide")
        rows.append((name, size, wording.state(about), own))
    return table(("variant", "tokens", "runs", "gin lines"), rows)


def cost(found: Mapping) -> str:
    rows = [(name, *wording.cost(about)) for name, about in found["variants"].items()]
    return table(("variant", *wording.COST_HEADS), rows)
