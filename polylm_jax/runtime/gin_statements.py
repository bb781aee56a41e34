"""Gin files statement by statement, for what gin's own reading of them doesn't tell.

Gin keeps the last value of a name and takes any macro, used or not; so a typo in `SAVE_EVERY = 5`
trains on with the recipe's value, and so does a line that stands before the `include` that sets it
again. Gin's own parser is handed in by who reads the files.
"""

import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import NamedTuple

from polylm_jax.errors import InputError, nearest

_PRINTED = "\n# Macros:\n# =="  # the head of gin's own print, which keeps macros that nothing uses


class Setting(NamedTuple):
    """What a name is set to, references as they are written, and where."""

    place: str
    value: object


class GinStatements:
    """What the files set, in their order.

    Args:
        parser: the module `gin.config_parser`.
        readers: gin's (open, whether it is there) of each place that files may be in.
        search_paths: where gin looks for files.
        ours: a folder whose files may set macros that nothing uses, since they are pieces.

    Attributes:
        lost: a sentence for each value that a later line replaces without having been asked to.
    """

    def __init__(
        self,
        parser: ModuleType,
        readers: Sequence[tuple[Callable, Callable]],
        search_paths: Sequence[str],
        ours: str = "",
    ):
        self.lost: list[str] = []
        self._parser, self._readers = parser, readers
        self._search_paths, self._ours = search_paths, ours
        self._macros: dict[str, str] = {}  # macro that has to be used -> where it is set
        self._bound: dict[str, str] = {}  # the same of parameters
        self._used: set[str] = set()
        self._called: set[str] = set()  # as references name it, those in texts of variants too
        self._known: set[str] = set()

    def read(self, file: str) -> dict[str, Setting]:
        """Reads a file and what it includes; name -> how they set it. Gin has read it before."""
        path, text = self._open(file)
        ours = bool(self._ours) and os.path.realpath(path).startswith(self._ours + os.sep)
        return self.read_text(file, text, must_use=not ours and _PRINTED not in text)

    def read_text(self, where: str, text: str, must_use: bool = True) -> dict[str, Setting]:
        """The same for a text; `where` is what sentences call it."""
        mine: dict[str, Setting] = {}
        all_set: dict[str, Setting] = {}
        for statement in _parsed(self._parser, text):
            if isinstance(statement, self._parser.IncludeStatement):
                for name, later in (inner := self.read(statement.filename)).items():
                    self._note_lost(name, mine.pop(name, later), later)
                all_set |= inner
            elif isinstance(statement, self._parser.BindingStatement):
                name, place = _name(statement), f"{where}, line {statement.location.line_num}"
                setting = Setting(place, statement.value)
                self._note_lost(name, mine.get(name, setting), setting)
                mine[name] = all_set[name] = setting
                if must_use:
                    (self._bound if statement.arg_name else self._macros)[name] = place
                self._used.update(re.findall(r"%([\w/.]+)", repr(statement.value)))
                self._called.update(re.findall(r"@([\w/.]+)", repr(statement.value)))
        self._known |= set(all_set)
        return all_set

    def refuse_unused(self) -> None:
        """Raises InputError for a macro that nothing uses, with the nearest that something does."""
        for name, place in self._macros.items():
            if name not in self._used:
                meant = [other for other in self._known if other.endswith(f"_{name.lower()}")]
                hint = nearest(name, [other for other in self._known if other in self._used])
                hint = f" Did you mean {meant[0]!r}?" if meant else hint
                raise InputError(f"{name} ({place}) is set and nothing uses it.{hint}")

    def idle(self, modes: Iterable[str]) -> list[str]:
        """A sentence for each parameter that is set of what nothing calls, or not in that scope.

        modes: dotted names of what is called without a reference. It may be meant for another choice
        of a macro, so it is told and not refused.
        """
        called = [name.rpartition("/") for name in self._called]
        scopes = {
            f"{scope}/"[: end.start()]
            for scope, *_ in called
            for end in re.finditer("/", f"{scope}/")
        }
        names = {name.rpartition(".")[2] for name in [*modes, *(name for *_, name in called)]}
        found = []
        for bound, place in self._bound.items():
            scope, _, name = bound.rpartition("/")
            selector, _, _ = name.rpartition(".")
            if selector.rpartition(".")[2] not in names or scope and scope not in scopes:
                where = f" as {scope}" if scope else ""
                found.append(
                    f"{bound} ({place}) changes nothing: nothing calls {selector}{where} here."
                )
        return found

    def _note_lost(self, name: str, mine: Setting, later: Setting) -> None:
        if mine.value != later.value and mine.value != "%gin.REQUIRED":
            self.lost.append(
                f"{name} = {mine.value!r} ({mine.place}) is not used: {later.place} sets it again; "
                "put your line after that one."
            )

    def _open(self, file: str) -> tuple[str, str]:
        """(the path that gin finds, its text)."""
        for folder in self._search_paths if not os.path.isabs(file) else [""]:
            path = os.path.join(folder, file)
            for reader, is_there in self._readers:
                if is_there(path):
                    with reader(path) as opened:
                        return path, opened.read()
        raise InputError(f"There is no gin file {file!r}.")


@functools.lru_cache(maxsize=64)
def _parsed(parser: ModuleType, text: str) -> tuple:
    """The statements of a text: recipes of one ablation read the same files, once for each."""
    return tuple(parser.ConfigParser(io.StringIO(text), _Delegate()))


class _Delegate:
    """What gin's parser makes of references: here what is written."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> str:
        return _Reference(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

    def macro(self, scoped_name: str) -> str:
        return _Reference(f"%{scoped_name}")


class _Reference(str):
    """A reference in a value, shown as it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _name(statement) -> str:
    name = f"{statement.scope}/{statement.selector}" if statement.scope else statement.selector
    return f"{name}.{statement.arg_name}" if statement.arg_name else name
