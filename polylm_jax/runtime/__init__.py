"""runtime: see the modules."""
