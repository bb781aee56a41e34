"""The variants of an ablation: a name and a handful of gin lines each, and what can be wrong with them."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.old_names import new_binding

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_LINE = re.compile(r"\s*([^\s=]+)\s*=\s*(.+)", re.DOTALL)
RESERVED = ("locks", "recipes")  # folders of ABLATION_DIR that are no variant's


class Variant(NamedTuple):
    """A name and the gin lines ('NAME = VALUE') that make it of the recipe."""

    name: str
    lines: tuple[str, ...] = ()


class Run(NamedTuple):
    """One training run: its MODEL_DIR is ABLATION_DIR/VARIANT/seed_SEED."""

    variant: str
    seed: int

    @property
    def path(self) -> str:
        return f"{self.variant}/seed_{self.seed}"

    @property
    def title(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def recipe(self) -> str:
        """The gin file of it alone, below ABLATION_DIR."""
        return f"recipes/{self.variant}.seed_{self.seed}.gin"

    @property
    def said(self) -> str:
        """The file of what it says while others are under way beside it."""
        return f"recipes/{self.variant}.seed_{self.seed}.txt"


def read(given: Sequence[Sequence[str]]) -> dict[str, Variant]:
    """('name', 'LINE', 'LINE' ...) of each variant -> name -> Variant, in their order.

    Raises InputError for a name twice, one that can't be a folder, and a line that is no binding.
    """
    if isinstance(given, Mapping):
        raise InputError(
            "VARIANTS is a dict, which would drop a name given twice in silence: give a list of "
            "('NAME', 'GIN LINE', ...)."
        )
    found: dict[str, Variant] = {}
    for one in given:
        parts = (one,) if isinstance(one, str) else tuple(one)
        name = str(parts[0]) if parts else ""
        if not fits_a_folder(name):
            raise InputError(
                f"variant {name!r} can't name a folder: letters, digits, . _ + and - make a name "
                f"({', '.join(RESERVED)} are taken)."
            )
        if name in found:
            raise InputError(f"variant {name!r} stands twice in VARIANTS: rename one of them.")
        found[name] = Variant(name, tuple(_line(name, line) for line in parts[1:]))
    if not found:
        raise InputError("VARIANTS is empty: name one variant at least.")
    return found


def fits_a_folder(name: str) -> bool:
    """Whether a folder of ABLATION_DIR may have this name."""
    return bool(_NAME.fullmatch(name)) and name not in RESERVED


def _line(name: str, line: str) -> str:
    """'A=1' as 'A = 1', with today's name where it is one of the version before."""
    found = _LINE.fullmatch(str(line).strip())
    if not found:
        raise InputError(f"variant {name!r}: {line!r} is no gin line; write 'NAME = VALUE'.")
    return f"{new_binding(found[1])} = {found[2]}"


def known(name: str, variants: Mapping[str, Variant], field: str) -> str:
    """The name, if it is a variant's; InputError with the nearest that is."""
    if name not in variants:
        raise InputError(
            f"{field} = {name!r} is no variant.{nearest(name, variants)} "
            f"There are {', '.join(variants)}."
        )
    return name


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds; InputError for none, for one twice and for what is no whole number."""
    found = tuple(seeds)
    if not found or any(not isinstance(seed, int) or isinstance(seed, bool) for seed in found):
        raise InputError(f"SEEDS = {seeds!r}: give whole numbers, such as (0, 1, 2).")
    if len(set(found)) < len(found):
        raise InputError(f"SEEDS = {seeds!r} has a seed twice: paired seeds must differ.")
    return found


def check_budgets(tokens: Mapping[str, int], base: str, step: int, other: Sequence[str]) -> None:
    """InputError for a variant whose tokens aren't the base's, unless it is one of `other`.

    tokens: variant -> tokens of its whole run. step: tokens of the largest step; a run is whole
    steps, so budgets agree when they are less than one apart.
    """
    for name, count in tokens.items():
        if abs(count - tokens[base]) >= step and name not in other:
            raise InputError(
                f"variant {name!r} trains on {count:,} tokens and {base!r} on {tokens[base]:,}: "
                "give it as many, or name it in OTHER_BUDGETS where another budget is meant."
            )
