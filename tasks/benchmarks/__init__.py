"""The paper's benchmarks as SeqIO tasks: published files or TFDS, prompts per language, protocols."""
