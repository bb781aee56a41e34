"""An estimate of a step's time: each of its parts at the chip's published peak.

Three things take time at once: the matrix units, the main memory, the links between chips. No step
is faster than the slowest of them. Collectives that the program waits for come on top of the other
two. A ring is used both ways, and an axis of the mesh that lies along k axes of the torus uses the
links of all k; across slices, each chip has its share of its host's network.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from polylm_jax.planning.chips import Topology
from polylm_jax.planning.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of a step, each at the published peak."""

    matrix_units: float
    hbm: float
    interconnect: float
    waited: float

    @property
    def seconds(self) -> float:
        """The least that a step takes: the slowest part, with what nothing runs beside on top."""
        return max(max(self.matrix_units, self.hbm) + self.waited, self.interconnect)

    @property
    def binds(self) -> str:
        """Which part is the slowest."""
        parts = {
            "matrix units": self.matrix_units,
            "HBM": self.hbm,
            "interconnect": self.interconnect,
        }
        return max(parts, key=parts.get)


def estimate(
    topology: Topology,
    coordinates: np.ndarray,
    collectives: Sequence[Collective],
    *,
    flops: float,
    peak_flops: float,
    hbm_bytes: float,
) -> Roofline:
    """Of one device's work in a step.

    coordinates: [devices, 1 + dims of the torus], slice first, in the order of the mesh.
    """
    seconds = [(one, collective_seconds(one, topology, coordinates)) for one in collectives]
    return Roofline(
        matrix_units=flops / peak_flops,
        hbm=hbm_bytes / topology.chip.hbm_rate,
        interconnect=sum(time for _, time in seconds),
        waited=sum(time for one, time in seconds if not one.overlaps),
    )


def collective_seconds(one: Collective, topology: Topology, coordinates: np.ndarray) -> float:
    """All runs of it in a step; its slowest group counts."""
    members = coordinates[one.groups]  # [groups, devices of a group, 1 + dims]
    slices = max(len(np.unique(group[:, 0])) for group in members)
    inside = one.group // slices
    chip = topology.chip
    seconds = 0.0
    if inside > 1:
        seconds += _inside(one, members, inside, topology)
    if slices > 1:  # what is left for each device once its slice has shared the work
        passes = 2 if one.kind == "all-reduce" else 1
        share = one.payload if one.kind == "collective-permute" else one.payload / inside
        seconds += passes * share * (slices - 1) / slices * one.runs / chip.dcn_rate
    return seconds


def _inside(one: Collective, members: np.ndarray, inside: int, topology: Topology) -> float:
    """Within a slice: bytes over the links that the group's axes of the torus have."""
    spans = [len(np.unique(members[0, :, 1 + dim])) for dim in range(len(topology.shape))]
    links, hops = 0, 0.0
    for size, span in zip(topology.shape, spans, strict=True):
        if span > 1:
            closed = size % topology.chip.wrap == 0
            links += 2 if closed else 1
            hops += span / 4 if closed and span == size else span / 3
    rate = max(links, 1) * topology.chip.link_rate
    if one.kind == "all-to-all":
        return one.payload * hops / rate * one.runs
    if one.kind == "collective-permute":
        return one.payload / topology.chip.link_rate * one.runs
    passes = 2 if one.kind == "all-reduce" else 1
    return passes * one.payload * (inside - 1) / inside * one.runs / rate
