"""Two small modes that tests configure through `run.py`: `fit` needs a folder, `look` does not."""

import dataclasses
import sys

from polylm_jax.errors import InputError

CALLS = []


@dataclasses.dataclass(frozen=True)
class Model:
    """A width and a depth."""

    width: int
    depth: int = 2


class Idle(Model):
    """Another one, which nothing calls."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """A named length."""

    name: str
    tokens: int = 7


def fit(
    model: Model,
    model_dir: str,
    phases: tuple[Phase, ...] = (),
    steps: int = 10,
    shard: str = "0/1",
    recipe: str = "",
) -> None:
    """Fits a model.

    More words about it.
    """
    if steps < 0:
        raise InputError(f"steps is {steps}: give 0 or more.")
    if steps == 99:
        sys.exit(143)
    CALLS.append(dict(locals()))


def look(model: Model) -> None:
    """Looks at a model."""
    if model.depth == 0:
        raise RuntimeError("a bug, not bad input")
    CALLS.append({"model": model})


def rest(model: Model) -> None:
    """A mode that no recipe configures."""
    CALLS.append({"model": model})
