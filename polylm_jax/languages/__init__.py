"""languages: see the modules."""
