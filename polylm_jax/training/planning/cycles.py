"""An expected time of a step: the cycles that libtpu's own cost model writes into the program.

libtpu notes for each fusion how many cycles of the core it expects it to take
(`"estimated_cycles"` in `backend_config`). Summed over a step's runs, with a roofline for what has
no such note (attention kernels, sorts) and the collectives that nothing runs beside, that is a time
that real runs can be held against: `CALIBRATION` has the published ones that were.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from polylm_jax.training.planning import work
from polylm_jax.training.planning.chips import Chip
from polylm_jax.training.planning.hlo import Instruction, Module

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_UNKNOWN = 2**62  # libtpu writes the largest int64 where it knows nothing
# What others wait for or run beside is counted where it is waited for, as collectives are.
_ASYNCHRONOUS = ("-start", "-done")


@dataclasses.dataclass(frozen=True)
class Published:
    """A run that others measured, and its step compiled here (benchmarks/calibration/).

    measured, cycles: MFU as `metrics.flops_per_token` counts it, of the run and of the step's cycles.
    """

    name: str
    measured: float
    cycles: float

    @property
    def ratio(self) -> float:
        """The run's speed over that of its cycles."""
        return self.measured / self.cycles


# Of the recipes in benchmarks/calibration, at libtpu's default of VMEM: docs/speed.md.
CALIBRATION: Sequence[Published] = (
    Published("MaxText 32B, 64 v5p", 0.702, 0.724),
    Published("MaxText 16B, 256 v5e", 0.592, 0.649),
    Published("MaxText 22B, 64 v4", 0.552, 0.603),
)


def factor() -> tuple[float, float, float]:
    """Measured speed over that of the cycles: the mean of the published runs, the least, the most."""
    ratios = [one.ratio for one in CALIBRATION]
    return sum(ratios) / len(ratios), min(ratios), max(ratios)


@dataclasses.dataclass(frozen=True)
class Cycles:
    """Seconds of a step on one device, one piece of work after another.

    noted: what libtpu gives cycles for. unnoted: the rest, each at the slower of its products at
    the chip's peak and its bytes. waited: collectives that nothing runs beside.
    """

    noted: float
    unnoted: float
    waited: float

    @property
    def seconds(self) -> float:
        return self.noted + self.unnoted + self.waited

    def expected(self) -> tuple[float, float, float]:
        """Seconds that a real step is expected to take: at the mean, the best and the worst ratio."""
        mean, least, most = factor()
        return self.seconds / mean, self.seconds / most, self.seconds / least


def estimate(module: Module, chip: Chip, *, peak_flops: float, waited: float) -> Cycles | None:
    """Of one device's work in a step; None for a program without cycles (another compiler's)."""
    noted = unnoted = 0.0
    found = False
    for name, computation in module.computations.items():
        if not module.runs[name] or name in module.fused:
            continue
        for instruction in computation.values():
            cycles = noted_cycles(instruction)
            if cycles is not None:
                found = True
                noted += module.runs[name] * cycles / chip.clock
            else:
                least = _least_seconds(instruction, computation, module, chip, peak_flops)
                unnoted += module.runs[name] * least
    return Cycles(noted, unnoted, waited) if found else None


def noted_cycles(instruction: Instruction) -> int | None:
    """What libtpu expects one run of an instruction to take; None where it says nothing."""
    match = _CYCLES.search(instruction.attributes)
    cycles = int(match[1]) if match else _UNKNOWN
    return cycles if 0 < cycles < _UNKNOWN else None


def _least_seconds(
    instruction: Instruction,
    computation: Mapping[str, Instruction],
    module: Module,
    chip: Chip,
    peak_flops: float,
) -> float:
    """At the chip's peaks, once; 0 for collectives and for what runs beside other work."""
    if instruction.opcode.endswith(_ASYNCHRONOUS) or work.communicates(instruction, module):
        return 0.0
    flops = work.instruction_flops(instruction, computation)
    for called in instruction.called if instruction.opcode == "fusion" else ():
        body = module.computations[called]
        flops += sum(work.instruction_flops(inner, body) for inner in body.values())
    moved = work.instruction_bytes(instruction, computation, module)
    return max(flops / peak_flops, moved / chip.hbm_rate)
