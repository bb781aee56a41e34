"""What tables call a language, and the order in which they show them."""

from collections.abc import Iterable, Mapping, Sequence

from polylm_jax.errors import InputError
from polylm_jax.languages import registry

LRI, PDI = "\u2068", "\u2069"  # isolates right-to-left text, so that a line keeps its order


def isolated(text: str) -> str:
    """Text of any script as one unit of a left-to-right line."""
    return f"{LRI}{text}{PDI}"


def name_of(label: str) -> str:
    """'th' -> 'Thai · ไทย', 'en-th' -> 'English to Thai', 'parallel' -> 'parallel text'."""
    if label in registry.LANGUAGES:
        language = registry.LANGUAGES[label]
        return f"{language.name} · {isolated(language.native_name)}"
    names = [registry.LANGUAGES[p].name for p in label.split("-") if p in registry.LANGUAGES]
    return " to ".join(names) or {registry.PARALLEL: "parallel text"}.get(label, label)


def place(label: str, first: Sequence[str] = ()) -> tuple[int, str]:
    """Where a label stands in every table: `first`, then Table 2's order, code, parallel text, the rest."""
    order = [*first, *registry.LANGUAGES, registry.CODE, registry.PARALLEL]
    return (order.index(label) if label in order else len(order), label)


def in_order(labels: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    """Labels in the order that every table has."""
    return sorted(labels, key=lambda label: place(label, first))


def label_of(component: str) -> str:
    """The label in the end of a task's name: 'my.en_th' -> 'en-th', 'my.code' -> 'code'; else 'und'."""
    parts = component.rpartition(".")[2].split("_")
    try:
        return "-".join(p if p == registry.CODE else registry.find(p).code for p in parts)
    except InputError:
        return "und"


def by_language(shares: Mapping[str, float], labels: Mapping[str, str]) -> dict[str, float]:
    """Shares of components -> shares of languages, code and 'parallel', in the tables' order.

    labels: component -> its label where that is known; else the end of its name says it.
    """
    sums: dict[str, float] = {}
    for component, share in shares.items():
        label = labels.get(component) or label_of(component)
        label = registry.PARALLEL if "-" in label else label
        sums[label] = sums.get(label, 0.0) + share
    return {label: sums[label] for label in in_order(sums) if sums[label]}
