"""Memory in pages of 2 MB, which a process gets from the C library only when it asks at its start.

A train step on CPUs takes its temporaries anew every time, and the kernel hands them out page by
page: in pages of 4 kB that was a fifth of the step (docs/log.md).
"""

import os
import pathlib
import sys
from collections.abc import Mapping

KERNEL = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
TUNABLES, TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
# One heap that grows and never shrinks: memory that was freed is not handed out, and cleared, anew.
KEPT = {"mmap_max": "0", "trim_threshold": str(1 << 40), "arena_max": "1"}


def ask() -> None:
    """Starts this process over with the C library asking for huge pages; the same process id.

    Nothing happens where the kernel gives them to all or to none, where this has been done, and
    where the user has set glibc.malloc.hugetlb in GLIBC_TUNABLES (0 refuses them).
    """
    given = os.environ.get(TUNABLES, "")
    if TUNABLE in given or not KERNEL.exists() or "[madvise]" not in KERNEL.read_text():
        return
    os.environ[TUNABLES] = _behind(given, f"{TUNABLE}=1")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keeping(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a process keeps the memory that it has freed; what is set there stays.

    For one that takes the same temporaries again and again, as a train step does: clearing them was
    3 % of a small one on a core. In glibc, only one heap for all threads is not given back in parts.
    """
    given = environ.get(TUNABLES, "")
    asked = [
        f"glibc.malloc.{name}={value}" for name, value in KEPT.items() if f".{name}=" not in given
    ]
    return dict(environ) | {TUNABLES: _behind(given, *asked)}


def _behind(given: str, *asked: str) -> str:
    """Settings behind those of the user, which come first."""
    return ":".join(filter(None, [given, *asked]))
