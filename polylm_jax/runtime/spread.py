"""Modes whose settings are fields of dataclasses, so that each is declared once: type, range, default, text.

    @spread("settings")
    def train(experiment: Experiment, model_dir: str, *, settings: Settings) -> None: ...

Gin, the command line, help and the docs see a function that takes each field of `Settings` as a
keyword of its own. `command_line.source` makes the same of the mode's source, unimported.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import TypeVar

from polylm_jax.runtime.parameter_types import checked

Made = TypeVar("Made")


def spread(*groups: str) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Makes of a function whose parameters `groups` are dataclasses one that takes their fields.

    A field that is given is held against its annotation: InputError where it is of another type or
    out of its range.
    """

    def made(mode: Callable[..., Made]) -> Callable[..., Made]:
        hints = typing.get_type_hints(mode, include_extras=True)
        own = inspect.signature(mode).parameters.values()
        kinds = {group: hints.pop(group) for group in groups}
        fields = {kind: typing.get_type_hints(kind, include_extras=True) for kind in kinds.values()}

        @functools.wraps(mode)
        def called(*args, **given):
            for group, kind in kinds.items():
                values = {name: given.pop(name) for name in fields[kind] if name in given}
                values = {n: checked(n, value, fields[kind][n]) for n, value in values.items()}
                given[group] = kind(**values)
            return mode(*args, **given)

        taken = [one for one in own if one.name not in groups]
        for kind, annotations in fields.items():
            each = inspect.signature(kind).parameters.values()
            taken += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in each]
            hints |= annotations
        del vars(called)["__wrapped__"]  # it has other parameters
        taken.sort(key=lambda one: one.kind)  # what takes all other words stays last
        vars(called)["__signature__"] = inspect.Signature(taken)
        called.__annotations__ = hints
        called.__doc__ = documented(
            inspect.getdoc(mode) or "",
            [one.__doc__ or "" for kind in fields for one in kind.__mro__[:-1]],
        )
        return called

    return made


def documented(mode: str, groups: Iterable[str]) -> str:
    """A mode's docstring with what those of its groups say of their fields, all but their heads.

    What the mode raises stays last.
    """
    said = [inspect.cleandoc(text).partition("\n\n")[2] for text in groups]
    head, raises, rest = mode.partition("\n\nRaises ")
    return "\n".join([head + "\n" * any(said), *filter(None, said)]) + raises + rest
