"""One entry point for everything: `run.py MODE --gin_file=... --gin.NAME=VALUE` makes one configured call.

It knows gin and no machine learning. A mode is a dotted name, imported on use; gin configures that
function from outside, so nothing else in the house imports gin.
"""

import functools
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from polylm_jax.errors import CorruptReplica, Diverged, InputError, nearest
from polylm_jax.runtime import (
    command_line,
    extras,
    moved_parameters,
    names,
    parameter_types,
    paths,
)
from polylm_jax.runtime.gin_errors import explained, misspelt
from polylm_jax.runtime.gin_statements import GinStatements
from polylm_jax.runtime.home import home
from polylm_jax.runtime.imports import importing
from polylm_jax.runtime.modes import ALONE, BEFORE, MODES
from polylm_jax.runtime.parameter_types import Later
from polylm_jax.runtime.processes import STARTED
from polylm_jax.runtime.tensorflow_devices import leave_gpus

# What people write for True and False; gin takes Python's words alone.
BARE = {word: str(value) for word, value in parameter_types.WORDS.items() if word.isalpha()}
REPO = home()


def bindings() -> dict[str, object]:
    """Every macro and binding that gin holds, by the name that a user gives it -> its value."""
    import gin

    found = {}
    for (scopes, selector), values in gin.config._CONFIG.items():
        if selector == "gin.macro":
            found[scopes] = values.get("value")
            continue
        short = gin.config._REGISTRY.minimal_selector(selector)
        place = f"{scopes}/{short}" if scopes else short
        found |= {f"{place}.{parameter}": value for parameter, value in values.items()}
    return found


def vocabulary() -> set[str]:
    """What a user may have meant: macros, bindings, and all that their modules define and take."""
    import gin

    files = REPO.glob("tasks/**/*.py")
    found = {name for path in files for name in (path.stem, f"{path.parent.name}.{path.stem}")}
    for room, handed_on in names.rooms().items():
        found |= {room, room.rpartition(".")[2], *handed_on}
        found |= {f"{room.rpartition('.')[2]}.{name}" for name in handed_on}
    for binding in bindings():
        selector, _, parameter = binding.rpartition(".")
        found |= {binding, selector, parameter}
        if selector:
            function = gin.get_configurable(selector)
            found |= {
                *inspect.signature(function).parameters,
                *vars(sys.modules[function.__module__]),
            }
            found |= {function.__module__, function.__module__.rpartition(".")[2]}
    return found


def remote_text(path: str) -> io.StringIO | None:
    """A gin file on gs://, such as the one beside a run's checkpoints; None for what isn't there."""
    if not path.startswith("gs://"):
        return None
    from polylm_jax.runtime.storage import Folder

    folder, _, name = path.rpartition("/")
    text = Folder(folder, "gin_file").peek(name)
    return None if text is None else io.StringIO(text.decode("utf-8"))


def configure(files: list[str], overrides: list[str], search_paths: Iterable[str]) -> list[str]:
    """Reads the files, then the overrides. Gin would take a misspelled macro or scope in silence.

    Returns a sentence for each value that a later line replaces by the way, or that nothing reads.
    """
    import gin

    files = [paths.without_home(file, "gin_file") for file in files]
    # Gin also looks into Python packages, and breaks over a folder that looks like one.
    del gin.config._FILE_READERS[1:]
    gin.config.register_file_reader(remote_text, lambda path: remote_text(path) is not None)
    beside = [os.path.dirname(file) for file in files if not paths.is_remote(file)]
    folders = [REPO, REPO / "gin_configs", *search_paths, *beside]
    for folder in map(str, folders):
        gin.add_config_file_search_path(folder)
    # For modules that a user's gin file imports: first what `python -m` has, then beside the file.
    sys.path += [folder for folder in (os.getcwd(), *beside) if folder not in sys.path]
    with explained("", vocabulary), importing():
        gin.parse_config_files_and_bindings(files, None, finalize_config=False)
        leave_gpus()
    statements = GinStatements(
        gin.config_parser,
        gin.config._FILE_READERS,
        ["", *map(str, folders)],
        ours=str(REPO / "gin_configs"),
    )
    for file in files:
        statements.read(file)
    used = {"/".join(ref.scopes) for ref in gin.config.iterate_references(bindings())}
    for override in overrides:
        name, _, value = override.partition(" = ")
        if scope(name) and scope(name) not in used | set(bindings()):
            hint = nearest(scope(name), used)
            raise InputError(f"--gin.{name}: the gin files have no {scope(name)!r}.{hint}")
        with explained(f"--gin.{override.replace(' = ', '=', 1)}: ", vocabulary):
            name = moved_parameters.as_bound(gin, name)
            line = f"{name} = {BARE.get(value.strip().lower(), value)}"
            gin.parse_config(line)
            statements.read_text("the command line", line)
    moved_parameters.follow(gin)
    moved_parameters.share(gin)
    references = [*gin.config.iterate_references(known := bindings())]
    for name in ["/".join(ref.scopes) for ref in references if ref.selector == "gin.macro"]:
        if name not in known:
            raise InputError(f"%{name} is used and no gin file sets it.{nearest(name, known)}")
    used = {"/".join(ref.scopes[:n]) for ref in references for n in range(1, len(ref.scopes) + 1)}
    for name in known:
        if scope(name) and scope(name) not in used and (other := misspelt(scope(name), used)):
            raise InputError(f"{name} is set and nothing uses it. Did you mean {other!r}?")
    statements.refuse_unused()
    return statements.lost + statements.idle(MODES.values())


def scope(name: str) -> str:
    """'stage1' of 'stage1/training.PhaseConfig.tokens', '' of 'training.train.seed', a macro whole."""
    return name.rpartition("/")[0] if "." in name else name


def reached(
    mode: str, function: Callable, given: Iterable[str]
) -> Iterator[tuple[str, Callable, dict[str, object]]]:
    """What a mode's call will call: (scoped name, function or class, parameter -> bound value).

    Raises InputError for what it needs and nobody has set; `gin.finalize` would ask for all modes.
    """
    import gin

    seen = set()

    def visit(scopes: list[str], selector: str, wrapped: Callable, given: Iterable[str]):
        if (key := "/".join([*scopes, selector])) in seen:
            return
        seen.add(key)
        macro, bound = selector == "gin.macro", gin.get_bindings(key, resolve_references=False)
        if not macro:
            yield key, wrapped, {name: bound[name] for name in bound if name not in given}
        for parameter in inspect.signature(wrapped).parameters.values():
            value = bound.get(parameter.name, parameter.default)
            name = "/".join(scopes) if macro else f"{key}.{parameter.name}"
            if parameter.name in given or parameter.kind is parameter.VAR_KEYWORD:
                continue
            if value is parameter.empty or repr(value) == "%gin.REQUIRED":
                name = name.replace("polylm_jax.", "")
                raise InputError(f"{mode} needs {name}: give it as --gin.{name}=VALUE.")
            for reference in gin.config.iterate_references({name: value}):
                if reference.evaluate and repr(reference) != "%gin.REQUIRED":
                    target = reference.configurable
                    inner = reference.scopes or ([] if macro else scopes)
                    yield from visit(inner, target.selector, target.wrapped, ())

    if known := gin.config._inverse_lookup(function):  # else no file says anything of the mode
        yield from visit([], known.selector, function, given)


def settled(value: object) -> object:
    """A bound value with its macros filled in; what a call will make stands in it as `Later`."""
    import gin

    if isinstance(value, gin.config.ConfigurableReference):
        if value.selector == "gin.macro":
            return settled(gin.query_parameter(f"%{'/'.join(value.scopes)}"))
        made = value.configurable.wrapped
        return Later(made if inspect.isclass(made) else None) if value.evaluate else made
    if isinstance(value, dict):
        return {settled(key): settled(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(settled, value))
    return value


def check_types(mode: str, function: Callable, given: Iterable[str]) -> None:
    """Refuses a bound value that its parameter's annotation doesn't take, before anything is called."""
    import gin

    for key, wrapped, bound in [*reached(mode, function, given)]:
        hints = parameter_types.annotations(wrapped)
        for name, value in bound.items():
            said = repr(value)[1:] if repr(value).startswith("%") else f"{key}.{name}"
            said = said.replace("polylm_jax.", "")
            whole = settled(value)
            fitted = parameter_types.checked(said, whole, hints.get(name, object))
            if fitted is not whole:
                gin.bind_parameter(f"{key}.{name}", fitted)


def reconfigured(
    files: list[str], overrides: list[str], search_paths: str, lines: Iterable[str], dotted: str
) -> tuple[object, str]:
    """The recipe anew, with further gin lines: what `dotted` then makes, and the resolved config."""
    import gin

    gin.clear_config()
    configure(files, [*overrides, *lines], filter(None, search_paths.split(",")))
    function = names.find(dotted)
    check_types(function.__name__, function, ())
    resolved = gin.config_str()
    return gin.get_configurable(function)(), resolved


def call(
    mode: str, files: list[str], overrides: list[str], search_paths: str, flags: dict
) -> object:
    """Configures the mode's function and calls it, with the resolved config where it takes `recipe`."""
    if not files and mode in ALONE:
        files, overrides = [ALONE[mode][0]], [*overrides, *ALONE[mode][1:]]
    for sentence in configure(files, overrides, filter(None, search_paths.split(","))):
        print(sentence, file=sys.stderr)
    import gin

    function = names.find(MODES[mode])
    try:
        configured = gin.get_configurable(function)
    except ValueError as error:
        remedy = f"add --gin_file=gin_configs/runs/{mode}.gin"
        raise InputError(f"The gin files do not configure {mode}: {remedy}.") from error
    hints = parameter_types.annotations(function)
    flags = {flag: parameter_types.from_text(flag, flags[flag], hints[flag]) for flag in flags}
    takes = inspect.signature(function).parameters
    check_types(mode, function, {*flags, *command_line.GIVEN})
    if "recipe" in takes:
        flags = {"recipe": gin.config_str(), **flags}
    if "reconfigured" in takes:
        again = functools.partial(reconfigured, files, overrides, search_paths)
        flags = {"reconfigured": again, **flags}
    if "gin_files" in takes:
        flags = {"gin_files": {"files": files, "overrides": overrides}, **flags}
    return configured(**flags)


def main(argv: list[str]) -> int:
    """The exit code: `errors` says which; 130 for Ctrl-C; a mode's own passes through."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow only reads text for us
    debug = "--debug" in argv
    try:
        options, overrides, flags = command_line.parse(MODES, argv)
        if options.help:
            print(command_line.usage(MODES, options.mode))
        else:
            call(options.mode, options.gin_file, overrides, options.gin_search_paths, flags)
        return 0
    except (InputError, Diverged, CorruptReplica) as error:
        if debug:
            raise
        print(str(error).splitlines()[0], file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        sentence = extras.missing(error)
        if sentence is None or debug:
            raise
        print(f"{argv[0]}: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def again(argv: list[str]) -> int:
    """`main` in a process that has run others before; what they were configured with is gone."""
    import gin

    gin.clear_config()
    return main(argv)


def command() -> int:
    """What `python run.py` and the console script do."""
    mode = sys.argv[1] if sys.argv[1:] else ""
    if mode in BEFORE:
        names.find(BEFORE[mode])()
    if mode in STARTED:
        return names.find(STARTED[mode])(again, *sys.argv[2:])
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command())
