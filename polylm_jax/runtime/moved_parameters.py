"""Parameters that have another place or name now, and where what is bound to them goes."""

import types

from polylm_jax.runtime import names

MOVED = {  # old place -> (new place, its parameters)
    "polylm_jax.training.train": ("polylm_jax.training.Experiment", ("init_from", "init_step")),
}
# What `data.cache` is told, those take too that make small stores themselves, unless they are told.
_CACHE = "polylm_jax.data.cache"
_EXPERIMENTS = (
    "polylm_jax.training.Experiment",
    "polylm_jax.training.FinetuningExperiment",
    "polylm_jax.training.PreferenceExperiment",
)


def _selector(gin: types.ModuleType, dotted: str) -> str | None:
    """What gin calls a room's function, by whichever name a file imported it; None where none has."""
    place = names.defined_in(dotted)
    for selector, one in gin.config._REGISTRY.items():
        if (one.wrapped.__module__, one.wrapped.__qualname__) == place:
            return selector
    return None


def as_bound(gin: types.ModuleType, name: str) -> str:
    """'training.PhaseConfig.steps' as gin has it, where the files import that by another name.

    So `--gin.training.train.X=` and an ablation's lines reach a recipe of the version before.
    """
    scopes, slash, rest = name.rpartition("/")
    selector, dot, parameter = rest.rpartition(".")
    if not selector or gin.config._REGISTRY.matching_selectors(selector):
        return name
    room = f"polylm_jax.{selector}".rpartition(".")[0]
    found = _selector(gin, f"polylm_jax.{selector}") if room in names.rooms() else None
    return f"{scopes}{slash}{found}{dot}{parameter}" if found else name


def share(gin: types.ModuleType, parameter: str = "max_bad") -> None:
    """`train` makes small stores as `cache` does, and bears as many bad lines as the recipe says there."""
    cache = _selector(gin, _CACHE)
    bound = gin.get_bindings(cache, resolve_references=False) if cache else {}
    for selector in filter(None, (_selector(gin, one) for one in _EXPERIMENTS)):
        own = gin.get_bindings(selector, resolve_references=False)
        if parameter in bound and parameter not in own:
            gin.bind_parameter(f"{selector}.{parameter}", bound[parameter])


def follow(gin: types.ModuleType) -> None:
    """Binds in its new place what is bound in a parameter's old one, unless both are set.

    gin: the package, with the files read; run.py alone imports it.
    """
    for place, (new_place, parameters) in MOVED.items():
        old, new = _selector(gin, place), _selector(gin, new_place)
        if old is None or new is None:
            continue
        bound = gin.get_bindings(old, resolve_references=False)
        own = gin.get_bindings(new, resolve_references=False)
        for parameter in {*parameters} & {*bound}:
            if _value(gin, own.get(parameter)) is None:
                gin.bind_parameter(f"{new}.{parameter}", bound[parameter])
                gin.bind_parameter(f"{old}.{parameter}", None)


def _value(gin: types.ModuleType, bound: object) -> object:
    """What is bound, once its macros are read."""
    while repr(bound).startswith("%"):
        bound = gin.query_parameter(repr(bound))
    return bound
