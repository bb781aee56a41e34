"""What one of several processes on a machine is told by whoever started it, and which cores it has."""

import os

# In the environment of a process that has a part of its host to itself: it joins no others, although
# the host may be one of a cluster.
ALONE = "POLYLM_ALONE"

# The first word of run.py in place of a mode: a process that runs what it is given, and one that is
# forked for each of those. Each is a function that takes run.py's own and the words that follow.
WORKER, SERVER = "worker", "fork_server"
STARTED = {WORKER: "polylm_jax.ablation.work", SERVER: "polylm_jax.ablation.serve"}


class Several:
    """Whether this process trains several runs: what one has computed is then kept for the next.

    programs: a folder that it has in common with others that have the same to compile; '' for none.
    """

    runs = False
    programs = ""


def cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may use, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
