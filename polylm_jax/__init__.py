"""PolyLM in JAX: train a polyglot language model on TPU pods and take it home to PyTorch."""
