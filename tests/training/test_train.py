"""The run: its numbers the same on any mesh and through any interruption, its folder complete."""

import json
import shutil
import signal
import threading

import numpy as np
import pytest
import toy_run

from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.data import rows
from polylm_jax.errors import InputError
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import metrics, programs
from polylm_jax.training.phases import PhaseConfig

pytest_plugins = ["toy_fixture"]

STEPS = 12
SHORT = {"phases": toy_run.phases(6, 6, 4)}


@pytest.fixture(scope="module")
def unbroken(toy_folder, tmp_path_factory):
    """The whole run: validation every 4 steps, a report every 2, saves every 5."""
    model_dir = tmp_path_factory.mktemp("unbroken")
    toy_run.run(
        toy_folder, model_dir, SHORT, save_every_steps=5, eval_every_steps=4, log_every_steps=1,
        keep_last=10, recipe="SEED = 0  # ภาษาไทย",
    )  # fmt: skip
    return model_dir


def lines(model_dir, name):
    return [json.loads(line) for line in (model_dir / name).read_text().splitlines()]


def test_a_run_leaves_all_that_it_should(unbroken):
    assert (unbroken / "config.gin").read_text() == "SEED = 0  # ภาษาไทย"
    assert {int(path.name) for path in (unbroken / "checkpoints").iterdir()} == {5, 10, 12}
    assert [event["step"] for event in toy_run.events(unbroken, "commit")] == [5, 10, 12]
    assert [line["step"] for line in lines(unbroken, "metrics.jsonl")] == list(range(1, 13))
    assert [line["step"] for line in lines(unbroken, "validation.jsonl")] == [0, 4, 8, 12]
    assert [line["step"] for line in lines(unbroken, "ledger.jsonl")] == [5, 10, 12]
    progress = read_progress(str(unbroken))
    assert (progress.step, progress.rows, progress.phase) == (12, 96, "two")
    assert progress.fingerprint == json.loads((unbroken / "fingerprint.json").read_text())


def test_a_report_has_what_a_user_looks_for(unbroken):
    line = lines(unbroken, "metrics.jsonl")[-1]
    assert line["loss_by_language"].keys() == {"en", "th", "en-th"}
    assert line["tokens"] == 12 * 8 * toy_run.LENGTH
    for name in ("loss", "learning_rate", "grad_norm", "tokens_per_second", "seconds"):
        assert line[name], name
    assert line["phase"] == "two"


def test_the_ledger_counts_what_the_devices_were_given(unbroken, toy_folder):
    rows = toy_run.experiment(toy_folder, **SHORT).resolve().rows
    for line in lines(unbroken, "ledger.jsonl"):
        _, component = rows.read(np.arange(line["rows"]))
        counts = np.bincount(component, minlength=len(rows.schedule.components))
        told = [line["components"][name]["tokens"] for name in rows.schedule.components]
        assert told == (counts * toy_run.LENGTH).tolist()
        assert sum(told) == line["rows"] * toy_run.LENGTH
        for name, number in zip(rows.schedule.components, counts.tolist()):
            book = line["components"][name]
            assert abs(book["tokens"] - book["planned_tokens"]) < 2 * toy_run.LENGTH
            assert book["epochs"] == number / rows.num_rows(name)
    assert line["languages"].keys() >= {"en", "th"}


def test_the_loss_falls_and_so_do_bits_per_byte(unbroken):
    assert (
        lines(unbroken, "metrics.jsonl")[-1]["loss"] < lines(unbroken, "metrics.jsonl")[0]["loss"]
    )
    first, *_, last = lines(unbroken, "validation.jsonl")
    assert last["bits_per_byte"].keys() == {"en", "th", "en-th"}
    for language, bits in last["bits_per_byte"].items():
        assert bits < first["bits_per_byte"][language]


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1), (1, 1, 8)])
def test_any_mesh_has_the_same_losses(shape, unbroken, toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path, SHORT | {"mesh": MeshConfig(*shape)})
    here, there = toy_run.losses(tmp_path), toy_run.losses(unbroken)
    np.testing.assert_allclose(list(here.values()), list(there.values()), rtol=1e-5)


def interrupt_after(monkeypatch, step, action):
    """Does something once the metrics of a step were fetched."""
    real = metrics.Window.add

    def add(window, at, fetched):
        real(window, at, fetched)
        if at == step:
            action()

    monkeypatch.setattr(metrics.Window, "add", add)


def test_after_sigterm_the_next_start_ends_bitwise_the_same(
    unbroken,
    toy_folder,
    tmp_path,
    monkeypatch,
):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(SystemExit) as leaving:
            toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100)
    assert leaving.value.code == 143
    assert read_progress(str(tmp_path)).step in (7, 8)
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100, recipe="again")
    assert (tmp_path / "config.1.gin").read_text() == "again"
    assert toy_run.losses(tmp_path) == toy_run.losses(unbroken)
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, tmp_path), toy_run.final_state(toy_folder, unbroken)
    )


class Crash(Exception):
    pass


def crash():
    raise Crash


def test_after_a_crash_no_step_is_logged_twice(
    unbroken,
    toy_folder,
    tmp_path,
    monkeypatch,
):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 9, crash)
        with pytest.raises(Crash):
            toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=5, eval_every_steps=4)
    toy_run.run(
        toy_folder, tmp_path, SHORT | {"mesh": MeshConfig(1, 8, 1)}, save_every_steps=5,
        eval_every_steps=4,
    )  # fmt: skip
    again = toy_run.events(tmp_path, "start")[1]
    assert (again["step"], again["reached"]) == (5, 8)
    assert [line["step"] for line in lines(tmp_path, "metrics.jsonl")] == list(range(1, 13))
    assert [line["step"] for line in lines(tmp_path, "validation.jsonl")] == [0, 4, 8, 12]
    assert lines(tmp_path, "ledger.jsonl")[-1] == lines(unbroken, "ledger.jsonl")[-1]
    np.testing.assert_allclose(
        list(toy_run.losses(tmp_path).values()), list(toy_run.losses(unbroken).values()), rtol=1e-5
    )


def test_a_run_that_is_done_stays_done(unbroken, toy_folder, monkeypatch):
    monkeypatch.setattr(programs.Programs, "lower_step", crash)
    before = (unbroken / "metrics.jsonl").read_bytes()
    toy_run.run(toy_folder, unbroken, SHORT, save_every_steps=5, eval_every_steps=4, keep_last=10)
    assert (unbroken / "metrics.jsonl").read_bytes() == before


def test_another_run_starts_from_the_parameters_alone(
    unbroken,
    toy_folder,
    tmp_path,
):
    toy_run.run(
        toy_folder, tmp_path, SHORT, init_from=str(unbroken), init_step=10, eval_every_steps=12
    )
    start, _ = lines(tmp_path, "validation.jsonl")
    scores = {line["step"]: line for line in lines(unbroken, "validation.jsonl")}
    average = start["average_bits_per_byte"]
    assert scores[12]["average_bits_per_byte"] < average < scores[8]["average_bits_per_byte"]
    assert read_progress(str(tmp_path)).rows == 96
    rates = [line["learning_rate"] for line in lines(tmp_path, "metrics.jsonl")]
    assert rates[0] == pytest.approx(1e-7)  # warmed again


def test_another_batch_size_reads_on_where_the_rows_are(
    toy_folder,
    tmp_path,
    monkeypatch,
):
    tokens = {"phases": toy_run.in_tokens(SHORT["phases"])}
    read = []
    real = rows.Rows.read

    def recorded(rows, numbers):
        read.extend(numbers.tolist())
        return real(rows, numbers)

    monkeypatch.setattr(rows.Rows, "read", recorded)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(SystemExit):
            toy_run.run(toy_folder, tmp_path, tokens, save_every_steps=100)
    before = read_progress(str(tmp_path))
    read.clear()
    toy_run.run(toy_folder, tmp_path, tokens | {"batch_size": 16}, save_every_steps=100)
    after = read_progress(str(tmp_path))
    steps = (96 - before.rows) // 16
    assert (after.step, after.rows) == (before.step + steps, before.rows + 16 * steps)
    assert sorted(set(read)) == list(range(before.rows, after.rows))
    (changed,) = toy_run.events(tmp_path, "start")[1]["changes"]
    assert changed == "batch_size: 8 -> 16"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"model": toy_run.model(num_layers=2)}, "model.num_layers: 1 -> 2"),
        ({"phases": toy_run.phases(6, 7, 4)}, "schedule.phases.1.rows: 48 -> 56"),
    ],
)
def test_a_changed_recipe_is_refused_by_name(
    changes,
    sentence,
    unbroken,
    toy_folder,
):
    with pytest.raises(InputError, match=sentence):
        toy_run.run(toy_folder, unbroken, SHORT | changes)


def test_a_change_that_is_meant_goes_on(unbroken, toy_folder, tmp_path):
    shutil.copytree(unbroken, tmp_path / "copy")
    longer = {"phases": toy_run.phases(6, 8, 4)}
    toy_run.run(toy_folder, tmp_path / "copy", longer, allow_changes=True)
    assert read_progress(str(tmp_path / "copy")).step == 14
    assert len(toy_run.losses(tmp_path / "copy")) == 14


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"save_every_steps": 0}, "save_every_steps = 0"),
        ({"log_every_steps": 0}, "log_every_steps = 0"),
        ({"keep_last": 0}, "keep_last = 0"),
        ({"init_from": "no/such/run"}, "no/such/run has no 'checkpoints' folder"),
    ],
)
def test_a_bad_setting_is_one_sentence(settings, sentence, toy_folder, tmp_path):
    with pytest.raises(InputError, match=sentence):
        toy_run.run(toy_folder, tmp_path, SHORT, **settings)


def test_trains_in_a_thread(toy_folder, tmp_path):
    thread = threading.Thread(target=toy_run.run, args=(toy_folder, tmp_path, SHORT))
    thread.start()
    thread.join()
    assert read_progress(str(tmp_path)).step == STEPS


def test_stops_before_saving_what_is_not_a_number(
    toy_folder,
    tmp_path,
    monkeypatch,
):
    real = metrics.fetch
    monkeypatch.setattr(metrics, "fetch", lambda m: real(m) | {"loss": np.float32("inf")})
    with pytest.raises(FloatingPointError, match="step 1"):
        toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=1)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_step_has_the_phase_and_rate_of_its_first_row(toy_folder, tmp_path):
    """Step 5 has four rows of each phase; the log said the second one, at the first one's rate."""
    row = toy_run.LENGTH
    shares = {"toy.en": 1.0}
    phases = [
        PhaseConfig(shares, tokens=36 * row, name="one", warmup_steps=1, peak_learning_rate=1e-2),
        PhaseConfig(shares, tokens=28 * row, name="two", warmup_steps=0, peak_learning_rate=5e-2),
    ]
    toy_run.run(toy_folder, tmp_path, {"phases": phases})
    found = lines(tmp_path, "metrics.jsonl")
    logged = [(line["step"], line["phase"], line["learning_rate"] > 1.1e-2) for line in found]
    first, second = ("one", False), ("two", True)
    wanted = [first] * 5 + [second] * 3
    assert logged == [(step, *pair) for step, pair in enumerate(wanted, start=1)]
