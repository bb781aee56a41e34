"""The command line of `run.py`: which arguments there are, and help read from a mode's source unimported."""

import argparse
import ast
import importlib.util
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime import names
from polylm_jax.runtime.old_names import new_binding
from polylm_jax.runtime.spread import documented

GIVEN = ("recipe", "reconfigured", "gin_files")  # parameters that run.py fills in by itself
USAGE = """run.py MODE --gin_file=FILE [--gin_file=FILE ...] [--gin.NAME=VALUE ...] [--FLAG=VALUE ...]

  --gin_file          a gin file, repeatable: gin_configs/recipes/NAME.gin serves every mode
  --gin.NAME=VALUE    sets a macro (--gin.BATCH_SIZE=64) or a parameter (--gin.training.train.keep_last=2)
                      that the files know; a string keeps its quotes: --gin.MODEL_DIR=\\"runs/mine\\"
  --gin_search_paths  folders, comma separated, where gin files and their includes are looked for
                      (always: the current folder, the repository and its gin_configs)
  --FLAG=VALUE        a parameter of the mode itself: `run.py MODE --help` lists them
  --debug             a traceback for bad input too
"""


def source(dotted: str) -> ast.FunctionDef:
    """The function of a dotted name such as 'polylm_jax.training.train', parsed from its file.

    Where it is `spread`, its source is as if it had the fields of its groups itself.
    """
    module, name = names.defined_in(dotted)
    function, _ = _definition(module, name)
    assert isinstance(function, ast.FunctionDef), f"{dotted} is no function"
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "spread":
            _spread(function, module, [ast.literal_eval(group) for group in decorator.args])
    return function


def _definition(module: str, name: str) -> tuple[ast.stmt, str]:
    """A function or class of a module's source, and the module that it is imported from."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, f"{module} is in no file"
    for node in ast.parse(pathlib.Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node, module
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _definition(str(node.module), name)
    raise AssertionError(f"{module} has no {name}")


def _classes(module: str, name: str) -> Iterator[ast.ClassDef]:
    """A class and those that it is made of, itself first."""
    node, module = _definition(module, name)
    assert isinstance(node, ast.ClassDef), f"{module}.{name} is no class"
    yield node
    for base in node.bases:
        yield from _classes(module, ast.unparse(base))


def _spread(function: ast.FunctionDef, module: str, groups: Sequence[str]) -> None:
    """Puts the fields of the groups, and what is said of them, in place of the groups."""
    own, said = function.args, []
    pairs = [*zip(own.kwonlyargs, own.kw_defaults)]
    own.kwonlyargs = [arg for arg, _ in pairs if arg.arg not in groups]
    own.kw_defaults = [default for arg, default in pairs if arg.arg not in groups]
    for arg, _ in pairs:
        if arg.arg not in groups or arg.annotation is None:
            continue
        kinds = [*_classes(module, ast.unparse(arg.annotation))]
        said += [_docstring(kind) for kind in kinds]
        fields = {
            field.target.id: field
            for kind in reversed(kinds)
            for field in kind.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        }
        own.kwonlyargs += [ast.arg(name, one.annotation) for name, one in fields.items()]
        own.kw_defaults += [one.value for one in fields.values()]
    text = documented(_docstring(function), said)
    function.body[0] = ast.Expr(ast.Constant(text))


def parameters(function: ast.FunctionDef) -> dict[str, str]:
    """Parameter -> its default as written, or 'required'."""
    positional, defaults = function.args.args, function.args.defaults
    required = [None] * (len(positional) - len(defaults))
    pairs = [*zip(positional, [*required, *defaults])]
    pairs += zip(function.args.kwonlyargs, function.args.kw_defaults)
    return {arg.arg: ast.unparse(default) if default else "required" for arg, default in pairs}


def usage(modes: Mapping[str, str], mode: str | None) -> str:
    """What `--help` prints: the modes with a line each, or one mode's docstring and parameters."""
    if mode is None:
        heads = [(name, _docstring(source(modes[name])).splitlines()[0]) for name in modes]
        return USAGE + "\nModes\n" + "\n".join(f"  {name:<18}{head}" for name, head in heads)
    function = source(modes[mode])
    rows = [f"  {p:<24}{d}" for p, d in parameters(function).items() if p not in GIVEN]
    head = f"Parameters ({modes[mode].partition('.')[2]}.PARAMETER in gin)"
    return "\n".join([f"run.py {mode} --gin_file=FILE\n", _docstring(function), "", head, *rows])


def _docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"The command line: {message}.")


def _first(flags: Mapping[str, str]) -> str | None:
    """The parameter that may stand without its name: a folder, where a mode needs nothing else."""
    required = [flag for flag, default in flags.items() if default == "required"]
    return required[0] if len(required) == 1 and required[0].endswith("_dir") else None


def parse(
    modes: Mapping[str, str], argv: list[str]
) -> tuple[argparse.Namespace, list[str], dict[str, str | None]]:
    """The command line -> (known options, gin overrides 'NAME = VALUE', flags of the mode as text).

    A flag without '=' is None.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("mode", nargs="?")
    parser.add_argument("--gin_file", action="append", default=[])
    parser.add_argument("--gin_search_paths", default="")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    options, rest = parser.parse_known_args(argv)
    if options.mode is None and (options.help or not argv):
        return argparse.Namespace(mode=None, help=True, debug=False), [], {}
    if options.mode not in modes:
        hint = nearest(options.mode, modes)
        raise InputError(f"There is no mode {options.mode!r}.{hint} Modes: {', '.join(modes)}.")
    flags = parameters(source(modes[options.mode]))
    overrides: list[str] = []
    given: dict[str, str | None] = {}
    first = _first(flags)
    for argument in rest:
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--gin.") and equals:
            overrides.append(f"{new_binding(name.removeprefix('gin.'))} = {value}")
        elif argument.startswith("--") and name.replace("-", "_") in flags:
            given[name.replace("-", "_")] = value if equals else None
        elif first is not None and first not in given and not argument.startswith("-"):
            given[first] = argument
        else:
            known = [f"--{flag}" for flag in ("gin_file", "gin_search_paths", "debug", *flags)]
            hint = nearest(argument.partition("=")[0], known) or " A gin value is --gin.NAME=VALUE."
            raise InputError(f"{options.mode} takes no argument {argument!r}.{hint}")
    return options, overrides, given
