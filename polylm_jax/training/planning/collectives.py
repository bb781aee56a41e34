"""The collectives of a compiled step: kind, mesh axes, bytes, and whether anything runs meanwhile."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from polylm_jax.training.planning import replica_groups
from polylm_jax.training.planning.hlo import Instruction, Module

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")

_BETWEEN = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of a step.

    payload: bytes that each device has in hand, the larger of what goes in and what comes out.
    runs: per step. group: devices that take part. overlaps: other work may run at the same time.
    groups: [groups, devices], numbered as the mesh lists them.
    """

    name: str
    kind: str
    axes: tuple[str, ...]
    payload: float
    runs: int
    overlaps: bool
    groups: np.ndarray

    @property
    def group(self) -> int:
        return self.groups.shape[1]

    @property
    def sent(self) -> float:
        """Bytes that each device sends at the least, all runs of a step together."""
        n = self.group
        if self.kind == "collective-permute":
            return self.payload * self.runs
        passes = 2 if self.kind == "all-reduce" else 1
        return passes * self.payload * (n - 1) / n * self.runs


def find(module: Module, mesh_shape: Mapping[str, int], slices: int = 1) -> list[Collective]:
    """All collectives between several devices, those of one device (no traffic) left out."""
    num_devices = int(np.prod([*mesh_shape.values()]))
    whole: dict[str, list[Collective]] = {}
    for name, computation in module.computations.items():
        for instruction in computation.values() if module.runs[name] else ():
            if instruction.opcode.removesuffix("-start") in KINDS:
                one = _collective(instruction, name, module, mesh_shape, num_devices)
                whole.setdefault(_identity(instruction), []).append(one)
            elif instruction.opcode == "send" and (kind := _BETWEEN.search(instruction.attributes)):
                one = _between(instruction, kind[1], module.runs[name], mesh_shape, slices)
                whole[instruction.name] = [one]
    return [_joined(pieces) for pieces in whole.values() if pieces[0].axes]


def _between(
    instruction: Instruction, kind: str, runs: int, mesh_shape: Mapping[str, int], slices: int
) -> Collective:
    """What the hosts carry between slices: each device's part to the like devices of the others.

    The compiler has shared the work out within the slice before. Slices split the outermost axis.
    """
    groups = np.arange(np.prod([*mesh_shape.values()])).reshape(slices, -1).T
    kind = kind.lower().replace("_", "-")
    parts = slices if kind == "all-gather" else 1
    return Collective(
        name=instruction.name,
        kind=kind if kind in KINDS else "collective-permute",
        axes=replica_groups.axes_of(groups, mesh_shape),
        payload=parts * instruction.arrays[0].nbytes,
        runs=runs,
        overlaps=True,  # it is received later
        groups=groups,
    )


def _identity(instruction: Instruction) -> str:
    """The same for the pieces of one collective that TPUs spread over several products."""
    chain = re.search(r'chain_id="(\d+)"', instruction.attributes)
    if chain is None:
        return instruction.name
    return f"chain {chain[1]}, channel {instruction.attribute('channel_id')}"


def _joined(pieces: list[Collective]) -> Collective:
    """One collective of its pieces; it runs beside products where one of them does."""
    return dataclasses.replace(pieces[0], overlaps=any(one.overlaps for one in pieces))


def _collective(
    instruction: Instruction,
    where: str,
    module: Module,
    mesh_shape: Mapping[str, int],
    num_devices: int,
) -> Collective:
    computation, fused = module.computations[where], where in module.fused
    groups = replica_groups.groups(instruction.attributes, num_devices)
    return Collective(
        name=instruction.name,
        kind=_kind(instruction, computation, fused),
        axes=replica_groups.axes_of(groups, mesh_shape),
        payload=_payload(instruction, computation),
        runs=module.runs[where],
        overlaps=_overlaps(instruction, computation, fused),
        groups=groups,
    )


def _kind(instruction: Instruction, computation: Mapping[str, Instruction], fused: bool) -> str:
    """TPUs write a reduce-scatter as one fusion of an all-reduce and the slice that is kept."""
    kind = instruction.opcode.removesuffix("-start")
    sliced = any(i.opcode == "dynamic-slice" for i in computation.values())
    return "reduce-scatter" if fused and sliced and kind == "all-reduce" else kind


def _payload(instruction: Instruction, computation: Mapping[str, Instruction]) -> float:
    taken = sum(a.nbytes for name in instruction.operands for a in computation[name].arrays)
    made = [array.nbytes for array in instruction.arrays]
    if instruction.opcode.endswith("-start"):  # (what goes in, what comes out, counters)
        return max(taken, *made)
    return max(taken, sum(made))


def _overlaps(
    instruction: Instruction, computation: Mapping[str, Instruction], fused: bool
) -> bool:
    """A '-start' has its '-done' later; one fused with a product runs beside it."""
    products = any(i.opcode in ("convolution", "dot") for i in computation.values())
    return instruction.opcode.endswith("-start") or (fused and products)


def table(found: list[Collective]) -> list[dict]:
    """Summed by kind and axes, most traffic first: runs and bytes a step, sent by each device."""
    sums: dict[tuple[str, str], dict] = {}
    for one in found:
        row = sums.setdefault(
            (one.kind, "+".join(one.axes)),
            {"kind": one.kind, "axes": "+".join(one.axes), "runs": 0}
            | dict.fromkeys(("payload_bytes", "sent_bytes", "overlapped_bytes"), 0.0),
        )
        row["runs"] += one.runs
        row["payload_bytes"] += one.payload * one.runs
        row["sent_bytes"] += one.sent
        row["overlapped_bytes"] += one.sent if one.overlaps else 0.0
    return sorted(sums.values(), key=lambda row: -row["sent_bytes"])
