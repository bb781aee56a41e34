"""The ledger: what it says of a row equals what was delivered up to it."""

import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh
from toy_stores import build, evenly, numbered, schedules

from polylm_jax.data.batches import batches
from polylm_jax.data.mixture import ledger
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import Rows
from polylm_jax.model.partitioning import batch_sharding

LENGTH = 5
SIZES = {"ar": 101, "en": 241, "th": 64}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    pair = build(
        folder,
        "tldr.en_th",
        {"train": np.arange(1, 101)},
        "en-th",
        {"en": 30, "th": 60, "": 10},
    )
    return numbered(folder, SIZES) | {"tldr.en_th": pair}


def test_a_worked_example(stores):
    schedule = Schedule([Phase("1", {"en": 0.75, "tldr.en_th": 0.25}, 80)])
    found = ledger.ledger(schedule, stores, LENGTH, row=41)
    assert (found.row, found.length, found.tokens) == (41, 5, 205)
    en, pair = found.components
    assert (en.component, en.language, en.tokens, en.stored_tokens) == ("en", "en", 155, 241)
    assert (en.planned_tokens, en.stored_rows, en.epochs) == (153.75, 48, 31 / 48)
    assert (pair.component, pair.language, pair.tokens) == ("tldr.en_th", "en-th", 50)
    assert (pair.planned_tokens, pair.stored_rows, pair.epochs) == (51.25, 19, 10 / 19)
    lines = {line.language: line for line in found.languages}
    assert sorted(lines) == ["en", "en-th", "th"]
    assert (lines["en"].tokens, lines["en"].from_pairs) == pytest.approx((155 + 15, 15))
    assert (lines["th"].tokens, lines["th"].from_pairs) == pytest.approx((30, 30))
    assert (lines["en-th"].tokens, lines["en-th"].from_pairs) == pytest.approx((5, 5))
    assert lines["th"].planned_tokens == pytest.approx(51.25 * 0.6)


@settings(max_examples=100, deadline=None)
@given(schedules(names=(*SIZES, "tldr.en_th", "uncached")), st.data())
def test_sums_hold_at_any_row(stores, schedule, data):
    row = data.draw(st.integers(0, schedule.total_rows))
    found = ledger.ledger(schedule, stores, LENGTH, row)
    assert found.tokens == row * LENGTH
    for lines in (found.components, found.languages):
        assert sum(line.tokens for line in lines) == pytest.approx(row * LENGTH)
        assert sum(line.planned_tokens for line in lines) == pytest.approx(row * LENGTH)
    start = schedule.phase_at(row) + 1  # less than a row for each phase that was begun
    for line in found.components:
        assert abs(line.tokens - line.planned_tokens) < start * LENGTH
        if line.component == "uncached":
            assert (line.language, line.stored_tokens, line.epochs) == ("und", None, None)
    assert json.loads(json.dumps(found.as_dict()))["row"] == row


@settings(max_examples=15, deadline=None)
@given(schedules(names=tuple(SIZES)), st.data())
def test_equals_a_recount_of_what_the_devices_got(stores, schedule, data):
    start = data.draw(st.integers(0, schedule.total_rows // 2))
    stop = start + (schedule.total_rows - start) // 8 * 8
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2, 1), ("data", "fsdp", "tensor"))
    rows = Rows(schedule, stores, LENGTH, seed=1)
    delivered = (
        batch.component for batch in batches(rows, batch_sharding(mesh), evenly(8, start, stop), 0)
    )
    counts = ledger.recount(schedule, delivered)
    before = ledger.ledger(schedule, stores, LENGTH, start)
    after = ledger.ledger(schedule, stores, LENGTH, stop)
    trained = [b.tokens - a.tokens for a, b in zip(before.components, after.components)]
    assert (counts * LENGTH == trained).all()
    again = ledger.ledger(schedule, stores, LENGTH, stop, schedule.counts(start) + counts)
    assert again == after


def test_epochs_are_told_before_training():
    schedule = Schedule(
        [Phase("1", {"a": 0.5, "b": 0.5}, 100), Phase("2", {"a": 1.0, "c": 0.0}, 50)]
    )
    assert ledger.epochs(schedule, {"a": 40, "b": 100, "c": 0}) == {"a": 2.5, "b": 0.5}
    assert ledger.epochs(schedule, {"a": 40}, row=100) == {"a": 1.25}
    found = ledger.warnings({"a": 2.5, "b": 0.5, "c": 4.0, "d": 2.0}, limit=2)
    assert [sentence.split()[0] for sentence in found] == ["c", "a"]
    assert "c is read 4.0 times, more than 2:" in found[0]


def test_a_store_shorter_than_a_row_has_no_epochs(stores):
    schedule = Schedule([Phase("1", {"en": 1.0, "th": 0.0}, 10)])
    en, th = ledger.ledger(schedule, stores, 64, 10).components
    assert en.epochs == pytest.approx(10 / 3) and (th.stored_rows, th.epochs) == (0, None)
