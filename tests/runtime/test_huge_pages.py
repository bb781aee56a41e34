"""A process that asks for huge pages gets them, with its arguments, its id and the user's settings."""

import os
import platform
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

# Memory for temporaries, again and again, in a thread as XLA's: how often the kernel handed a page out.
AGAIN = """
import resource, threading
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def steps():
    for _ in range(4):
        bytearray(b"1") * (64 << 20)
    before = faults()
    for _ in range(4):
        bytearray(b"1") * (64 << 20)
    print(faults() - before)
thread = threading.Thread(target=steps)
thread.start()
thread.join()
"""

offered = pytest.mark.skipif(
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


@offered
@pytest.mark.parametrize("given", ["", "glibc.malloc.arena_max=4"])
def test_it_starts_over_with_huge_pages(given):
    again, tunables, arguments, huge = run(given)
    assert again
    assert tunables == ":".join(filter(None, [given, "glibc.malloc.hugetlb=1"]))
    assert arguments == "['a b', '--c']"
    assert huge > 32 << 10


@offered
def test_whoever_refuses_them_gets_none():
    again, tunables, _, huge = run("glibc.malloc.hugetlb=0")
    assert not again
    assert tunables == "glibc.malloc.hugetlb=0"
    assert huge == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the memory of another C library")
def test_memory_that_was_freed_is_kept():
    plain = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", AGAIN]
    found = [
        int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for environment in (plain, huge_pages.keeping(plain))
    ]
    assert found[0] > 10_000 and found[1] < 100


def test_settings_of_the_users_stay():
    plain = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4", "A": "b"}
    kept = huge_pages.keeping(plain)
    tunables = kept["GLIBC_TUNABLES"].split(":")
    assert tunables[0] == "glibc.malloc.arena_max=4" and len(tunables) == len(huge_pages.KEPT)
    assert kept["A"] == "b" and huge_pages.keeping(kept) == kept
