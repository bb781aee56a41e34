"""What the report of a mix says, section by section.

It leads with whether the law held.
"""

from collections.abc import Iterator, Mapping

from polylm_jax.ablation import wording
from polylm_jax.ablation.comparison import larger_is_better
from polylm_jax.ablation.forms import Cell, Section, number_cell, verdict_kind
from polylm_jax.ablation.mixing import sentences
from polylm_jax.ablation.mixing.question import BITS
from polylm_jax.languages import labels
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime.terminal import count


def title(about: Mapping) -> str:
    return f"A mixture for {count(about['target']['tokens'])} tokens"


def verdict(about: Mapping) -> list[str]:
    """The sentences that the report leads with."""
    return list(sentences.verdict(about))


def all_of(about: Mapping) -> list[Section]:
    """The whole report: its verdict, then what it rests on; sections without a word are left out."""
    first, *more = verdict(about)
    lead = [[Cell(first, kind=verdict_kind(about["law_held"], ""))]]
    made = [Section("", rows=lead, kind="cards"), Section("", more)]
    made += [_tests(about), _shares(about), _languages(about), _against(about), _measured(about)]
    made += [_held_out(about), _laws(about), _proposals(about), _predictions(about)]
    made += [*_sizes(about), Section("What this rests on", list(sentences.outside(about)))]
    return [one for one in made if one.rows or one.sentences]


def _tests(about: Mapping) -> Section:
    words = {True: "held", False: "did not hold", None: "open"}
    rows = [
        (
            one["name"],
            "" if one["value"] is None else wording.number(one["value"]),
            one["needed"],
            Cell(words[one["held"]], kind=verdict_kind(one["held"])),
        )
        for one in about["tests"]
    ]
    heads = ("asked", "came out", "needed", "")
    return Section("Did the law hold?", heads=heads, rows=rows, pictures=True)


def _shares(about: Mapping) -> Section:
    names = list(about["shares"][0]["shares"])
    phases = list(about["phases"])
    rows = []
    for one in about["shares"]:
        shares = [f"{one['shares'][name]:.2%}" for name in names]
        by_phase = [f"{share:.2%}" for share in one["by_phase"]] if len(phases) > 1 else []
        facts = [count(one["tokens"]), f"{one['epochs']:.2f}"]
        rows.append((_named(one["component"]), *shares, *by_phase, *facts))
    heads = ["", *(sentences.short(name) for name in names)]
    heads += [f"proposal, {phase}" for phase in phases] if len(phases) > 1 else []
    heads += ["tokens there are", "epochs of the proposal at the target"]
    return Section("Shares of the tokens", list(sentences.binding(about)), heads, rows)


def _languages(about: Mapping) -> Section:
    """What each language is predicted to gain and lose."""
    others = list(about["against"])
    rows = []
    for name, one in about["measures"].items():
        of = [about["against"][other]["measures"][name] for other in others]
        sides = [_level(name, one["proposal"]), *(_difference(name, value) for value in of)]
        rows.append((_named(name), *sides))
    heads = ("", "proposal", *(f"less {other}'s" for other in others))
    return Section("Predicted for each language", [sentences.INTERVALS], heads, rows)


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
    return Section("The proposal against other mixtures", list(sentences.apart(about)), heads, rows)


def _measured(about: Mapping) -> Section:
    against = about["check"].get("against", {})
    names = [other for other, one in against.items() if one]
    if not names:
        return Section("", [])
    rows = [
        (_named(m), *(_paired(m, against[other].get(m)) for other in names))
        for m in ("objective", *about["measures"])
    ]
    heads = ("", *(f"less {other}'s" for other in names))
    return Section("The proposal, measured at the proxies' size", [sentences.PAIRED], heads, rows)


def _held_out(about: Mapping) -> Section:
    check = about["check"]
    if not check:
        return Section("", [])
    rows = []
    for name, one in check["measures"].items():
        spread = check["spread"][name]
        rows.append(
            (
                _named(name),
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
            _named(name),
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
        rows.append((_named(name), *(f"{share:.2%}" for share in shares)))
    heads = ("", "proposal", *(f"{law.replace('_', ' ')} alone" for law in alone))
    return Section("What each law would propose", list(sentences.beside(about)), heads, rows)


def _predictions(about: Mapping) -> Section:
    """The proposal less the recipe's own mixture by each law."""
    of = about["beside"]
    rows = [
        (_named(name), *(_difference(name, one["measures"][name]) for one in of.values()))
        for name in about["measures"]
    ]
    heads = ("", *(f"by {law.replace('_', ' ')} alone" for law in of))
    return Section("The proposal less the recipe's own, by each law", [], heads, rows)


def _sizes(about: Mapping) -> Iterator[Section]:
    """What runs of another size say of the law."""
    for size, one in about["sizes"].items():
        number_of = lambda value: "" if value is None else wording.number(value, 2)
        rows = [
            (
                _named(name),
                *(number_of(ranks[key]) for key in ("law", "law_here", "runs")),
                f"{ranks['turned']} of {ranks['pairs']}",
            )
            for name, ranks in one["measures"].items()
        ]
        heads = ("", f"law, {size}", "law, proxies", f"proxies, {size}", "in another order")
        yield Section(f"At another size: {size}", list(sentences.resized(size, about)), heads, rows)


def _faced(measure: str, one: Mapping) -> Mapping:
    """A value that was turned so that smaller is better, as it is measured."""
    if not larger_is_better(measure) or measure in ("objective", BITS):
        return one
    low, high = one["low"], one["high"]
    ends = {"low": None if high is None else -high, "high": None if low is None else -low}
    return {**one, "mean": -one["mean"], **ends}


def _level(measure: str, one: Mapping) -> Cell:
    value, digits = _faced(measure, one), wording.digits_of(measure)
    ends = " to ".join(wording.number(value[end], digits) for end in ("low", "high"))
    return number_cell(f"{wording.number(value['mean'], digits)} ({ends})")


def _difference(measure: str, one: Mapping) -> Cell:
    good = None if not one["beyond_noise"] else one["mean"] < 0
    digits = 3 if measure == BITS else wording.digits_of(measure)
    return number_cell(wording.difference(_faced(measure, one), digits), verdict_kind(good))


def _paired(measure: str, one: Mapping | None) -> Cell | str:
    if one is None:
        return ""
    return _difference(BITS if measure == "objective" else measure, one)


def _named(key: str) -> Cell:
    """'bits_per_byte/th' or 'th' by its language's name."""
    code = key.removeprefix(BITS)
    if code in LANGUAGES:
        return Cell(labels.name_of(code), language=LANGUAGES[code])
    return Cell(wording.name_of(key) if "/" in key else key)
