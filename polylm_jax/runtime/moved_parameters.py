"""Parameters that have another place now: what gin files of the version before bind in the old one goes there."""

import types

MOVED = {  # old place -> (new place, its parameters)
    "polylm_jax.training.run.train": (
        "polylm_jax.training.experiment.Experiment",
        ("init_from", "init_step"),
    ),
}


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
