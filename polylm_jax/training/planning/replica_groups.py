"""Which devices a collective joins, from the ways in which HLO writes it, and which mesh axes those are.

Devices are numbered as the mesh lists them, row by row of data x fsdp x tensor.
"""

import re
from collections.abc import Mapping

import numpy as np

_PAIRS = re.compile(r"\{(\d+),(\d+)\}")
_IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_MESH = re.compile(
    r"replica_groups=mesh\[([^\]]*)\]\s*(?:,?\s*device_ids=\(([^)]*\)?)\))?\s*\{([^}]*)\}"
)
_AXIS = re.compile(r"'([^']+)'=(\d+)")
_REFERENCE = re.compile(r"'([^']+)'(?::\((\d+)\)(\d+))?")


def groups(attributes: str, num_devices: int) -> np.ndarray:
    """[groups, devices of a group] of a collective's attributes; source and target for a permute.

    ValueError for a form that HLO may learn one day.
    """
    if "source_target_pairs=" in attributes:
        text = attributes.partition("source_target_pairs={")[2].partition("}}")[0] + "}"
        return np.array([[int(a), int(b)] for a, b in _PAIRS.findall(text)])
    if iota := _IOTA.search(attributes):
        return _iota(iota[2], iota[3]).reshape(_numbers(iota[1]))
    if mesh := _MESH.search(attributes):
        return _named(_AXIS.findall(mesh[1]), mesh[2], _REFERENCE.findall(mesh[3]))
    listed = re.search(r"replica_groups=\{((?:\{[\d,]*\},?)*)\}", attributes)
    if listed is None:
        raise ValueError(f"replica groups of an unknown form: {attributes[:120]!r}")
    rows = [_numbers(row) for row in re.findall(r"\{([\d,]+)\}", listed[1])]
    return np.array(rows) if rows else np.arange(num_devices)[None]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _iota(dims: str, order: str | None) -> np.ndarray:
    """'4,2', '1,0' -> the numbers from 0, in that shape, transposed, flat."""
    shape = _numbers(dims)
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    return (numbers.transpose(_numbers(order)) if order else numbers).ravel()


def _named(axes, device_ids, references) -> np.ndarray:
    """Groups of a mesh written into the HLO; an axis may be split: 'a':(2)4 is its middle 4."""
    sizes = {name: int(size) for name, size in axes}
    numbers = np.arange(int(np.prod([*sizes.values()])))
    if device_ids:
        dims, _, order = device_ids.lstrip("[").partition("]")
        numbers = _iota(dims, order.strip("T()") or None)
    joined = {
        name: (int(before or 1), int(size or sizes[name])) for name, before, size in references
    }
    shape: list[int] = []
    together = []
    for name, size in sizes.items():
        before, inside = joined.get(name, (1, 1))
        together.append(len(shape) + 1)
        shape += [before, inside, size // (before * inside)]
    apart = [dim for dim in range(len(shape)) if dim not in together]
    inside = int(np.prod([shape[dim] for dim in together]))
    return numbers.reshape(shape).transpose(apart + together).reshape(-1, inside)


def axes_of(groups: np.ndarray, mesh_shape: Mapping[str, int]) -> tuple[str, ...]:
    """The mesh axes along which the devices of a group differ, in the mesh's order."""
    coordinates = np.stack(np.unravel_index(groups, tuple(mesh_shape.values())), axis=-1)
    varies = np.any(coordinates != coordinates[:, :1], axis=(0, 1))
    return tuple(name for name, differs in zip(mesh_shape, varies, strict=True) if differs)
