"""All that touches the SeqIO registry: sources, preprocessors, tasks and mixtures."""

from polylm_jax.runtime import old_names

old_names.install()
