"""Rows and batches: what reaches the devices is the plan's, in an order that nothing but rows decides.

Tokens of the toy stores say their store and place, so tests count what was delivered, not what the
schedule says of itself.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh
from toy_stores import SPAN, evenly, make_mesh, numbered, schedules

from polylm_jax.data.batches import batches
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import PLANNED_ROWS, Rows
from polylm_jax.errors import InputError
from polylm_jax.model.partitioning import batch_sharding

LENGTH = 6
SIZES = {"ar": 7, "en": 241, "en-th": 64, "ja": 6 * 40 + 3, "th": 100, "zh": 999}
MIXED = Schedule(
    [
        Phase("1", {"en": 0.6, "th": 0.3, "ar": 0.1}, 150),
        Phase("2", {"en": 0.2, "th": 0.3, "ja": 0.3, "en-th": 0.2}, 250, 90),
    ]
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return numbered(tmp_path_factory.mktemp("stores"), SIZES)


def delivered(rows: Rows, mesh: Mesh, batch_size: int, start: int, stop: int, **options):
    """(tokens [n, L+1], component [n]) from the shards that the devices hold."""
    tokens, component, expected = [], [], start
    for batch in batches(rows, batch_sharding(mesh), evenly(batch_size, start, stop), 0, **options):
        assert batch.start_row == expected and batch.tokens.shape == (batch_size, rows.length + 1)
        assert batch.tokens.dtype == batch.component.dtype == np.int32
        expected += batch_size
        for array, collected in ((batch.tokens, tokens), (batch.component, component)):
            whole = np.full(array.shape, -1, np.int32)
            for shard in array.addressable_shards:
                assert shard.data.shape[0] == batch_size // (mesh.size // mesh.shape["tensor"])
                whole[shard.index] = np.asarray(shard.data)
            collected.append(whole)
    assert expected == stop
    return np.concatenate(tokens), np.concatenate(component)


def origin(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(store number, row of the store) that the tokens themselves tell."""
    assert (np.diff(tokens, axis=1) == 1).all() and (tokens[:, 0] % SPAN % LENGTH == 0).all()
    return tokens[:, 0] // SPAN, tokens[:, 0] % SPAN // LENGTH


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schedules(names=tuple(SIZES)), st.integers(0, 2**40), st.data())
def test_delivered_rows_keep_to_the_plan(stores, schedule, seed, data):
    rows = Rows(schedule, stores, LENGTH, seed)
    stop = schedule.total_rows // 8 * 8
    assume(stop)
    tokens, component = delivered(rows, make_mesh(4, 2, 1), 8, 0, stop)
    numbers, store_rows = origin(tokens)
    names = np.array(list(SIZES))[numbers]
    assert (names == np.array(schedule.components)[component]).all()

    for name in schedule.components:
        start = 0
        while start < stop:  # phase by phase, from what was delivered
            end = min(schedule.boundaries[schedule.phase_at(start) + 1], stop)
            counts = np.cumsum(names[start:end] == name)
            place = schedule.components.index(name)
            before = schedule.planned(start)[place]
            for offset in data.draw(st.lists(st.integers(0, end - start - 1), max_size=8)):
                planned = schedule.planned(start + offset + 1)[place] - before
                assert abs(counts[offset] - planned) < 1
            start = end
        size = (SIZES[name] - 1) // LENGTH
        mine = store_rows[names == name]
        for epoch in range(-(-len(mine) // size)):
            taken = mine[epoch * size : (epoch + 1) * size]
            assert len(np.unique(taken)) == len(taken) and taken.max(initial=0) < size


def test_epochs_differ_and_are_shuffled(stores):
    rows = Rows(Schedule([Phase("1", {"en": 1.0}, 400)]), stores, LENGTH, seed=3)
    _, order = origin(delivered(rows, make_mesh(8, 1, 1), 40, 0, 400)[0])
    epochs = order.reshape(10, 40)
    assert (np.sort(epochs) == np.arange(40)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 10
    assert (epochs == np.arange(40)).mean() < 0.1
    other = Rows(rows.schedule, stores, LENGTH, seed=4)
    assert (origin(other.read(np.arange(400))[0])[1] != order).mean() > 0.9


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 1, 1), {}),
        ((2, 1, 1), {"workers": 1, "prefetch": 1}),
        ((8, 1, 1), {"workers": 5, "prefetch": 7}),
        ((1, 8, 1), {"workers": 3}),
        ((2, 2, 2), {"prefetch": 30}),
        ((1, 1, 8), {}),
    ],
)
def test_rows_are_the_same_on_any_mesh_and_threads(stores, shape, options):
    rows = Rows(MIXED, stores, LENGTH, seed=11)
    expected = rows.read(np.arange(400))
    tokens, component = delivered(rows, make_mesh(*shape), 16, 0, 400, **options)
    assert (tokens == expected[0]).all() and (component == expected[1]).all()


def test_any_batch_size_and_start_give_the_same_sequence(stores):
    rows = Rows(MIXED, stores, LENGTH, seed=11)
    whole = rows.read(np.arange(400))
    mesh = make_mesh(2, 2, 2)
    parts = [delivered(rows, mesh, *part) for part in ((16, 0, 160), (8, 160, 264), (4, 264, 400))]
    for number in range(2):
        assert (np.concatenate([part[number] for part in parts]) == whole[number]).all()


def test_locate_names_what_is_read(stores):
    rows = Rows(MIXED, stores, LENGTH, seed=11)
    tokens, component = rows.read(np.arange(400))
    numbers, store_rows = origin(tokens)
    seen = dict.fromkeys(SIZES, 0)
    for row in range(400):
        name, epoch, store_row = rows.locate(row)
        assert name == list(SIZES)[numbers[row]] == MIXED.components[component[row]]
        assert store_row == store_rows[row]
        assert epoch == seen[name] // ((SIZES[name] - 1) // LENGTH)
        seen[name] += 1
    some = np.array([399, 0, 7, 7, 160])
    assert (rows.read(some)[0] == tokens[some]).all()


def test_rows_beyond_2_to_the_31(stores):
    shares = {"en": 0.5, "zh": 0.4, "ar": 0.1}
    schedule = Schedule([Phase("1", {"zh": 1.0}, 10**9), Phase("2", shares, 10**12, 10**6)])
    rows = Rows(schedule, stores, LENGTH, seed=1)
    for start in (2**31 - 24, 2**31 * 200 + 8 * 3, PLANNED_ROWS * 2**20 - 24):
        tokens, _component = delivered(rows, make_mesh(8, 1, 1), 16, start, start + 48)
        numbers, store_rows = origin(tokens)
        for offset in range(48):
            name, epoch, store_row = rows.locate(start + offset)
            assert (name, store_row) == (list(SIZES)[numbers[offset]], store_rows[offset])
            ordinal = schedule.counts(start + offset)[schedule.components.index(name)]
            assert epoch == ordinal // rows.num_rows(name)


def test_refuses_what_cannot_be_read(stores):
    rows = Rows(MIXED, stores, LENGTH, seed=0)
    with pytest.raises(InputError, match="batch_size = 12 does not divide over the 8 parts"):
        batches(rows, batch_sharding(make_mesh(4, 2, 1)), evenly(12, 0, 120), 0)
    with pytest.raises(InputError, match="prefetch = 0 and workers = 2"):
        batches(rows, batch_sharding(make_mesh(1, 1, 1)), evenly(8, 0, 80), 0, prefetch=0)
    with pytest.raises(
        InputError, match="task 'ar' has 7 training tokens, fewer than one row of 7"
    ):
        Rows(MIXED, stores, 7, seed=0)
    with pytest.raises(InputError, match="component 'ja' has a share and no token store"):
        Rows(MIXED, {name: stores[name] for name in ("ar", "en", "th", "en-th")}, LENGTH, seed=0)


def test_a_component_without_a_share_needs_no_store(stores):
    schedule = Schedule([Phase("1", {"en": 1.0, "none": 0.0}, 8)])
    tokens, _ = Rows(schedule, {"en": stores["en"]}, LENGTH, seed=0).read(np.arange(8))
    assert len(np.unique(origin(tokens)[1])) == 8
