"""A step compiled for a TPU slice that isn't there, by libtpu's own compiler, and its memory."""

import dataclasses
import importlib.util
import os
import re
import time
from typing import Any

import jax

from polylm_jax.errors import InputError
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.planning.chips import Topology
from polylm_jax.training.programs import Programs

GIB = 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_NEEDED = re.compile(r"(?:Used |temporaries \()([\d.]+)([KMGT]?)")  # "Used 18.1G of 15.75G hbm"


_ENVIRONMENT = {  # libtpu would ask the cloud what machine this is, and lock its chips
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one chip's HBM. Arguments are the state and the batch; outputs reuse their place.

    total is what the program asks for; temporaries hold gaps, so what lives at once is less.
    Of a program that doesn't fit, the total alone is known, and not always.
    """

    total: float | None
    arguments: float | None = None
    temporaries: float | None = None
    outputs: float | None = None
    reused: float | None = None
    code: float | None = None
    peak: float | None = None


@dataclasses.dataclass(frozen=True)
class Compiled:
    """hlo: the optimized program, '' where it doesn't fit. refusal: what the compiler then says."""

    memory: Memory
    fits: bool
    hlo: str
    seconds: float
    refusal: str = ""


def devices(topology: Topology) -> list[jax.Device]:
    """The chips of a topology as JAX's devices; no TPU is needed, libtpu is.

    InputError where libtpu isn't installed or knows no such slice.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "plan compiles with libtpu, which isn't installed here: pip install -r requirements-tpu.txt."
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")  # a TPU that is here stays free
    from jax.experimental import topologies

    options: dict[str, Any] = {}
    if topology.chip.name == "v4":
        options["chip_config_name"] = "megacore"
    if topology.slices > 1:
        options["num_slices"] = topology.slices
    try:
        return topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **options
        ).devices
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        sentence = " ".join(str(error).split())
        raise InputError(f"topology = {topology.name!r}: libtpu says {sentence[:200]}") from error


def compile_step(resolved: Resolved, devices: list[jax.Device]) -> Compiled:
    """The train step, lowered and compiled; one that needs more than the chip has is no error."""
    start = time.perf_counter()
    try:
        compiled = Programs(resolved, devices=tuple(devices)).compile_step()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        said = " ".join(str(error).split())
        return Compiled(Memory(needed(said)), False, "", time.perf_counter() - start, said[:300])
    assert isinstance(compiled, jax.stages.Compiled)  # who plans shares no programs
    return Compiled(_memory(compiled), True, compiled.as_text() or "", time.perf_counter() - start)


def needed(message: str) -> float | None:
    """Bytes of HBM that a program would take, from the compiler's refusal; None where it has none."""
    found = _NEEDED.search(message)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _memory(compiled: jax.stages.Compiled) -> Memory:
    stats = compiled.memory_analysis()
    assert stats is not None  # TPUs tell it
    arguments, outputs = stats.argument_size_in_bytes, stats.output_size_in_bytes
    temporaries, reused = stats.temp_size_in_bytes, stats.alias_size_in_bytes
    code = stats.generated_code_size_in_bytes
    return Memory(
        total=arguments + outputs - reused + temporaries + code,
        arguments=arguments,
        temporaries=temporaries,
        outputs=outputs,
        reused=reused,
        code=code,
        peak=stats.peak_memory_in_bytes,
    )
