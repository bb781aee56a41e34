"""The start of a process that computes: joined with the others, its compiled programs kept on disk."""

import jax
from jax._src import xla_bridge

from polylm_jax.model import partitioning
from polylm_jax.runtime import paths


def start(compilation_cache_dir: str) -> None:
    """Joins the other processes where there are some; compiled programs are kept in that folder.

    '' keeps none; JAX's own setting (JAX_COMPILATION_CACHE_DIR) comes first.
    """
    if not xla_bridge.backends_are_initialized():
        partitioning.initialize_distributed()
    # JAX makes the attributes of its settings while it is imported.
    if compilation_cache_dir and not jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        jax.config.update(
            "jax_compilation_cache_dir",
            paths.resolve(compilation_cache_dir, "compilation_cache_dir"),
        )
