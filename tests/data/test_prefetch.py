"""Batches ahead of their step: how far, what an error in a thread does, and how it all ends."""

import threading
import time
import types

import numpy as np
import pytest
from toy_stores import Watched, evenly, make_mesh, numbered

from polylm_jax.data.batches import batches
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import Rows
from polylm_jax.model.partitioning import batch_sharding

LENGTH = 6
SIZES = {"en": 241, "th": 100, "zh": 999}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return numbered(tmp_path_factory.mktemp("stores"), SIZES)


def one_store(stores, **watched) -> Rows:
    schedule = Schedule([Phase("1", {"zh": 1.0}, 160)])
    return Rows(schedule, {"zh": Watched(stores["zh"], **watched)}, LENGTH, seed=0)


def threads() -> int:
    return sum(thread.name.startswith("batches") for thread in threading.enumerate())


def until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_each_row_is_read_once_and_only_so_far_ahead(stores):
    rows = one_store(stores)
    iterator = batches(
        rows, batch_sharding(make_mesh(2, 2, 2)), evenly(8, 0, 160), 0, prefetch=3, workers=2
    )
    read = rows.stores["zh"].read
    until(lambda: len(read) == 24)
    next(iterator)
    until(lambda: len(read) == 32)
    time.sleep(0.05)
    assert len(read) == 32
    assert len(list(iterator)) == 19
    assert sorted(read) == sorted(set(read)) and len(read) == 160
    until(lambda: threads() == 0)


def test_an_error_surfaces_at_once(stores):
    row = one_store(stores).locate(8 * 5)[2]
    rows = one_store(stores, fails_at=row)
    iterator = batches(rows, batch_sharding(make_mesh(1, 1, 1)), evenly(8, 0, 160), 0, prefetch=8)
    until(lambda: row in rows.stores["zh"].read)
    with pytest.raises(OSError, match="the disk is gone"):
        for _ in range(3):  # not only at batch 5
            next(iterator)
            time.sleep(0.05)
    until(lambda: threads() == 0)


def test_an_error_interrupts_the_wait_for_an_earlier_batch(stores):
    hangs, fails = (one_store(stores).locate(row)[2] for row in (0, 9))
    rows = one_store(stores, hangs_at=hangs, fails_at=fails)
    iterator = batches(rows, batch_sharding(make_mesh(1, 1, 1)), evenly(8, 0, 160), 0)
    with pytest.raises(OSError, match="the disk is gone"):
        next(iterator)
    assert rows.stores["zh"].hanging  # batch 0, still
    rows.stores["zh"].go_on.set()
    until(lambda: threads() == 0)


def test_stores_far_away_are_read_at_the_same_time(stores):
    """Each read waits for the two others, so one after the other they would never end."""

    class Remote(Watched):
        folder = types.SimpleNamespace(local=None)
        together = threading.Barrier(3, timeout=20)

        def read_rows(self, split, rows, length):
            self.together.wait()
            return super().read_rows(split, rows, length)

    schedule = Schedule([Phase("1", {"en": 0.4, "th": 0.3, "zh": 0.3}, 40)])
    far = Rows(schedule, {name: Remote(store) for name, store in stores.items()}, LENGTH, seed=2)
    near = Rows(schedule, stores, LENGTH, seed=2)
    for found, expected in zip(far.read(np.arange(40)), near.read(np.arange(40))):
        assert (found == expected).all()


def test_close_stops_the_threads_and_the_iteration(stores):
    rows = one_store(stores)
    iterator = batches(rows, batch_sharding(make_mesh(8, 1, 1)), evenly(8, 0, 160), 0, prefetch=4)
    next(iterator)
    iterator.close()
    until(lambda: threads() == 0)
    assert len(rows.stores["zh"].read) < 160
    with pytest.raises(StopIteration):
        next(iterator)
