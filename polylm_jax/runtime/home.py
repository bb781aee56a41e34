"""Where run.py, gin_configs and tasks stand: the checkout, or what a wheel has of it."""

import pathlib

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def home() -> pathlib.Path:
    """The folder of run.py, gin_configs/ and tasks/."""
    inside = _PACKAGE / "checkout"
    return inside if inside.is_dir() else _PACKAGE.parent
