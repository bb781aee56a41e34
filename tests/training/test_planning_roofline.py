"""Arithmetic of the estimate: times by hand for a small slice, what binds, days and money."""

import dataclasses

import numpy as np
import pytest

from polylm_jax.errors import InputError
from polylm_jax.training.planning import chips, money, roofline
from polylm_jax.training.planning.collectives import Collective

V5P = chips.parse("v5p:4x4x4")
LINK = V5P.chip.link_rate
GIGABYTE = 1e9


def places(topology):
    """[devices, 1 + dims] in row order, slice after slice."""
    inside = np.stack(np.unravel_index(np.arange(np.prod(topology.shape)), topology.shape), -1)
    slices = [np.insert(inside, 0, number, axis=1) for number in range(topology.slices)]
    return np.concatenate(slices)


def collective(kind, groups, overlaps=False, runs=1):
    return Collective("c", kind, ("fsdp",), GIGABYTE, runs, overlaps, np.array(groups))


def seconds(one, topology=V5P):
    return roofline.collective_seconds(one, topology, places(topology))


ALL = [range(64)]
COLUMN = [[0, 1, 2, 3]]  # along the last axis of the torus


@pytest.mark.parametrize(
    ("kind", "groups", "expected"),
    [
        ("all-gather", ALL, GIGABYTE * 63 / 64 / (6 * LINK)),  # all six links of a chip
        ("all-gather", COLUMN, GIGABYTE * 3 / 4 / (2 * LINK)),  # a ring, both ways
        ("reduce-scatter", COLUMN, GIGABYTE * 3 / 4 / (2 * LINK)),
        ("all-reduce", COLUMN, 2 * GIGABYTE * 3 / 4 / (2 * LINK)),
        ("all-to-all", COLUMN, GIGABYTE * 1 / (2 * LINK)),  # one hop on average
        ("collective-permute", [[0, 1]], GIGABYTE / LINK),
    ],
)
def test_a_collective_takes_its_bytes_over_its_links(kind, groups, expected):
    assert seconds(collective(kind, groups)) == pytest.approx(expected)
    assert seconds(collective(kind, groups, runs=40)) == pytest.approx(40 * expected)


def test_an_open_axis_has_one_way_around():
    """An axis of 8 of a v5e slice doesn't close; one of 16 does."""
    v5e = chips.parse("v5e:8x16")
    short, long = [[16 * n for n in range(8)]], [range(16)]
    rate = v5e.chip.link_rate
    assert seconds(collective("all-gather", short), v5e) == pytest.approx(1e9 * 7 / 8 / rate)
    assert seconds(collective("all-gather", long), v5e) == pytest.approx(1e9 * 15 / 16 / (2 * rate))


def test_a_part_of_a_ring_is_no_ring():
    """16 x 4 of 16 x 16 chips: the 4 are a stretch of their axis, which closes further on."""
    v5e = chips.parse("v5e:16x16")
    stretch = [[0, 1, 2, 3]]
    rate = v5e.chip.link_rate
    assert seconds(collective("all-gather", stretch), v5e) == pytest.approx(1e9 * 3 / 4 / rate)
    block = [[16 * row + column for row in range(16) for column in range(4)]]
    expected = 1e9 * 63 / 64 / (3 * rate)
    assert seconds(collective("all-gather", block), v5e) == pytest.approx(expected)


def test_chips_share_the_network_between_slices():
    two = chips.parse("v5p:4x4x4", slices=2)
    apart = collective("all-reduce", [[0, 64]])
    assert seconds(apart, two) == pytest.approx(2 * GIGABYTE / 2 / two.chip.dcn_rate)
    # All chips of both slices: shared out within each slice, a 64th of it between them.
    inside = 2 * GIGABYTE * 63 / 64 / (6 * LINK)
    between = 2 * GIGABYTE / 64 / 2 / two.chip.dcn_rate
    everyone = collective("all-reduce", [range(128)])
    assert seconds(everyone, two) == pytest.approx(inside + between)
    assert roofline.crossing_bytes(everyone, places(two)) == pytest.approx(GIGABYTE / 64)
    assert roofline.crossing_bytes(collective("all-reduce", ALL), places(two)) == 0
    line = roofline.estimate(two, places(two), [everyone], flops=1, peak_flops=459e12, hbm_bytes=1)
    assert line.between_slices == pytest.approx(between)
    assert line.interconnect == pytest.approx(inside + between)


def estimate(*found, flops=1e12, hbm_bytes=1e9):
    return roofline.estimate(
        V5P, places(V5P), found, flops=flops, peak_flops=459e12, hbm_bytes=hbm_bytes
    )


def test_the_slowest_part_binds():
    assert estimate().binds == "matrix units"
    assert estimate(flops=1).binds == "HBM"
    assert estimate(collective("all-reduce", ALL), flops=1, hbm_bytes=1).binds == "interconnect"


def test_only_what_is_waited_for_comes_on_top():
    alone = estimate().seconds
    assert alone == pytest.approx(1e12 / 459e12)
    waited, beside = (collective("all-gather", ALL, overlaps=o) for o in (False, True))
    assert estimate(waited).seconds == pytest.approx(alone + seconds(waited))
    assert estimate(beside).seconds == pytest.approx(max(alone, seconds(beside)))


def test_days_and_money():
    row = money.at_utilisation(
        0.5, tokens=1e12, flops_per_token=1e11, chips=100, peak_flops=2e14, price_per_chip_hour=3.0
    )
    assert row["tokens_per_second"] == pytest.approx(1e5)  # 0.5 x 100 x 2e14 / 1e11
    assert row["days"] == pytest.approx(1e7 / 86400)
    assert row["chip_hours"] == pytest.approx(100 * 1e7 / 3600)
    assert row["money"] == pytest.approx(3 * row["chip_hours"])
    assert "money" not in money.at_utilisation(
        0.5, tokens=1, flops_per_token=1, chips=1, peak_flops=1
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("v5p", "has no shape"),
        ("v5p:4xx8", "has no shape"),
        ("v5p:4x8", "has 2 axes and a v5p slice has 3"),
        ("v5e:4x4x4", "has 3 axes and a v5e slice has 2"),
        ("v6:4x4", "Did you mean 'v6e'"),
        ("tpu-v5p-128", "begins with no TPU generation"),
        (128, "begins with no TPU generation"),
    ],
)
def test_bad_topologies_get_one_sentence(text, complaint):
    with pytest.raises(InputError, match=complaint):
        chips.parse(text)


def test_topologies_are_named_as_libtpu_names_them():
    two = chips.parse("v5p:4x4x8", slices=2)
    assert (two.name, two.num_chips) == ("v5p:4x4x8", 256)
    assert dataclasses.replace(two, slices=1).num_chips == 128
