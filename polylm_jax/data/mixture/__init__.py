"""mixture: see the modules."""
