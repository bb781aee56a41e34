"""A stretch of rows that a recipe leaves out: what follows it, its learning rates, a resume."""

import dataclasses
import json

import numpy as np
import pytest
import toy_run

from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.data.rows import Rows
from polylm_jax.errors import InputError
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import identity

pytest_plugins = ["toy_fixture"]

STEPS = 24
PLAIN = {"phases": toy_run.halves(STEPS), "mesh": MeshConfig(8, 1, 1)}
RANGE = (50, 83)  # 33 rows, within step 6 and within step 10, in the ramp: nothing is whole
SKIPPING = PLAIN | {"skip_rows": [RANGE]}
LEFT = (STEPS * 8 - 33) // 8


@pytest.fixture
def read(monkeypatch):
    """The rows that are read."""
    found, real = set(), Rows.read

    def recorded(rows, numbers):
        found.update(numbers.tolist())
        return real(rows, numbers)

    monkeypatch.setattr(Rows, "read", recorded)
    return found


def lines(model_dir, name):
    return [json.loads(line) for line in (model_dir / name).read_text().splitlines()]


def run(folder, model_dir, changes, **settings):
    toy_run.run(folder, model_dir, changes, save_every_steps=4, keep_last=99, **settings)


@pytest.fixture(scope="module")
def whole(toy_folder, tmp_path_factory):
    """The run that never was stopped, and its state at the end."""
    place = tmp_path_factory.mktemp("skip") / "run"
    run(toy_folder, place, SKIPPING)
    return place, toy_run.final_state(toy_folder, place, **SKIPPING)


def test_rows_continue_after_the_range_and_are_counted(toy_folder, whole):
    place, _ = whole
    progress = read_progress(str(place))
    assert (progress.step, progress.rows) == (LEFT, LEFT * 8 + 33)
    last = lines(place, "metrics.jsonl")[-1]
    assert (last["rows"], last["tokens"]) == (progress.rows, LEFT * 8 * toy_run.LENGTH)
    resolved = toy_run.experiment(toy_folder, **SKIPPING).resolve()
    component, _ = resolved.schedule.rows(0, progress.rows)
    kept = np.r_[0 : RANGE[0], RANGE[1] : progress.rows]
    ledger = toy_run.ledger(place)["components"]
    for number, name in enumerate(resolved.schedule.components):
        told = ledger[name]
        assert told["tokens"] == (component[kept] == number).sum() * toy_run.LENGTH
        assert told["skipped_tokens"] == (component[slice(*RANGE)] == number).sum() * toy_run.LENGTH
    assert sum(one["skipped_tokens"] for one in ledger.values()) == 33 * toy_run.LENGTH
    assert progress.fingerprint["skip_rows"] == [list(RANGE)]


def test_a_rate_belongs_to_a_place_in_the_data(toy_folder, whole):
    resolved = toy_run.experiment(toy_folder, **PLAIN).resolve()
    plain = resolved.learning_rate()
    told = {line["step"] - 1: line["learning_rate"] for line in lines(whole[0], "metrics.jsonl")}
    for step in range(LEFT):
        pace = step if step < 7 else step + 33 / 8
        assert told[step] == pytest.approx(float(plain(pace)), rel=1e-6)
    phases = {line["step"] - 1: line["phase"] for line in lines(whole[0], "metrics.jsonl")}
    # its first row is 97, the first after 96
    assert next(step for step in phases if phases[step] == "two") == 8


def test_a_resume_ends_with_the_same_bits(toy_folder, whole, read):
    """Past the range; the next test goes on from before it."""
    place, state = whole
    toy_run.lose_after(place, 8)
    run(toy_folder, place, SKIPPING)
    toy_run.assert_bitwise_equal(toy_run.final_state(toy_folder, place, **SKIPPING), state)
    assert read == set(range(8 * 8 + 33, LEFT * 8 + 33))
    assert [event["changes"] for event in toy_run.events(place, "start")] == [[], []]


def test_a_range_named_later_changes_only_what_comes(toy_folder, whole, tmp_path, read, capfd):
    run(toy_folder, tmp_path, PLAIN)
    toy_run.lose_after(tmp_path, 8)
    # At step 8, row 64: rows 50 to 63 of the range are past.
    read.clear()
    run(toy_folder, tmp_path, SKIPPING)
    assert min(read) == 83 and len(read) == 13 * 8
    past, ahead = toy_run.events(tmp_path, "start")[-1]["changes"]
    assert "rows 50 to 63 were trained on before they were named" in past
    assert ahead == "SKIP_ROWS: rows 64 to 82 will be left out"
    assert ahead in capfd.readouterr().out
    assert read_progress(str(tmp_path)).fingerprint["skip_rows"] == [[64, 83]]
    skipped = toy_run.ledger(tmp_path)["components"].values()
    assert sum(one["skipped_tokens"] for one in skipped) == 19 * toy_run.LENGTH
    # Gone back to before it, as the sentence says, it is the run that never read them.
    toy_run.lose_after(tmp_path, 4)
    run(toy_folder, tmp_path, SKIPPING)
    _, state = whole
    toy_run.assert_bitwise_equal(toy_run.final_state(toy_folder, tmp_path, **SKIPPING), state)


def test_what_is_not_left_out_leaves_no_trace(toy_folder):
    plain, empty = (
        toy_run.experiment(toy_folder, **PLAIN, skip_rows=ranges).resolve() for ranges in ((), [])
    )
    assert identity.fingerprint(plain) == identity.fingerprint(empty)
    assert "skip_rows" not in identity.fingerprint(plain)
    assert plain.steps.offsets == ((0, 0),)
    everything = toy_run.experiment(toy_folder, **PLAIN, skip_rows=[(3, 191)])
    with pytest.raises(InputError, match="the run has 4 rows and batch_size = 8.*skip fewer rows"):
        everything.resolve()
    with pytest.raises(
        InputError, match=r"SKIP_ROWS\[0\] = \(190, 200\).*the nearest is \(190, 192\)"
    ):
        dataclasses.replace(everything, skip_rows=[(190, 200)]).resolve()
