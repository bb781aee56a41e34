"""Evaluation: what a checkpoint scores on SeqIO tasks, on the paper's benchmarks and in lm_eval."""
