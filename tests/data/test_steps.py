"""Steps and rows: what each step takes is what counting row by row gives, from any place on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polylm_jax.data.mixture import row_ranges
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.errors import InputError


@st.composite
def ranges(draw, rows):
    ends = st.integers(0, rows)
    found = draw(st.lists(st.tuples(ends, ends), max_size=3))
    return RowRanges.of(tuple(sorted(one)) for one in found)


@st.composite
def runs(draw):
    """One to four phases, each with batches of its own, some rows left out."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    boundaries = tuple(np.cumsum([0, *lengths]).tolist())
    batches = tuple(draw(st.sampled_from([1, 2, 3, 4, 8])) for _ in lengths)
    return Steps(boundaries, batches, draw(ranges(boundaries[-1])))


def counted(steps, row=0, skipped=None):
    """The rows of each step from a row on, counted one by one."""
    ranges = (steps.skipped if skipped is None else skipped).ranges
    left = [r for r in range(row, steps.boundaries[-1]) if not any(a <= r < b for a, b in ranges)]
    found = []
    while left:
        phase = max(n for n in range(len(steps.sizes)) if steps.boundaries[n] <= left[0])
        if len(left) < (size := steps.sizes[phase]):
            break
        found.append(left[:size])
        left = left[size:]
    return found


@settings(max_examples=300, deadline=None)
@given(runs(), st.data())
def test_steps_are_what_counting_gives(steps, data):
    expected = counted(steps)
    assert [steps.rows(step).tolist() for step in range(steps.total)] == expected
    for step, rows in enumerate(expected):
        assert (steps.begin(step), steps.done(step + 1)) == (rows[0], rows[-1] + 1)
        assert steps.place(step) == steps.trained(rows[0]) == sum(map(len, expected[:step]))
        assert steps.boundaries[steps.phase(step)] <= rows[0]
        assert rows[0] < steps.boundaries[steps.phase(step) + 1]
        assert steps.since(rows[0]) == step and steps.since(rows[0] + 1) == step + 1
    # From any row on, as after a change of the recipe.
    row, number = data.draw(st.integers(0, steps.boundaries[-1])), data.draw(st.integers(0, 9))
    after = dataclasses.replace(steps, first=number, row=row)
    found = [after.rows(step).tolist() for step in range(number, after.total)]
    assert found == counted(steps, row)


@settings(max_examples=300, deadline=None)
@given(runs(), st.data())
def test_a_pace_is_the_place_in_the_run_without_gaps(steps, data):
    plain = counted(steps, skipped=row_ranges.NONE)
    assume(plain)
    for step, rows in enumerate(plain):
        assert steps.pace(rows[0]) == step
    row, number = data.draw(st.integers(0, steps.boundaries[-1])), data.draw(st.integers(0, 9))
    for one in (steps, dataclasses.replace(steps, first=number, row=row)):
        numbers = np.arange(one.first, one.total)
        exact = [float(one.pace(one.begin(step))) for step in numbers]
        np.testing.assert_allclose(one.paces(numbers), exact, rtol=1e-12)
        assert (np.diff(exact) > 0).all()


@settings(max_examples=100, deadline=None)
@given(runs())
def test_a_run_that_goes_on_has_the_steps_that_it_had(steps):
    for step in range(steps.total + 1):
        assert steps.at(step, steps.done(step)) is steps
    later = steps.at(steps.total + 1, 0)
    assert (later.first, later.row) == (steps.total + 1, 0)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ranges_are_sets_of_rows(data):
    a, b = data.draw(ranges(30)), data.draw(ranges(30))
    rows = [{r for first, stop in one.ranges for r in range(first, stop)} for one in (a, b)]
    row = data.draw(st.integers(0, 30))

    def of(one):
        assert all(stop < first for (_, stop), (first, _) in zip(one.ranges, one.ranges[1:]))
        return {r for first, stop in one.ranges for r in range(first, stop)}

    assert of(a.outside(b)) == rows[0] - rows[1]
    assert of(a.up_to(row)) == {r for r in rows[0] if r < row}
    assert of(a.since(row)) == {r for r in rows[0] if r >= row}
    assert a.before(row) == len(of(a.up_to(row))) and a.count == len(rows[0])
    left = [r for r in range(40) if r not in rows[0]]
    assert a.rows(np.arange(len(left))).tolist() == left
    # A run that goes on: what is past is as it was, what comes is as it is now.
    now, told = row_ranges.going_on(a, b, row)
    assert of(now) == of(a.up_to(row)) | of(b.since(row))
    assert bool(told) == (a != b)


def test_what_was_trained_on_is_said():
    now, told = row_ranges.going_on(row_ranges.NONE, RowRanges(((8, 16), (40, 48))), 24)
    assert now.ranges == ((40, 48),)
    past, ahead = told
    assert past.startswith("SKIP_ROWS: rows 8 to 15 were trained on before they were named")
    assert ahead == "SKIP_ROWS: rows 40 to 47 will be left out"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ((20, 10), r"the nearest is \(10, 20\)"),
        ((-5, 10), r"the nearest is \(0, 10\)"),
        ((90, 120), r"the nearest is \(90, 100\)"),
        ((7, 7), "of the run's rows 0 to 100.$"),
        ((100, 120), "of the run's rows 0 to 100.$"),
    ],
)
def test_what_is_no_range_is_refused_with_the_nearest(given, nearest):
    with pytest.raises(
        InputError, match=rf"SKIP_ROWS\[1\] = \({given[0]}, {given[1]}\).*{nearest}"
    ):
        RowRanges.given([(1, 2), given], 100)
    assert RowRanges.given([(30, 40), (10, 20), (15, 30)], 100).ranges == ((10, 40),)
