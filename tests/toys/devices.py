"""XLA's flags of a process that a test starts: those of tests/conftest.py, for other devices."""

import os
import re


def flags(number: int) -> dict[str, str]:
    """XLA_FLAGS of this run with so many simulated devices, for a process's environment."""
    given = os.environ["XLA_FLAGS"]
    return {"XLA_FLAGS": re.sub(r"(?<=device_count=)\d+", str(number), given)}
