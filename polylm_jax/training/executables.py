"""Compiled programs, of which a process that trains several runs makes each one once.

Runs that differ in their seed, their rows or their learning rates have one train step. That a program
is the same is told by its text, as it was traced, and by nothing that would have to be kept complete.
"""

import collections
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from polylm_jax.errors import InputError

KEPT = 16  # programs: of a run two, or three
_REFUSED = re.compile(r"No such compile option: .*|While setting option .*")
_made: collections.OrderedDict[str, jax.stages.Compiled] = collections.OrderedDict()


def compiled(
    lowered: jax.stages.Lowered, options: Mapping[str, object], mesh: Mesh
) -> jax.stages.Compiled:
    """A program for a mesh, compiled; InputError for an option that the compiler doesn't know or take."""
    key = _key(lowered, options, mesh)
    if key in _made:
        _made.move_to_end(key)
        return _made[key]
    try:
        given: dict[str, Any] = dict(options)
        _made[key] = lowered.compile(compiler_options=given) if given else lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not (said := _REFUSED.search(str(error))):
            raise
        raise InputError(f"COMPILER_OPTIONS: the compiler says {said[0]!r}: mend it.") from error
    if len(_made) > KEPT:
        _made.popitem(last=False)
    return _made[key]


def _key(lowered: jax.stages.Lowered, options: Mapping[str, object], mesh: Mesh) -> str:
    """What tells a program from others: its text, its arguments' names, its options and devices."""
    devices = [str(device) for device in mesh.devices.flat]
    trees = lowered.in_tree, lowered.out_tree
    parts = (lowered.as_text(), *map(str, trees), str(sorted(options.items())), *devices)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
