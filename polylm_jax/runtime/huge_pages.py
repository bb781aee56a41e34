"""Memory in pages of 2 MB, which a process gets from the C library only when it asks at its start.

A train step on CPUs takes its temporaries anew every time, and the kernel hands them out page by
page: in pages of 4 kB that was a fifth of the step (docs/log.md).
"""

import os
import pathlib
import sys

KERNEL = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
TUNABLES, TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def ask() -> None:
    """Starts this process over with the C library asking for huge pages; the same process id.

    Nothing happens where the kernel gives them to all or to none, where this has been done, and
    where the user has set glibc.malloc.hugetlb in GLIBC_TUNABLES (0 refuses them).
    """
    given = os.environ.get(TUNABLES, "")
    if TUNABLE in given or not KERNEL.exists() or "[madvise]" not in KERNEL.read_text():
        return
    os.environ[TUNABLES] = ":".join(filter(None, [given, f"{TUNABLE}=1"]))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
