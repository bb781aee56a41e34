"""sources: see the modules."""
