"""What the report of a mix says, section by section, and both forms of it: HTML and Markdown.

It leads with whether the law held.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from polylm_jax.ablation import markdown, page, page_tables, wording
from polylm_jax.ablation.comparison import larger_is_better
from polylm_jax.ablation.mixing import telling
from polylm_jax.ablation.mixing.question import BITS
from polylm_jax.ablation.page_tables import Cell, cell, text
from polylm_jax.languages import labels
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime.terminal import count


class Language(str):
    """A measure or a component in a cell, shown by its language's name where it has one."""


class Verdict(str):
    """A cell that is for the better (True), for the worse (False), or neither (None)."""

    good: bool | None = None


class Section(NamedTuple):
    """A heading, sentences, and a table if there are rows."""

    heading: str
    sentences: Sequence[str]
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def verdict_cell(told: str, good: bool | None) -> Verdict:
    made = Verdict(told)
    made.good = good
    return made


def title(about: Mapping) -> str:
    return f"A mixture for {count(about['target']['tokens'])} tokens"


def verdict(about: Mapping) -> list[str]:
    """The sentences that the report leads with."""
    return list(telling.verdict(about))


def all_of(about: Mapping) -> list[Section]:
    """The report after its verdict."""
    made = [_tests(about), _shares(about), _languages(about), _against(about), _measured(about)]
    made += [_held_out(about), _laws(about), _proposals(about), _predictions(about)]
    made += [*_sizes(about), _rest(about)]
    return [one for one in made if one.rows or one.sentences]


def _tests(about: Mapping) -> Section:
    words = {True: "held", False: "did not hold", None: "open"}
    rows = [
        (
            one["name"],
            "" if one["value"] is None else wording.number(one["value"]),
            one["needed"],
            verdict_cell(words[one["held"]], one["held"]),
        )
        for one in about["tests"]
    ]
    return Section("Did the law hold?", [], ("asked", "came out", "needed", ""), rows)


def _shares(about: Mapping) -> Section:
    names = list(about["shares"][0]["shares"])
    phases = list(about["phases"])
    rows = []
    for one in about["shares"]:
        shares = [f"{one['shares'][name]:.2%}" for name in names]
        by_phase = [f"{share:.2%}" for share in one["by_phase"]] if len(phases) > 1 else []
        facts = [count(one["tokens"]), f"{one['epochs']:.2f}"]
        rows.append((Language(one["component"]), *shares, *by_phase, *facts))
    heads = ["", *(telling.short(name) for name in names)]
    heads += [f"proposal, {phase}" for phase in phases] if len(phases) > 1 else []
    heads += ["tokens there are", "epochs of the proposal at the target"]
    return Section("Shares of the tokens", list(telling.binding(about)), heads, rows)


def _languages(about: Mapping) -> Section:
    """What each language is predicted to gain and lose."""
    others = list(about["against"])
    rows = []
    for name, one in about["measures"].items():
        of = [about["against"][other]["measures"][name] for other in others]
        sides = [_level(name, one["proposal"]), *(_difference(name, value) for value in of)]
        rows.append((Language(name), *sides))
    heads = ("", "proposal", *(f"less {other}'s" for other in others))
    return Section("Predicted for each language", [telling.INTERVALS], heads, rows)


def _against(about: Mapping) -> Section:
    rows = [
        (
            name,
            _difference(BITS, one["objective"]),
            "yes" if one["objective"]["beyond_noise"] else "no",
        )
        for name, one in about["against"].items()
    ]
    heads = ("against", "predicted difference of the objective", "can be told apart")
    return Section("The proposal against other mixtures", list(telling.apart(about)), heads, rows)


def _measured(about: Mapping) -> Section:
    against = about["check"].get("against", {})
    names = [other for other, one in against.items() if one]
    if not names:
        return Section("", [])
    rows = [
        (Language(m), *(_paired(m, against[other].get(m)) for other in names))
        for m in ("objective", *about["measures"])
    ]
    heads = ("", *(f"less {other}'s" for other in names))
    return Section("The proposal, measured at the proxies' size", [telling.PAIRED], heads, rows)


def _held_out(about: Mapping) -> Section:
    check = about["check"]
    if not check:
        return Section("", [])
    rows = []
    for name, one in check["measures"].items():
        spread = check["spread"][name]
        rows.append(
            (
                Language(name),
                "" if one["rank"] is None else wording.number(one["rank"], 2),
                "" if one["error"] is None else wording.number(one["error"], 4),
                "" if spread is None else wording.number(spread, 4),
                "" if one["inside"] is None else f"{one['inside']} of {one['mixtures']}",
            )
        )
    heads = (
        "",
        "rank correlation",
        "mean absolute error",
        "seeds' standard deviation",
        "in intervals",
    )
    return Section("The law on mixtures that it hadn't seen", [], heads, rows)


def _laws(about: Mapping) -> Section:
    names = list(next(iter(about["measures"].values()))["errors"])
    rows = [
        (
            Language(name),
            one["law"].replace("_", " "),
            *(wording.number(one["errors"][law], 4) for law in names),
        )
        for name, one in about["measures"].items()
    ]
    heads = ("", "chosen", *(law.replace("_", " ") for law in names))
    return Section("Laws: held-out errors by folds of mixtures", [], heads, rows)


def _proposals(about: Mapping) -> Section:
    """What each law would propose by itself."""
    alone = {law: one["shares"] for law, one in about["beside"].items() if one["shares"]}
    rows = []
    for one in about["shares"]:
        name = one["component"]
        shares = [one["shares"][about["proposal"]], *(shares[name] for shares in alone.values())]
        rows.append((Language(name), *(f"{share:.2%}" for share in shares)))
    heads = ("", "proposal", *(f"{law.replace('_', ' ')} alone" for law in alone))
    return Section("What each law would propose", list(telling.beside(about)), heads, rows)


def _predictions(about: Mapping) -> Section:
    """The proposal less the recipe's own mixture by each law."""
    of = about["beside"]
    rows = [
        (Language(name), *(_difference(name, one["measures"][name]) for one in of.values()))
        for name in about["measures"]
    ]
    heads = ("", *(f"by {law.replace('_', ' ')} alone" for law in of))
    return Section("The proposal less the recipe's own, by each law", [], heads, rows)


def _sizes(about: Mapping) -> Iterator[Section]:
    """What runs of another size say of the law."""
    for size, one in about["sizes"].items():
        told = lambda value: "" if value is None else wording.number(value, 2)
        rows = [
            (
                Language(name),
                *(told(ranks[key]) for key in ("law", "law_here", "runs")),
                f"{ranks['turned']} of {ranks['pairs']}",
            )
            for name, ranks in one["measures"].items()
        ]
        heads = ("", f"law, {size}", "law, proxies", f"proxies, {size}", "in another order")
        yield Section(f"At another size: {size}", list(telling.resized(size, about)), heads, rows)


def _rest(about: Mapping) -> Section:
    return Section("What this rests on", list(telling.outside(about)))


def _faced(measure: str, one: Mapping) -> Mapping:
    """A value that was turned so that smaller is better, as it is measured."""
    if not larger_is_better(measure) or measure in ("objective", BITS):
        return one
    low, high = one["low"], one["high"]
    ends = {"low": None if high is None else -high, "high": None if low is None else -low}
    return {**one, "mean": -one["mean"], **ends}


def _level(measure: str, one: Mapping) -> str:
    value, digits = _faced(measure, one), wording.digits_of(measure)
    ends = " to ".join(wording.number(value[end], digits) for end in ("low", "high"))
    return f"{wording.number(value['mean'], digits)} ({ends})"


def _difference(measure: str, one: Mapping) -> Verdict:
    good = None if not one["beyond_noise"] else one["mean"] < 0
    digits = 3 if measure == BITS else wording.digits_of(measure)
    return verdict_cell(wording.difference(_faced(measure, one), digits), good)


def _paired(measure: str, one: Mapping | None) -> str:
    if one is None:
        return ""
    return _difference(BITS if measure == "objective" else measure, one)


def named(key: str) -> str:
    """'bits_per_byte/th' or 'th' as both forms may show it."""
    code = key.removeprefix(BITS)
    return (
        labels.name_of(code) if code in LANGUAGES else wording.name_of(key) if "/" in key else key
    )


def as_html(
    about: Mapping, made: Sequence[Section], pictures: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """The parts of the page."""
    first, *more = verdict(about)
    kind = {True: "good", False: "bad", None: ""}[about["law_held"]]
    yield f"<div class='card {kind}'><b>{text(first)}</b></div>"
    yield from (f"<p>{text(one)}</p>" for one in more)
    for number, one in enumerate(made):
        yield f"<h2>{text(one.heading)}</h2>"
        yield from (f"<p class=dim>{text(sentence)}</p>" for sentence in one.sentences)
        if one.rows:
            yield page_tables.table(one.heads, [[_html(c) for c in row] for row in one.rows])
        if number == 0:
            yield page.figures(pictures)


def _html(value: str) -> str | Cell:
    if isinstance(value, Language):
        code = value.removeprefix(BITS)
        return page_tables.named(BITS + code) if code in LANGUAGES else cell(text(named(value)))
    if isinstance(value, Verdict):
        kind = {True: "good", False: "bad", None: "dim"}[value.good]
        return cell(text(value), kind)
    return value


def as_markdown(about: Mapping, made: Sequence[Section], pictures: Sequence[str]) -> str:
    """The whole text; pictures lie beside it as NAME.png."""
    first, *more = verdict(about)
    parts = [f"# {title(about)}", f"**{first}**", *more]
    for one in made:
        parts += [f"## {one.heading}", *one.sentences]
        if one.rows:
            parts.append(
                markdown.table(one.heads, [[_markdown(c) for c in row] for row in one.rows])
            )
    parts += [f"![{name}]({name}.png)" for name in pictures]
    return "\n\n".join(parts) + "\n"


def _markdown(value: str) -> str:
    if isinstance(value, Language):
        return named(value)
    if isinstance(value, Verdict) and value.good is not None:
        return (
            f"**{value}** {'better' if value.good else 'worse'}"
            if value[:1] in "+−"
            else f"**{value}**"
        )
    return value
