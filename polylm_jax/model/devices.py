"""The start of a process that computes: joined with the others, its compiled programs kept on disk."""

import sys

import jax
from jax._src import xla_bridge

from polylm_jax.model import partitioning
from polylm_jax.runtime import paths


def start(compilation_cache_dir: str) -> None:
    """Joins the other processes where there are some; compiled programs are kept in that folder.

    '' keeps none; JAX's own setting (JAX_COMPILATION_CACHE_DIR) comes first. Of several processes JAX
    lets process 0 alone write, so the others find programs only where all of them look.
    """
    joined = not xla_bridge.backends_are_initialized() and partitioning.initialize_distributed()
    # JAX makes the attributes of its settings while it is imported.
    if compilation_cache_dir and not jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        jax.config.update(
            "jax_compilation_cache_dir",
            paths.resolve(compilation_cache_dir, "compilation_cache_dir"),
        )
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
