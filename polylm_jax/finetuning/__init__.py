"""Instruction tuning: conversations packed into rows, adapters of low rank, and the mode `finetune`."""
