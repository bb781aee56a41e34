"""data: see the modules."""
