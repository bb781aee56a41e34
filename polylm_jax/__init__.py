"""PolyLM in JAX: train a polyglot language model on TPU pods and take it home to PyTorch."""

from polylm_jax.runtime import old_names

old_names.install()
