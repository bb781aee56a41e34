"""TPU generations: what the maker publishes of a chip, and what a topology's name means.

Source: the "TPU v4", "v5e", "v5p" and "v6e" pages of Google Cloud's documentation. HBM is what the
compiler lets a program have, which is a little less than the published capacity.
"""

import dataclasses
import math
import re

from polylm_jax.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, which JAX calls one device (v4 as 'megacore').

    hbm_bytes: for a program. hbm_rate, link_rate (one way, of one link), dcn_rate (a chip's share
    of its host's network): bytes a second. clock: of the core, in Hz, as the peak of its matrix units
    follows from it. dims: of the torus. wrap: an axis of the torus closes where its size is a
    multiple of this. host: chips of a host in a slice of several.
    """

    name: str
    hbm_bytes: float
    hbm_rate: float
    link_rate: float
    dcn_rate: float
    clock: float
    dims: int
    wrap: int
    host: int


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 30.75 * 2**30, 1.2e12, 50e9, 6.25e9, clock=1.05e9, dims=3, wrap=4, host=4),
        Chip("v5e", 15.75 * 2**30, 0.819e12, 50e9, 3.125e9, clock=1.5e9, dims=2, wrap=16, host=4),
        Chip("v5p", 95.74 * 2**30, 2.765e12, 100e9, 6.25e9, clock=1.75e9, dims=3, wrap=4, host=4),
        Chip("v6e", 31.25 * 2**30, 1.6e12, 100e9, 12.5e9, clock=1.75e9, dims=2, wrap=16, host=4),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice, or several equal ones joined by the data-center network."""

    chip: Chip
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """As libtpu and Google Cloud write it: 'v5p:4x4x8'."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def num_chips(self) -> int:
        return math.prod(self.shape) * self.slices


def parse(text: str, slices: int = 1) -> Topology:
    """'v5p:4x4x8' -> the topology; InputError names what is wrong with it."""
    name, colon, sizes = str(text).partition(":")
    if name not in CHIPS:
        raise InputError(
            f"topology = {text!r} begins with no TPU generation of {', '.join(CHIPS)}: give one, as "
            f"'v5p:4x4x8'.{nearest(name, CHIPS)}"
        )
    chip = CHIPS[name]
    example = {2: "v5e:8x16", 3: "v5p:4x4x8"}[chip.dims]
    if not colon or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
        raise InputError(
            f"topology = {text!r} has no shape: give the chips along each axis, as {example!r}."
        )
    shape = tuple(int(size) for size in sizes.split("x"))
    if len(shape) != chip.dims:
        raise InputError(
            f"topology = {text!r} has {len(shape)} axes and a {name} slice has {chip.dims}: give it "
            f"as {example!r}."
        )
    return Topology(chip, shape, slices)
