"""Mixture ablations: named variants of one recipe, at one budget, over seeds, to one report."""
