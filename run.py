"""One entry point for everything: `run.py MODE --gin_file=... --gin.NAME=VALUE` makes one configured call.

It knows gin and no machine learning. A mode is a dotted name, imported on use; gin configures that
function from outside, so nothing else in the house imports gin.
"""

import functools
import inspect
import io
import os
import pathlib
import sys
from collections.abc import Callable, Iterable

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime import command_line, huge_pages, names
from polylm_jax.runtime.gin_errors import explained, misspelt
from polylm_jax.runtime.stderr import imports_kept_quiet
from polylm_jax.runtime.tensorflow_devices import leave_gpus

MODES = {
    "clean": "polylm_jax.corpus.clean",
    "train_tokenizer": "polylm_jax.tokenizer.train_tokenizer",
    "cache": "polylm_jax.data.cache",
    "train": "polylm_jax.training.train",
    "finetune": "polylm_jax.training.finetune",
    "inspect": "polylm_jax.training.inspect",
    "evaluate": "polylm_jax.evaluation.evaluate",
    "plan": "polylm_jax.training.plan",
    "ablate": "polylm_jax.ablation.ablate",
    "generate": "polylm_jax.inference.generate",
    "serve": "polylm_jax.inference.serve",
    "self_instruct": "polylm_jax.corpus.instructions.self_instruct",
    "export": "polylm_jax.checkpoints.export",
    "import_hf": "polylm_jax.checkpoints.import_hf",
    "verify": "polylm_jax.checkpoints.verify",
    "import_t5x": "polylm_jax.checkpoints.import_t5x",
    "export_t5x": "polylm_jax.checkpoints.export_t5x",
}
# Modes of steps whose memory comes and goes.
COMPUTING = {"train", "finetune", "evaluate", "generate", "serve"}
REPO = pathlib.Path(__file__).resolve().parent


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


def configure(files: list[str], overrides: list[str], search_paths: Iterable[str]) -> None:
    """Reads the files, then the overrides. Gin would take a misspelled macro or scope in silence."""
    import gin

    # Gin also looks into Python packages, and breaks over a folder that looks like one.
    del gin.config._FILE_READERS[1:]
    gin.config.register_file_reader(remote_text, lambda path: remote_text(path) is not None)
    for folder in [REPO, REPO / "gin_configs", *search_paths]:
        gin.add_config_file_search_path(str(folder))
    with explained("", vocabulary), imports_kept_quiet():
        gin.parse_config_files_and_bindings(files, None, finalize_config=False)
        leave_gpus()
    used = {"/".join(ref.scopes) for ref in gin.config.iterate_references(bindings())}
    for override in overrides:
        name = override.partition(" = ")[0]
        if scope(name) and scope(name) not in used | set(bindings()):
            hint = nearest(scope(name), used)
            raise InputError(f"--gin.{name}: the gin files have no {scope(name)!r}.{hint}")
        with explained(f"--gin.{override.replace(' = ', '=', 1)}: ", vocabulary):
            gin.parse_config(override)
    references = [*gin.config.iterate_references(known := bindings())]
    for name in ["/".join(ref.scopes) for ref in references if ref.selector == "gin.macro"]:
        if name not in known:
            raise InputError(f"%{name} is used and no gin file sets it.{nearest(name, known)}")
    used = {"/".join(ref.scopes[:n]) for ref in references for n in range(1, len(ref.scopes) + 1)}
    for name in known:
        if scope(name) and scope(name) not in used and (other := misspelt(scope(name), used)):
            raise InputError(f"{name} is set and nothing uses it. Did you mean {other!r}?")


def scope(name: str) -> str:
    """'stage1' of 'stage1/training.PhaseConfig.tokens', '' of 'training.train.seed', a macro whole."""
    return name.rpartition("/")[0] if "." in name else name


def demand(mode: str, function: Callable, given: Iterable[str]) -> None:
    """Refuses what `function` reaches and nobody has set; `gin.finalize` would ask for all modes."""
    import gin

    seen = set()

    def visit(scopes: list[str], selector: str, wrapped: Callable, given: Iterable[str]) -> None:
        if (key := "/".join([*scopes, selector])) in seen:
            return
        seen.add(key)
        macro, bound = selector == "gin.macro", gin.get_bindings(key, resolve_references=False)
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
                    visit(inner, target.selector, target.wrapped, ())

    visit([], gin.config._inverse_lookup(function).selector, function, given)


def reconfigured(
    files: list[str], overrides: list[str], search_paths: str, lines: Iterable[str], dotted: str
) -> tuple[object, str]:
    """The recipe anew, with further gin lines: what `dotted` then makes, and the resolved config."""
    import gin

    gin.clear_config()
    configure(files, [*overrides, *lines], filter(None, search_paths.split(",")))
    resolved = gin.config_str()
    return gin.get_configurable(names.find(dotted))(), resolved


def call(
    mode: str, files: list[str], overrides: list[str], search_paths: str, flags: dict
) -> object:
    """Configures the mode's function and calls it, with the resolved config where it takes `recipe`."""
    configure(files, overrides, filter(None, search_paths.split(",")))
    import gin

    function = names.find(MODES[mode])
    try:
        configured = gin.get_configurable(function)
    except ValueError as error:
        remedy = f"add --gin_file=gin_configs/runs/{mode}.gin"
        raise InputError(f"The gin files do not configure {mode}: {remedy}.") from error
    takes = inspect.signature(function).parameters
    if "recipe" in takes:
        flags = {"recipe": gin.config_str(), **flags}
    if "reconfigured" in takes:
        again = functools.partial(reconfigured, files, overrides, search_paths)
        flags = {"reconfigured": again, **flags}
    demand(mode, function, flags)
    return configured(**flags)


def main(argv: list[str]) -> int:
    """Exit code 2 with one sentence for bad input, 130 for Ctrl-C; a mode's own passes through."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow only reads text for us
    # For modules that a user's gin file imports, as `python -m` has it.
    sys.path.append(os.getcwd())
    debug = "--debug" in argv
    try:
        options, overrides, flags = command_line.parse(MODES, argv)
        if options.help:
            print(command_line.usage(MODES, options.mode))
        else:
            call(options.mode, options.gin_file, overrides, options.gin_search_paths, flags)
        return 0
    except InputError as error:
        if debug:
            raise
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    if COMPUTING & {*sys.argv[1:2]}:
        huge_pages.ask()
    sys.exit(main(sys.argv[1:]))
