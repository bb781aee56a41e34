"""Values that a user gives, against the annotations of the parameters that they are for.

A value from gin may hold what only a call will make (`@model.OptimizerConfig()` in a list), so
this walks a value and its annotation together; such a part is a `Later`.
"""

import ast
import contextlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.errors import InputError
from polylm_jax.runtime.ranges import LARGEST, Bounds

WORDS = {"true": True, "yes": True, "on": True, "1": True,
         "false": False, "no": False, "off": False, "0": False}  # fmt: skip
Made = typing.TypeVar("Made")
_ANY = (object, typing.Any, inspect.Parameter.empty)
_SHOWN = 80  # characters of a value in a sentence
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text, in quotes",
    type(None): "None",
}


@dataclass(frozen=True)
class Later:
    """What a call will make: an instance of `made`; None where that is not known."""

    made: type | None = None


class Unfit(Exception):
    """A value that its annotation doesn't take; `place` ('[2]') says which part of it."""

    def __init__(self, value: object, place: str = ""):
        self.value, self.place = value, place


def annotations(function: Callable) -> dict[str, object]:
    """Parameter -> annotation of a function, or of a class's fields."""
    target = function.__init__ if inspect.isclass(function) else function
    return typing.get_type_hints(target, include_extras=True)


def checked(name: str, value: object, annotation: object) -> object:
    """`value` as the annotation has it: 'yes' as True, 1e4 as 10000, otherwise as it is.

    Raises InputError, which calls it `name`, where it is of another type.
    """
    try:
        return _fit(value, annotation)
    except Unfit as unfit:
        wanted = expected(annotation)
        part = f", in which {name}{unfit.place} is {_shown(unfit.value)}" if unfit.place else ""
        given = f"{name} = {_shown(value)}{part}"
        raise InputError(f"{given}: give {wanted}{_limit(unfit.value)}.") from None


def check_ranges(made: Made, where: str = "") -> Made:
    """A dataclass, or InputError for a number of its fields that is out of its annotation's range.

    where: what its fields' names stand behind in the sentence, such as 'TrainingTasks.'.
    """
    for name, annotation in annotations(type(made)).items():
        if _has_bounds(annotation):
            checked(f"{where}{name}", getattr(made, name), annotation)
    return made


def _has_bounds(annotation: object) -> bool:
    parts = typing.get_args(annotation)
    return any(isinstance(one, Bounds) or _has_bounds(one) for one in parts)


def from_text(name: str, text: str | None, annotation: object) -> object:
    """The value of a flag `--name=text`; without '=' (None) it is True.

    Raises InputError where the text means nothing that the annotation takes.
    """
    for meaning in _meanings(text):
        try:
            return _fit(meaning, annotation)
        except Unfit:
            continue
    given = f"--{name}" if text is None else f"--{name}={_cut(text)}"
    limit = "".join(map(_limit, _literal(text or "")))
    raise InputError(f"{given}: give {expected(annotation, quoted=False)}{limit}.")


def _limit(value: object) -> str:
    """What else a number is to be that no machine's integer holds, whatever its range says."""
    large = isinstance(value, int | float) and value > LARGEST
    return ", and below 2^63" if large else ""


def _meanings(text: str | None) -> Iterator[object]:
    """What a text may stand for: a Python literal, itself, a list of what stands between commas."""
    if text is None:
        yield True
        return
    yield from _literal(text)
    yield text
    parts = [part.strip() for part in text.split(",")]
    yield tuple(value for part in parts for value in [*_literal(part), part][:1])
    yield tuple(parts)


def _literal(text: str) -> list[object]:
    try:
        return [ast.literal_eval(text)]
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return []


def _fit(value: object, annotation: object) -> object:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _ANY or isinstance(annotation, typing.TypeVar):
        return value
    if origin is typing.Annotated:
        return _fit_bounds(_fit(value, arguments[0]), arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return _fit_one(value, arguments)
    if isinstance(value, Later):
        return _fit_later(value, origin or annotation)
    if origin is typing.Literal:
        return _require(value, value in arguments)
    if (origin or annotation) is Callable or origin is type:
        return _require(value, callable(value))
    if annotation in _SCALARS:
        return _fit_scalar(value, annotation)
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return _fit_mapping(value, arguments or (object, object))
    if kind in (Sequence, list, tuple, set, frozenset):
        return _fit_sequence(value, kind, arguments)
    if not inspect.isclass(kind) or getattr(kind, "_is_protocol", False):
        return value
    return _require(value, isinstance(value, kind))


def _require(value: object, fits: bool) -> object:
    if not fits:
        raise Unfit(value)
    return value


def _fit_scalar(value: object, kind: type) -> object:
    if kind is bool:
        if isinstance(value, str) and value.lower() in WORDS:
            return WORDS[value.lower()]
        return bool(_require(value, isinstance(value, bool | int) and value in (0, 1)))
    if isinstance(value, bool) or value is None:
        return _require(value, kind is type(value))
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e4 steps
    number = int | float if kind is float else kind
    is_nan = isinstance(value, float) and math.isnan(value)
    return _require(value, isinstance(value, number) and not is_nan)


def _fit_bounds(value: object, said: Sequence[object]) -> object:
    """A number that is within all bounds of what is said of it; what no number is has none."""
    if isinstance(value, int | float):
        bounds = [one for one in said if isinstance(one, Bounds)]
        _require(value, all(one.take(value) for one in bounds))
    return value


def _fit_one(value: object, members: Sequence[object]) -> object:
    """Of a union the member that takes the value as it is, else the first that takes it."""
    found, unfit = [], []
    for member in members:
        try:
            found.append(_fit(value, member))
        except Unfit as error:
            unfit.append(error)
    if not found:
        raise max(unfit, key=lambda error: len(error.place))
    return next((one for one in found if one is value), found[0])


def _fit_later(value: Later, kind: object) -> Later:
    if value.made is None or not inspect.isclass(kind) or getattr(kind, "_is_protocol", False):
        return value
    if not issubclass(value.made, kind):
        raise Unfit(value)
    return value


def _fit_mapping(value: object, arguments: Sequence[object]) -> object:
    if not isinstance(value, Mapping):
        raise Unfit(value)
    keys, values = arguments
    fitted = {}
    for key, one in value.items():
        with _within(f"[{key!r}]"):
            fitted[_fit(key, keys)] = _fit(one, values)
    return _unless_equal(value, fitted)


def _fit_sequence(value: object, kind: type, arguments: Sequence[object]) -> object:
    sets = kind in (set, frozenset)
    if not isinstance(value, list | tuple) and not (
        sets and isinstance(value, set | frozenset) and isinstance(value, kind)
    ):
        raise Unfit(value)
    fixed = kind is tuple and arguments and arguments[-1] is not Ellipsis
    if fixed and len(arguments) != len(value):
        raise Unfit(value)
    members = arguments if fixed else (*(arguments or (object,))[:1],) * len(value)
    fitted = []
    for number, (one, member) in enumerate(zip(value, members)):
        with _within(f"[{number}]"):
            fitted.append(_fit(one, member))
    return _unless_equal(value, type(value)(fitted))


def _unless_equal(value: object, fitted: object) -> object:
    """`value` itself where nothing in it was changed; True and 1 are equal and differ."""
    return value if repr(value) == repr(fitted) else fitted


@contextlib.contextmanager
def _within(place: str) -> Iterator[None]:
    """Adds the place of a part to what doesn't fit in it."""
    try:
        yield
    except Unfit as unfit:
        unfit.place = place + unfit.place
        raise


def expected(annotation: object, quoted: bool = True) -> str:
    """What an annotation takes, in words: 'a list of whole numbers or None'."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounds = [str(one) for one in arguments[1:] if isinstance(one, Bounds)]
        return ", ".join([expected(arguments[0], quoted), *bounds])
    if origin in (typing.Union, types.UnionType):
        words = [expected(member, quoted) for member in arguments]
        return (", or " if any("," in word for word in words) else " or ").join(
            dict.fromkeys(words)
        )
    if annotation is str and not quoted:
        return "text"
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    kind = origin or annotation
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        key, value = arguments or (str, object)
        inner = "value" if value in _ANY else expected(value, False)
        return f"a dict {{{'name' if key is str else expected(key, False)}: {inner}}}"
    if kind in (Sequence, list, tuple, set, frozenset):
        members = [expected(one, quoted) for one in arguments if one not in (..., *_ANY)]
        return "a list" + (f", each {members[0]}" if members else "")
    if kind is Callable:
        return "a function, such as @module.name"
    if inspect.isclass(kind):
        return f"@{kind.__module__.removeprefix('polylm_jax.')}.{kind.__qualname__}()"
    return "another value"


def _shown(value: object) -> str:
    if isinstance(value, Later):
        return f"@{value.made.__qualname__}()" if value.made else "what a call makes"
    return _cut(repr(value))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
