"""A short run that repeats its text as a longer one: epochs agree, from part of the same stores."""

import dataclasses
import fractions

import numpy as np
import pytest
import toy_run
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_stores import SPAN, numbered, schedules

from polylm_jax.checkpoints.checkpoint import FOLDER
from polylm_jax.data.mixture import ledger
from polylm_jax.data.mixture.repetition import Repetition
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import Rows
from polylm_jax.errors import InputError
from polylm_jax.training import identity, run_directory

pytest_plugins = ["toy_fixture"]

LENGTH = 6
SIZES = {"ar": 7, "en": 241, "en-th": 64, "ja": 6 * 40 + 3, "th": 100, "zh": 999}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return numbered(tmp_path_factory.mktemp("stores"), SIZES)


def repeating(schedule, stores, target, seed=0):
    """Rows that repeat as `target` rows would, and the rows of the stores."""
    sizes = {name: stores[name].num_rows("train", LENGTH) for name in schedule.trained}
    return Rows(schedule, stores, LENGTH, seed, Repetition(schedule.total_rows, target)), sizes


@settings(max_examples=60, deadline=None)
@given(
    schedules(names=tuple(SIZES)[1:]), st.integers(1, 400), st.integers(0, 10**6), st.integers(0, 9)
)
def test_epochs_are_those_of_the_longer_run(stores, schedule, more, odd, seed):
    total = schedule.total_rows
    shortest = min(stores[name].num_rows("train", LENGTH) for name in schedule.trained)
    # From the rows themselves to as many as leave the shortest store one row.
    target = total + (total * more // 10 + odd) % ((shortest - 1) * total + 1)
    rows, sizes = repeating(schedule, stores, target, seed)
    _, epoch, store_row = rows.located(np.arange(schedule.total_rows))
    component, _ = schedule.rows(0, schedule.total_rows)
    for number, name in enumerate(schedule.components):
        if name not in sizes:
            continue
        mine, epochs = store_row[component == number], epoch[component == number]
        exact = fractions.Fraction(sizes[name] * schedule.total_rows, target)
        size = rows.num_rows(name)
        assert abs(size - exact) < 1
        # What was read: whole epochs of the same rows, which are rows of the store.
        assert len(np.unique(mine)) == min(size, len(mine))
        assert not len(mine) or 0 <= mine.min() <= mine.max() < sizes[name]
        for one in np.unique(epochs):
            here = mine[epochs == one]
            assert len(np.unique(here)) == len(here) and (len(here) == size or one == epochs.max())


def test_the_first_epoch_is_that_of_a_run_that_repeats_less(stores):
    schedule = Schedule([Phase("1", {"zh": 0.9, "en": 0.1}, 100)])
    (every, _), (some, _) = (repeating(schedule, stores, target) for target in (100, 200))
    (_, epoch, all_rows), (_, again, rows) = (
        read.located(np.arange(100)) for read in (every, some)
    )
    first = again == 0
    assert (all_rows[first] == rows[first]).all() and not epoch.any() and again.max() == 1
    assert (
        Rows(schedule, stores, LENGTH, 0).read(np.arange(100))[0] == every.read(np.arange(100))[0]
    ).all()
    # A longer target reads a part of what a shorter one does, and another seed another part.
    few, _ = repeating(schedule, stores, 800)
    read = [set(one.located(np.arange(100))[2].tolist()) for one in (few, some)]
    assert read[0] < read[1]
    assert (
        set(repeating(schedule, stores, 800, seed=1)[0].located(np.arange(100))[2].tolist())
        != read[0]
    )


def test_orders_of_later_epochs_differ(stores):
    schedule = Schedule([Phase("1", {"zh": 1.0}, 400)])
    rows, _ = repeating(schedule, stores, 400 * 166 // 40)
    tokens, _ = rows.read(np.arange(400))
    epochs = (tokens[:, 0] % SPAN // LENGTH).reshape(10, 40)
    assert (np.sort(epochs, axis=1) == np.sort(epochs[0])).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 10


def test_what_cannot_be_is_refused(stores, toy_folder):
    schedule = Schedule([Phase("1", {"ar": 0.5, "en": 0.5}, 100)])
    with pytest.raises(InputError, match="of the 1 rows of task 'ar' less than one .* to 200 rows"):
        Rows(schedule, stores, LENGTH, 0, Repetition(100, 200))
    two = Schedule([Phase("1", {"en": 1.0}, 4), Phase("2", {"en": 1.0}, 3)])
    # 19 and 13 tokens are 4 and 3 rows of 6: their sum is what such a run has.
    assert Repetition.of(19 + 13, two, LENGTH) == Repetition(7, 7)
    for tokens in (30, 0, -5):
        with pytest.raises(
            InputError, match=f"repeat_as_tokens = {tokens} is shorter than the run"
        ):
            Repetition.of(tokens, two, LENGTH)
    with pytest.raises(InputError, match="repeat_as_tokens = 15000 is shorter .* which has 15360"):
        toy_run.experiment(toy_folder, repeat_as_tokens=15000).resolve(False)


def test_the_fingerprint_has_it_where_it_is_used(toy_folder):
    plain, other = (
        identity.fingerprint(toy_run.experiment(toy_folder, repeat_as_tokens=tokens).resolve(False))
        for tokens in (None, 10**6)
    )
    assert "repeat_as_tokens" not in plain
    assert other == plain | {"repeat_as_tokens": 10**6}
    with pytest.raises(InputError, match="repeat_as_tokens: 1000000 -> absent"):
        run_directory.check_resume("it", other, plain, False)


def test_a_resume_goes_on_with_the_same_rows(toy_folder, tmp_path):
    changes = {"phases": toy_run.halves(24), "repeat_as_tokens": 24 * 8 * 16 * 4}
    toy_run.run(toy_folder, tmp_path / "run", changes, save_every_steps=10, keep_last=9)
    whole = toy_run.final_state(toy_folder, tmp_path / "run", **changes)
    losses = toy_run.losses(tmp_path / "run")
    for step in (24, 20):
        (tmp_path / "run" / FOLDER / str(step)).rename(tmp_path / str(step))
    toy_run.run(toy_folder, tmp_path / "run", changes, save_every_steps=10, keep_last=9)
    assert toy_run.losses(tmp_path / "run") == losses
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, tmp_path / "run", **changes), whole
    )
    # The ledger counts epochs of what is read.
    rows = toy_run.experiment(toy_folder, **changes).resolve().rows
    schedule = rows.schedule
    counted = ledger.epochs(schedule, {n: rows.num_rows(n) for n in schedule.trained})
    line = toy_run.ledger(tmp_path / "run")
    assert {n: one["epochs"] for n, one in line["components"].items()} == counted
    stored = {name: rows.stored_rows(name) for name in schedule.trained}
    longer = ledger.epochs(schedule, stored)
    assert all(counted[name] == pytest.approx(4 * longer[name], rel=0.1) for name in stored)


def test_validation_and_whole_stores_stay(stores):
    schedule = Schedule([Phase("1", {"zh": 1.0}, 50)])
    some, _ = repeating(schedule, stores, 500)
    every = dataclasses.replace(some, repetition=None)
    for name in ("tokens", "counted"):
        assert (some.held_out("zh", 99)[name] == every.held_out("zh", 99)[name]).all()
