"""The exact rows under t5x: our batches, their resume, their parts on several hosts."""

import dataclasses
import types

import numpy as np
import pytest
import toy_run
from toy_fixture import toy_folder  # noqa: F401
from toy_stores import evenly

from polylm_jax.data import batches as data
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.errors import InputError
from polylm_jax.model.partitioning import MeshConfig, batch_sharding, make_mesh
from polylm_jax.training.t5x import rows as t5x_rows


@pytest.fixture(scope="module")
def rows(toy_folder):  # noqa: F811
    return toy_run.experiment(toy_folder).resolve().rows


@pytest.fixture
def steps(rows):
    return Steps(rows.schedule.boundaries, (8, 8))


def test_the_batches_are_those_of_our_trainer(rows, steps):
    ours = data.batches(rows, batch_sharding(make_mesh(MeshConfig())), evenly(8, 0, 80), 0)
    theirs = t5x_rows.RowIterator(rows, steps)
    for batch in ours:
        found = next(theirs)
        tokens = np.asarray(batch.tokens)
        np.testing.assert_array_equal(found["decoder_input_tokens"], tokens[:, :-1])
        np.testing.assert_array_equal(found["decoder_target_tokens"], tokens[:, 1:])
        assert found["decoder_loss_weights"].all()
        assert {n: x.shape for n, x in found.items()} == {
            n: spec.shape for n, spec in theirs.element_spec.items()
        }


def test_hosts_share_a_batch(rows, steps):
    whole = next(t5x_rows.RowIterator(rows, steps))
    parts = [next(t5x_rows.RowIterator(rows, steps, host, 4)) for host in range(4)]
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_a_resume_reads_on_and_the_run_has_an_end(rows, steps, tmp_path):
    first = t5x_rows.RowIterator(rows, steps)
    batches = [batch["decoder_input_tokens"] for batch in [next(first) for _ in range(7)]]
    first.save(tmp_path / "place")
    second = t5x_rows.RowIterator(rows, steps)
    second.restore(tmp_path / "place")
    np.testing.assert_array_equal(
        next(second)["decoder_input_tokens"], next(first)["decoder_input_tokens"]
    )
    first.reset()
    np.testing.assert_array_equal(next(first)["decoder_input_tokens"], batches[0])
    assert sum(1 for _ in first) == rows.schedule.total_rows // 8 - 1


def test_rows_that_are_left_out_are_not_read(rows, steps, tmp_path):
    skipping = dataclasses.replace(steps, skipped=RowRanges(((20, 37),)))
    ours = data.batches(rows, batch_sharding(make_mesh(MeshConfig())), skipping, 0)
    theirs = t5x_rows.RowIterator(rows, skipping)
    for number, batch in zip(range(6), ours, strict=False):
        if number == 4:  # past the range: the place is a row, whatever the step is called
            theirs.save(tmp_path / "place")
            theirs = t5x_rows.RowIterator(rows, skipping)
            theirs.restore(tmp_path / "place")
        found = next(theirs)["decoder_target_tokens"]
        np.testing.assert_array_equal(found, np.asarray(batch.tokens)[:, 1:])
    ours.close()
    assert sum(1 for _ in theirs) == (rows.schedule.total_rows - 17) // 8 - 6


def test_a_place_of_another_schedule_is_refused(rows, steps, toy_folder, tmp_path):  # noqa: F811
    t5x_rows.RowIterator(rows, steps).save(tmp_path / "place")
    other = toy_run.experiment(toy_folder, phases=toy_run.halves(30)).resolve().rows
    with pytest.raises(InputError, match="another schedule"):
        t5x_rows.RowIterator(other, steps).restore(tmp_path / "place")


@pytest.mark.parametrize(("batch", "length", "hosts", "what"), [
    (4, 16, 1, "BATCH_SIZE = 4"), (8, 32, 1, "TASK_FEATURE_LENGTHS"), (8, 16, 3, "3 hosts"),
])  # fmt: skip
def test_what_does_not_fit_the_run_is_refused(toy_folder, batch, length, hosts, what):  # noqa: F811
    config = types.SimpleNamespace(batch_size=batch, task_feature_lengths={"targets": length})
    with pytest.raises(InputError, match=what):
        t5x_rows.rows_dataset(config, 0, hosts, experiment=toy_run.experiment(toy_folder))
