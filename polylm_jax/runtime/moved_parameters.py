"""Parameters that have another place now: what gin files of the version before bind in the old one goes there."""

import types

MOVED = {  # old place -> (new place, its parameters)
    "polylm_jax.training.run.train": (
        "polylm_jax.training.experiment.Experiment",
        ("init_from", "init_step"),
    ),
}


# What `data.cache` is told, those take too that make small stores themselves, unless they are told.
_CACHE = ("polylm_jax.data.cache", "polylm_jax.data.stores.cache.cache")
_EXPERIMENTS = (
    "polylm_jax.training.Experiment",
    "polylm_jax.training.experiment.Experiment",
    "polylm_jax.training.FinetuningExperiment",
    "polylm_jax.training.finetuning.FinetuningExperiment",
)


def share(gin: types.ModuleType, parameter: str = "max_bad") -> None:
    """`train` makes small stores as `cache` does, and bears as many bad lines as the recipe says there."""
    known = gin.config._REGISTRY.matching_selectors
    given = [gin.get_bindings(s, resolve_references=False) for s in _CACHE if known(s)]
    for bound in (bound for bound in given if parameter in bound):
        for selector in filter(known, _EXPERIMENTS):
            if parameter not in gin.get_bindings(selector, resolve_references=False):
                gin.bind_parameter(f"{selector}.{parameter}", bound[parameter])


def follow(gin: types.ModuleType) -> None:
    """Binds in its new place what is bound in a parameter's old one, unless both are set.

    gin: the package, with the files read; run.py alone imports it.
    """
    for old, (new, parameters) in MOVED.items():
        if not gin.config._REGISTRY.matching_selectors(old):
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
