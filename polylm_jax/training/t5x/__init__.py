"""t5x: see the modules."""
