"""An estimate of a step's time: each of its parts at the chip's published peak.

Three things take time at once: the matrix units, the main memory, the links between chips. No step
is faster than the slowest of them. Collectives that the program waits for come on top of the other
two. A ring is used both ways, and an axis of the mesh that lies along k axes of the torus uses the
links of all k; a part of an axis is no ring. Across slices, each chip has its share of its host's
network.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from polylm_jax.training.planning.chips import Topology
from polylm_jax.training.planning.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of a step, each at the published peak. interconnect: with what crosses slices."""

    matrix_units: float
    hbm: float
    interconnect: float
    waited: float
    between_slices: float = 0.0

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
        return max(parts, key=parts.__getitem__)


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
        between_slices=sum(crossing_bytes(one, coordinates) for one in collectives)
        / topology.chip.dcn_rate,
    )


def collective_seconds(one: Collective, topology: Topology, coordinates: np.ndarray) -> float:
    """All runs of it in a step; its slowest group counts."""
    members = coordinates[one.groups]  # [groups, devices of a group, 1 + dims]
    inside = one.group // _slices(members)
    seconds = crossing_bytes(one, coordinates) / topology.chip.dcn_rate
    if inside > 1:
        seconds += _inside(one, members, inside, topology)
    return seconds


def crossing_bytes(one: Collective, coordinates: np.ndarray) -> float:
    """What each device sends to other slices in a step, once its own slice has shared the work."""
    slices = _slices(coordinates[one.groups])
    if slices == 1:
        return 0.0
    if one.kind == "collective-permute":
        return one.payload * one.runs
    passes = 2 if one.kind == "all-reduce" else 1
    return passes * one.payload * slices / one.group * (slices - 1) / slices * one.runs


def _slices(members: np.ndarray) -> int:
    """Slices that the widest group is spread over."""
    return max(len(np.unique(group[:, 0])) for group in members)


def _inside(one: Collective, members: np.ndarray, inside: int, topology: Topology) -> float:
    """Within a slice: bytes over the links that the group's axes of the torus have."""
    spans = [len(np.unique(members[0, :, 1 + dim])) for dim in range(len(topology.shape))]
    links, hops = 0, 0.0
    for size, span in zip(topology.shape, spans, strict=True):
        if span > 1:
            closed = size % topology.chip.wrap == 0 and span == size
            links += 2 if closed else 1
            hops += span / 4 if closed else span / 3
    rate = max(links, 1) * topology.chip.link_rate
    if one.kind == "all-to-all":
        return one.payload * hops / rate * one.runs
    if one.kind == "collective-permute":
        return one.payload / topology.chip.link_rate * one.runs
    passes = 2 if one.kind == "all-reduce" else 1
    return passes * one.payload * (inside - 1) / inside * one.runs / rate
