"""checkpoints: see the modules."""
