"""stores: see the modules."""
