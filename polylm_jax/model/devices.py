"""The start of a process that computes: joined with the others, its compiled programs kept on disk."""

import sys

import jax
from jax._src import cache_key, xla_bridge

from polylm_jax.model import partitioning
from polylm_jax.runtime import paths
from polylm_jax.runtime.processes import Several, cores

_BRIEF_SECONDS = 0.2  # a program that compiles faster than this no worker keeps for the others


def start(compilation_cache_dir: str) -> None:
    """Joins the other processes where there are some; compiled programs are kept in that folder.

    '' keeps none, but workers that have a folder of their own (`Several`). JAX's own setting
    (JAX_COMPILATION_CACHE_DIR) comes first. Of several processes JAX lets process 0 alone write, so
    the others find programs only where all of them look.
    """
    cache_key.custom_hook = _cores
    joined = not xla_bridge.backends_are_initialized() and partitioning.initialize_distributed()
    # JAX makes the attributes of its settings while it is imported.
    own = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if (folder := compilation_cache_dir or Several.programs) and not own:
        folder = paths.resolve(folder, "compilation_cache_dir")
        jax.config.update("jax_compilation_cache_dir", folder)
    if Several.programs:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _BRIEF_SECONDS)
    if joined and jax.process_index() == 0:
        _tell_where(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]


def _tell_where(folder: str | None) -> None:
    """That a folder of one host is of no use to the others."""
    if folder and "://" not in folder:
        print(
            f"compilation_cache_dir: process 0 alone keeps programs in {folder}; the other hosts compile "
            "at every start, unless that folder is shared by all: better give one on gs://.",
            file=sys.stderr,
        )


def _cores() -> str:
    """What JAX's key of a kept program doesn't tell: XLA cuts a CPU's loops into as many parts as cores."""
    return f"{len(cores())} cores" if jax.default_backend() == "cpu" else ""
