"""What a room hands on to recipes: `training.Experiment` is found when asked, and nothing loads before.

A recipe says `from polylm_jax import training` and then `training.Experiment`; which file of the
room defines it is the room's own business, so a file can move inside its room without breaking a
recipe.
"""

import functools
import importlib
import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from polylm_jax.errors import nearest
from polylm_jax.runtime import extras


class Room(types.ModuleType):
    """A package whose `NAMES`, name -> the module of the room that defines it, are its own (PEP 562)."""

    NAMES: Mapping[str, str]

    def __getattr__(self, name: str) -> object:
        if name in self.NAMES:
            try:
                module = importlib.import_module(f"{self.__name__}.{self.NAMES[name]}")
            except ModuleNotFoundError as error:
                if extras.extra_of(error.name or "") is None:
                    raise
                return _lacking(self.__name__, name, error.name or "")
            return getattr(module, name)
        raise AttributeError(f"{self.__name__} has no {name!r}.{nearest(name, self.NAMES)}")

    def __setattr__(self, name: str, value: object) -> None:
        # An old name such as `polylm_jax.evaluation.evaluate` is a module that answers to the name of
        # a function; importing it must not hide the function from recipes that say the new name.
        if not (name in self.NAMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.NAMES]


@functools.cache  # gin takes another object of the same name for another configurable
def _lacking(room: str, name: str, module: str) -> Callable[..., object]:
    """In place of what needs an extra that isn't installed: a recipe has all modes, and most need none.

    Calling it raises ModuleNotFoundError for the extra's module.
    """

    def lacking(**settings: object) -> object:
        del settings
        raise ModuleNotFoundError(f"{room}.{name} needs {module!r}", name=module)

    lacking.__name__ = lacking.__qualname__ = name
    return lacking


def hand_on(room: str, /, **names: str) -> None:
    """Lets the package `room` answer to `names`: name -> module inside the room that defines it."""
    package = sys.modules[room]
    vars(package)["NAMES"] = names
    package.__class__ = Room


def rooms() -> dict[str, Mapping[str, str]]:
    """'polylm_jax.training' -> what it hands on, of every room and room within a room."""
    house = pathlib.Path(__file__).resolve().parents[1]
    packages = [path.parent.relative_to(house.parent) for path in house.glob("*/**/__init__.py")]
    dotted = [".".join(path.parts) for path in packages]
    return {name: getattr(importlib.import_module(name), "NAMES", {}) for name in sorted(dotted)}


def defined_in(dotted: str) -> tuple[str, str]:
    """'polylm_jax.training.train' -> ('polylm_jax.training.run', 'train'): the module that defines it."""
    module, _, name = dotted.rpartition(".")
    inside = getattr(importlib.import_module(module), "NAMES", {}).get(name)
    return (f"{module}.{inside}" if inside else module), name


def find(dotted: str) -> Any:
    """The function or class of a dotted name, imported."""
    module, name = defined_in(dotted)
    return getattr(importlib.import_module(module), name)
