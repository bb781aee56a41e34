"""Compiled programs, of which a process that trains several runs makes each one once.

Runs that differ in their seed, their rows or their learning rates have one train step. That a program
is the same is told by its text, as it was traced, and by nothing that would have to be kept complete.
Workers on the cores of a CPU take turns (`compile_turns`).
A process of one run keeps none: `plan --search` compiles dozens, each to be looked at once.
"""

import collections
import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
from jax.sharding import Mesh

from polylm_jax.errors import InputError
from polylm_jax.runtime.processes import Several
from polylm_jax.training.compile_turns import Awaited, in_turn

T = TypeVar("T")
KEPT = 16  # programs: of a run two, or three
_REFUSED = re.compile(r"No such compile option: .*|While setting option .*")
_made: collections.OrderedDict[str, jax.stages.Compiled | Awaited] = collections.OrderedDict()


def compiled(
    lowered: jax.stages.Lowered, options: Mapping[str, object], mesh: Mesh
) -> jax.stages.Compiled | Awaited:
    """A program for a mesh, compiled; InputError for an option that the compiler doesn't know or take."""
    if not Several.runs:
        return _compiled(lowered, options)
    key = _key(lowered, options, mesh)
    if key in _made:
        _made.move_to_end(key)
        return _made[key]

    def compile_here() -> jax.stages.Compiled:
        return _compiled(lowered, options)

    if Several.programs and _is_shared(mesh):
        _made[key] = in_turn(Several.programs, key, compile_here)
    else:
        _made[key] = compile_here()
    if len(_made) > KEPT:
        _made.popitem(last=False)
    return _made[key]


def made_of(make: Callable[..., T], *parts: object) -> T:
    """What `make` gives of its parts; in a process of several runs the same for the same parts.

    JAX traces and lowers a jitted function once for the same arguments. make: of a module, so that
    what it gives depends on the parts alone. Parts without equality or a hash are made anew.
    """
    if not Several.runs:
        return make(*parts)
    try:
        hash(parts)
    except TypeError:
        return make(*parts)
    return _kept(make, parts, repr(parts))  # 1 and 1.0 are equal, and two programs


@functools.lru_cache(maxsize=KEPT)
def _kept(make: Callable[..., T], parts: tuple, said: str) -> T:
    del said  # tells parts apart
    return make(*parts)


def called(jitted: Callable[..., T], mesh: Mesh, *args: object) -> T:
    """What a jitted function gives on a mesh: one that a run calls once, and each run of a process."""
    if not Several.runs:
        return jitted(*args)
    assert isinstance(jitted, jax.stages.Wrapped)
    return compiled(jitted.lower(*args), {}, mesh)(*args)


def _is_shared(mesh: Mesh) -> bool:
    """Whether another worker finds what this one compiles; of chips that isn't known."""
    kept = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    return kept and mesh.devices.flat[0].platform == "cpu"


def _compiled(lowered: jax.stages.Lowered, options: Mapping[str, object]) -> jax.stages.Compiled:
    given: dict[str, Any] = dict(options)
    try:
        return lowered.compile(compiler_options=given) if given else lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not (said := _REFUSED.search(str(error))):
            raise
        raise InputError(f"COMPILER_OPTIONS: the compiler says {said[0]!r}: mend it.") from error


def _key(lowered: jax.stages.Lowered, options: Mapping[str, object], mesh: Mesh) -> str:
    """What tells a program from others: its text, its arguments' names, its options and devices."""
    devices = [str(device) for device in mesh.devices.flat]
    trees = lowered.in_tree, lowered.out_tree
    parts = (lowered.as_text(), *map(str, trees), str(sorted(options.items())), *devices)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
