"""text: see the modules."""
