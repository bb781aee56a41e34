"""The schedule: never a row from the plan, counts that only rise, any row at once, in integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_stores import schedules

from polylm_jax.data.mixture.apportionment import (
    MARK_SLOTS,
    RAMP_STEPS,
    RESOLUTION,
    build_table,
    largest_remainder,
    round_plan,
    staircase,
)
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.errors import InputError


def _recount(component: np.ndarray, num_components: int) -> np.ndarray:
    """int64 [n + 1, C]: rows of each component before every row, counted one by one."""
    one_hot = component[:, None] == np.arange(num_components)
    return np.concatenate([np.zeros((1, num_components), np.int64), np.cumsum(one_hot, axis=0)])


@settings(max_examples=150, deadline=None)
@given(schedules(max_rows=250))
def test_counts_stay_within_a_row_of_the_plan(schedule):
    component, ordinal = schedule.rows(0, schedule.total_rows)
    counts = _recount(component, len(schedule.components))
    assert (np.diff(counts, axis=0) >= 0).all()
    assert (ordinal == counts[np.arange(len(component)), component]).all()
    for number, (start, stop) in enumerate(zip(schedule.boundaries, schedule.boundaries[1:])):
        planned_before = schedule.planned(start)
        for row in range(start, stop + 1):
            planned = schedule.planned(row) - planned_before
            assert sum(planned) == row - start
            assert max(abs(counts[row] - counts[start] - planned)) < 1, (row, number)


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_answers_for_one_row_agree_with_the_whole_run(schedule, data):
    component, ordinal = schedule.rows(0, schedule.total_rows)
    counts = _recount(component, len(schedule.components))
    for row in data.draw(st.lists(st.integers(0, schedule.total_rows), max_size=30)):
        assert (schedule.counts(row) == counts[row]).all()
        stop = data.draw(st.integers(row, schedule.total_rows))
        some = schedule.rows(row, stop)
        assert (some[0] == component[row:stop]).all() and (some[1] == ordinal[row:stop]).all()
    any_order = np.random.default_rng(0).permutation(schedule.total_rows)
    assert (schedule.lookup(any_order)[0] == component[any_order]).all()
    assert component.dtype == np.int32 and ordinal.dtype == np.int64


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_ramps_follow_the_straight_line(schedule):
    """Realised rows against the users' real numbers: the line, integrated by a formula of ours."""
    counts = _recount(schedule.rows(0, schedule.total_rows)[0], len(schedule.components))
    for number, phase in enumerate(schedule.phases):
        start, stop = schedule.boundaries[number : number + 2]
        new = np.array([phase.share(c) for c in schedule.components])
        old = np.array([schedule.phases[max(number - 1, 0)].share(c) for c in schedule.components])
        passed = np.arange(stop - start + 1)[:, None]
        ramp = np.minimum(passed, phase.ramp_rows)
        climbed = ramp**2 / (2 * max(phase.ramp_rows, 1))
        line = old * (ramp - climbed) + new * (passed - ramp + climbed)
        rounding = 2 * (stop - start) / RESOLUTION
        distance = np.abs(counts[start : stop + 1] - counts[start] - line).max()
        # Less than 1 from the staircase, whose steps end less than 1 from the line, plus its bend.
        assert distance < (2.5 if phase.ramp_rows else 1) + rounding
        assert schedule.describe()["phases"][number]["distance_rows"] < 1.5 + rounding


@pytest.mark.parametrize("num_components", [2, 20, 100])
def test_a_full_period(num_components):
    """2**20 rows with shares over four magnitudes: within a row of the quotas after each one."""
    weights = 10.0 ** np.random.default_rng(num_components).uniform(-4, 0, num_components)
    names = [f"c{number:03}" for number in range(num_components)]
    shares = dict(zip(names, weights / weights.sum(), strict=True))
    schedule = Schedule([Phase("all", shares, 10**12)])
    component, _ = schedule.rows(0, RESOLUTION)
    rows = np.arange(1, RESOLUTION + 1)
    for number, quota in enumerate(schedule.quotas[0]):
        missed = np.cumsum(component == number) * RESOLUTION - rows * quota
        assert np.abs(missed).max() < RESOLUTION
    assert (schedule.counts(RESOLUTION) == schedule.quotas[0]).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any), st.integers(1, 3000))
def test_tables_of_any_quotas_and_length(quotas, slots):
    period = sum(quotas)
    slots = min(slots, period)
    table = build_table(tuple(quotas), slots)
    counts = _recount(table.order, len(quotas))
    plan = np.arange(slots + 1)[:, None] * np.array(quotas)
    assert (np.abs(counts * period - plan) < period).all()
    for slot in {0, slots // 2, slots, min(slots, MARK_SLOTS)}:
        assert (table.counts(slot) == counts[slot]).all()


def test_a_short_segment_is_the_beginning_of_a_long_one():
    quotas = (700001, 300001, 48573, 1)
    assert sum(quotas) == RESOLUTION
    long, short = build_table(quotas, 200_000), build_table(quotas, 3000)
    assert (long.order[:3000] == short.order).all() and (long.rank[:3000] == short.rank).all()


def test_beyond_2_to_the_31_and_to_10_to_the_12():
    shares = {"a": 0.7, "b": 0.3 - 1e-6, "c": 1e-6}
    other = {"b": 0.5, "d": 0.5}
    phases = [
        Phase("1", shares, 10**12 - 7),
        Phase("2", other, 10**12, 10**11),
        Phase("3", shares, 9),
    ]
    schedule = Schedule(phases)
    for row in (2**31 - 5, 2**40 + 3, 10**12 - 20, 10**12 + 10**11 - 50, 2 * 10**12 - 30):
        component, ordinal = (
            schedule.rows(row, row + 60)
            if row + 60 < schedule.total_rows
            else (schedule.rows(row, schedule.total_rows))
        )
        before, after = schedule.counts(row), schedule.counts(row + len(component))
        counts = _recount(component, len(schedule.components))
        assert (counts[-1] == after - before).all()
        assert (ordinal == (before + counts[:-1])[np.arange(len(component)), component]).all()
        start = schedule.boundaries[schedule.phase_at(row)]
        planned = schedule.planned(row) - schedule.planned(start)
        assert max(abs(before - schedule.counts(start) - planned)) < 1
    assert schedule.counts(schedule.total_rows).sum() == schedule.total_rows == 2 * 10**12 + 2


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_staircase_steps_are_whole_and_near_the_line(data):
    size = data.draw(st.integers(1, 12))
    weights = st.lists(st.integers(0, 1000), min_size=size, max_size=size).filter(any)
    old, new = (largest_remainder(data.draw(weights)) for _ in range(2))
    rows = data.draw(st.one_of(st.integers(1, 300), st.integers(1, 10**7)))
    steps = list(staircase(old, new, rows))
    assert sum(length for length, _ in steps) == rows and len(steps) <= RAMP_STEPS
    ends = np.cumsum([0] + [length for length, _ in steps]).tolist()
    whole = np.cumsum([np.zeros(size, np.int64)] + [quotas for _, quotas in steps], axis=0)
    assert (np.diff(whole, axis=0) >= 0).all()
    for end, counts in zip(ends, whole):
        for before, after, count in zip(old, new, counts.tolist()):
            planned = before * end + Fraction((after - before) * end * end, 2 * rows)
            assert abs(planned / RESOLUTION - count) < 1


def test_round_plan_neither_falls_nor_drifts():
    """Slow components beside fast ones, where rounding each sum by itself takes rows back."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        unit, slow = 1000, rng.integers(0, 40, (60, 20))
        steps = np.concatenate([slow, unit * 3 - slow.sum(axis=1, keepdims=True)], axis=1)
        plan = np.cumsum(np.concatenate([np.zeros((1, 21), int), steps]), axis=0).astype(object)
        whole = round_plan(plan, unit)
        assert (np.diff(whole, axis=0) >= 0).all()
        assert (np.abs(whole * unit - plan) < unit).all()
        assert (whole.sum(axis=1) == 3 * np.arange(61)).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=100).filter(any))
def test_largest_remainder(shares):
    quotas = largest_remainder(shares)
    assert sum(quotas) == RESOLUTION
    total = sum(map(Fraction, shares))
    for share, quota in zip(shares, quotas):
        assert abs(Fraction(share) * RESOLUTION / total - quota) < 1


def test_a_worked_example():
    schedule = Schedule([Phase("1", {"en": 0.5, "th": 0.25, "ar": 0.25}, 8)])
    assert schedule.components == ("ar", "en", "th")
    component, ordinal = schedule.rows(0, 8)
    assert [schedule.components[c] for c in component] == ["en", "ar", "en", "th"] * 2
    assert ordinal.tolist() == [0, 0, 1, 0, 2, 1, 3, 1]
    assert schedule.rounding() == 0 and schedule.planned(3).tolist() == [0.75, 1.5, 0.75]


def test_a_phase_changes_at_exactly_its_row():
    schedule = Schedule([Phase("1", {"a": 1.0}, 13), Phase("2", {"b": 1.0}, 10, 6)])
    assert schedule.boundaries == (0, 13, 23) and schedule.total_rows == 23
    assert [schedule.phase_at(row) for row in (0, 12, 13, 22, 23)] == [0, 0, 1, 1, 1]
    component, _ = schedule.rows(0, 23)
    assert component[:13].tolist() == [0] * 13 and component[19:].tolist() == [1] * 4
    assert 2 <= component[13:19].sum() <= 4


def test_fingerprint_tells_what_decides_the_rows():
    base = [Phase("1", {"a": 0.5, "b": 0.5}, 13), Phase("2", {"b": 1.0}, 10, 6)]
    same = [Phase("x", {"b": 0.5, "a": 0.5}, 13), Phase("y", {"b": 1.0}, 10, 6)]
    assert Schedule(base).fingerprint() == Schedule(same).fingerprint()
    others = [
        [Phase("1", {"a": 0.5, "b": 0.5}, 14), base[1]],
        [base[0], Phase("2", {"b": 1.0}, 10, 5)],
        [base[0], Phase("2", {"b": 0.9, "a": 0.1}, 10, 6)],
        [Phase("1", {"a": 0.5, "c": 0.5}, 13), base[1]],
        base[:1],
    ]
    prints = {Schedule(phases).fingerprint() for phases in [base, *others]}
    assert len(prints) == 6 and all(len(one) == 64 for one in prints)


def test_describe_tells_the_rounding():
    shares = {"a": 1 / 3, "b": 2 / 3}
    schedule = Schedule([Phase("1", shares, 3 * 2**20), Phase("2", {"a": 1.0}, 10**6, 10**5)])
    first, second = schedule.describe()["phases"]
    assert schedule.rounding() == pytest.approx(1 / 3 / RESOLUTION)
    assert first["share_rounding"] == schedule.rounding() and second["share_rounding"] == 0
    assert first["distance_rows"] == pytest.approx(1)  # 3 * 2**20 rows, a third of 2**-20 each
    assert 0 < second["distance_rows"] < 1.5
    assert first["constant_stretches"] == 1 and second["constant_stretches"] > 100
    assert second["start_row"] == 3 * 2**20 and second["shares"] == {"a": 1.0}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"shares": {"a": -0.1, "b": 1.1}}, ["'a'", "-0.1"]),
        ({"shares": {"a": math.nan}}, ["'a'", "nan"]),
        ({"shares": {"a": 0.6, "b": 0.6}}, ["1.2", "sum to 1"]),
        ({"shares": {}}, ["sum to 0"]),
        ({"rows": 0}, ["rows is 0"]),
        ({"ramp_rows": 11}, ["ramp_rows is 11", "10"]),
        ({"ramp_rows": -1}, ["ramp_rows is -1"]),
        ({"ramp_rows": 3}, ["ramp_rows is 3", "no phase comes before"]),
        ({"shares": {"a": 1 - 1e-7, "b": 1e-7}}, ["'b'", "1e-07", "1048576"]),
    ],
)
def test_refuses_what_cannot_be_scheduled(fields, says):
    with pytest.raises(InputError) as refused:
        Schedule([Phase(**({"name": "p", "shares": {"a": 1.0}, "rows": 10} | fields))])
    for words in ["'p'", *says]:
        assert words in str(refused.value)


def test_refuses_an_empty_schedule_and_rows_outside():
    with pytest.raises(InputError, match="phases is empty"):
        Schedule([])
    schedule = Schedule([Phase("p", {"a": 1.0, "b": 0.0}, 10)])
    assert schedule.components == ("a", "b") and schedule.trained == ("a",)
    for call in (
        lambda: schedule.rows(0, 11),
        lambda: schedule.counts(11),
        lambda: schedule.rows(-1, 1),
    ):
        with pytest.raises(IndexError):
            call()
    assert schedule.rows(10, 10)[0].shape == (0,)
