"""The console script `polylm-jax`: run.py of the installed package."""

import importlib
import sys

from polylm_jax.runtime.home import home


def main() -> int:
    """`polylm-jax MODE ...` is `python run.py MODE ...`."""
    sys.path.insert(0, str(home()))
    return importlib.import_module("run").command()
