"""A process that asks for huge pages gets them, with its arguments, its id and the user's settings."""

import os
import subprocess
import sys

import pytest

from polylm_jax.runtime import huge_pages

PROGRAM = """
import os, pathlib, sys
before = os.environ.get("PROCESS")
os.environ.setdefault("PROCESS", str(os.getpid()))
from polylm_jax.runtime import huge_pages
huge_pages.ask()
block = bytearray(os.urandom(1)) * (64 << 20)
rollup = pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()
huge = next(int(line.split()[1]) for line in rollup if line.startswith("AnonHugePages"))
print(before == str(os.getpid()), os.environ.get("GLIBC_TUNABLES"), sys.argv[1:], huge)
"""

pytestmark = pytest.mark.skipif(
    not huge_pages.KERNEL.exists() or "[madvise]" not in huge_pages.KERNEL.read_text(),
    reason="this kernel gives huge pages to all programs or to none",
)


def run(tunables):
    """What `PROGRAM` prints: started over?, its tunables, its arguments, kB in huge pages."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {"GLIBC_TUNABLES": tunables} if tunables else {}
    command = [sys.executable, "-c", PROGRAM, "a b", "--c"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    words = done.stdout.split(maxsplit=2)
    arguments, huge = words[2].rsplit(maxsplit=1)
    return words[0] == "True", words[1], arguments, int(huge)


@pytest.mark.parametrize("given", ["", "glibc.malloc.arena_max=4"])
def test_it_starts_over_with_huge_pages(given):
    again, tunables, arguments, huge = run(given)
    assert again
    assert tunables == ":".join(filter(None, [given, "glibc.malloc.hugetlb=1"]))
    assert arguments == "['a b', '--c']"
    assert huge > 32 << 10


def test_whoever_refuses_them_gets_none():
    again, tunables, _, huge = run("glibc.malloc.hugetlb=0")
    assert not again
    assert tunables == "glibc.malloc.hugetlb=0"
    assert huge == 0
