"""Imports of much at once: the collector rests, is then as it was, and has nothing to do at the end."""

import gc
import subprocess
import sys

import pytest

from polylm_jax.runtime.imports import importing


@pytest.mark.parametrize("collected", [True, False])
def test_the_collector_is_as_it_was_whatever_happens(collected):
    before = gc.isenabled()
    try:
        (gc.enable if collected else gc.disable)()
        with pytest.raises(ImportError), importing():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == collected
    finally:
        (gc.enable if before else gc.disable)()


def test_what_is_there_at_the_end_is_left_to_the_system():
    """The way out doesn't look through it, and does what was to be done then."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "from polylm_jax.runtime.imports import importing\n"
        "with importing():\n    import numpy\n"
        "atexit.register(lambda: print('last'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["last", "True"]


@pytest.mark.parametrize("number", [1_000, 200_000])
def test_what_is_much_is_never_looked_through(number):
    code = (
        "import gc\n"
        "from polylm_jax.runtime.imports import importing\n"
        f"with importing():\n    kept = [[] for _ in range({number})]\n"
        "print(gc.get_freeze_count() > len(kept))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(number > 100_000)
