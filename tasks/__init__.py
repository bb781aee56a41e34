"""All that touches the SeqIO registry: sources, preprocessors, tasks and mixtures."""
