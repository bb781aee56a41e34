"""Weights in and out: checkpoints of ours as folders for transformers and plain PyTorch, and back."""
