"""Instruction data as SeqIO tasks: conversations of which the model learns the responses."""
