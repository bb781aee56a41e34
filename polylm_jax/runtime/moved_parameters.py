"""Parameters that have another place now: what gin files of the version before bind in the old one goes there."""

import types

MOVED = {  # old place -> (new place, its parameters)
    "polylm_jax.training.run.train": (
        "polylm_jax.training.experiment.Experiment",
        ("init_from", "init_step"),
    ),
}


SHARED = {  # where a parameter is set -> who has it too, and takes it from there
    "polylm_jax.data.stores.cache.cache": (
        (
            "polylm_jax.training.experiment.Experiment",
            "polylm_jax.training.finetuning.FinetuningExperiment",
        ),
        ("max_bad",),
    ),
}


def share(gin: types.ModuleType) -> None:
    """Binds what one function says for itself in those that do a part of its work.

    `train` makes small stores as `cache` does, and bears as many bad lines.
    """
    for source, (others, parameters) in SHARED.items():
        if not gin.config._REGISTRY.matching_selectors(source):
            continue
        bound = gin.get_bindings(source, resolve_references=False)
        for other in others:
            if not gin.config._REGISTRY.matching_selectors(other):
                continue
            own = gin.get_bindings(other, resolve_references=False)
            for parameter in {*parameters} & {*bound} - {*own}:
                gin.bind_parameter(f"{other}.{parameter}", bound[parameter])


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
