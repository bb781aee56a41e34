"""A run whose phases have batches of their own: the same rows, counted right, resumed exactly."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import toy_run

from polylm_jax.ablation import plans, records
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.variants import Run
from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.data.rows import Rows
from polylm_jax.errors import InputError
from polylm_jax.training import inspection, programs
from polylm_jax.training.identity import fingerprint
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.planning import plan_view, report

pytest_plugins = ["toy_fixture"]

ROWS = 30, 66  # the first phase ends within a batch of 4
FIRST, SECOND = toy_run.halves(24)
RAMP = {
    "phases": [
        PhaseConfig(
            FIRST.mixture, tokens=ROWS[0] * toy_run.LENGTH, name="small", batch_size=4,
            warmup_steps=4, peak_learning_rate=1e-2,
        ),
        PhaseConfig(SECOND.mixture, tokens=ROWS[1] * toy_run.LENGTH, name="large", rate="hold"),
    ]
}  # fmt: skip
SMALL, LARGE = 8, 8  # steps of 4 rows, to row 32, and of 8, to row 96


def lines(model_dir):
    text = (model_dir / "metrics.jsonl").read_text()
    return {line["step"]: line for line in map(json.loads, text.splitlines())}


@pytest.fixture(scope="module")
def whole(toy_folder, tmp_path_factory):
    """(MODEL_DIR of the run, its last state, the rows it read, the batches it compiled for)."""
    place = tmp_path_factory.mktemp("ramp") / "run"
    read, sizes, compile_, real = [], [], programs.Programs.compile_step, Rows.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rows, "read", lambda rows, n: read.extend(n.tolist()) or real(rows, n))
        patch.setattr(
            programs.Programs,
            "compile_step",
            lambda p, size: sizes.append(size) or compile_(p, size),
        )
        toy_run.run(toy_folder, place, RAMP, save_every_steps=3, keep_last=9)
    return place, toy_run.final_state(toy_folder, place, **RAMP), read, sizes


def test_a_growing_batch_reads_the_same_rows(whole):
    place, _, read, sizes = whole
    assert sorted(read) == list(range(96)) and sizes == [4, 8]
    progress = read_progress(str(place))
    assert (progress.step, progress.rows) == (SMALL + LARGE, 96)


def test_what_is_counted_is_what_was_trained_on(toy_folder, whole):
    told = lines(whole[0])
    for step, line in told.items():
        rows = 4 * min(step, SMALL) + 8 * max(step - SMALL, 0)
        assert (line["rows"], line["tokens"]) == (rows, rows * toy_run.LENGTH)
        assert line["phase"] == ("small" if step <= SMALL else "large")
    ledger = toy_run.ledger(whole[0])
    assert sum(one["tokens"] for one in ledger["components"].values()) == 96 * toy_run.LENGTH


def test_rates_count_the_steps_of_their_phase(toy_folder, whole):
    resolved = toy_run.experiment(toy_folder, **RAMP).resolve()
    assert [rate.steps for rate in resolved.rates] == [SMALL, LARGE]
    rate = resolved.learning_rate()
    told = [line["learning_rate"] for line in lines(whole[0]).values()]
    np.testing.assert_allclose(told, [float(rate(step)) for step in range(16)], rtol=1e-6)
    assert told[3] < told[4] == max(told) and told[SMALL:] == [pytest.approx(1e-3)] * LARGE


def test_a_resume_across_the_change_is_exact(toy_folder, whole):
    place, state, *_ = whole
    before = {step: line["loss"] for step, line in lines(place).items()}
    toy_run.lose_after(place, 6)
    toy_run.run(toy_folder, place, RAMP, save_every_steps=3, keep_last=9)
    toy_run.assert_bitwise_equal(toy_run.final_state(toy_folder, place, **RAMP), state)
    assert toy_run.losses(place) == before
    assert [event["changes"] for event in toy_run.events(place, "start")] == [[], []]


def test_a_run_goes_on_with_other_batches_where_it_stands(toy_folder, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    toy_run.lose_after(tmp_path / "run", 9)  # row 40, past the change
    plain = {"phases": [dataclasses.replace(p, batch_size=None) for p in RAMP["phases"]]}
    toy_run.run(toy_folder, tmp_path / "run", plain, save_every_steps=9)
    progress = read_progress(str(tmp_path / "run"))
    assert (progress.step, progress.rows) == (9 + 7, 96)
    changes = toy_run.events(tmp_path / "run", "start")[-1]["changes"]
    assert changes == ["batch_sizes.0: 4 -> absent", "batch_sizes.1: 8 -> absent"]


def test_the_fingerprint_says_it_only_where_it_is_used(toy_folder):
    one = toy_run.experiment(toy_folder, **RAMP).resolve()
    alike = [dataclasses.replace(p, batch_size=8) for p in RAMP["phases"]]
    same = toy_run.experiment(toy_folder, phases=alike).resolve()
    none = [dataclasses.replace(p, batch_size=None) for p in RAMP["phases"]]
    plain = toy_run.experiment(toy_folder, phases=none).resolve()
    assert fingerprint(one) == fingerprint(plain) | {"batch_sizes": [4, 8]}
    assert fingerprint(same) == fingerprint(plain) and "batch_sizes" not in fingerprint(plain)


def test_inspect_shows_it(toy_folder, tmp_path, capsys):
    one = toy_run.experiment(toy_folder, **RAMP)
    inspection.inspect(one, json_path=str(tmp_path / "report.json"), step=10)
    told = json.loads((tmp_path / "report.json").read_text())
    assert [(p["batch_size"], p["first_step"], p["steps"]) for p in told["phases"]] == [
        (4, 0, SMALL),
        (8, SMALL, LARGE),
    ]
    assert (told["run"]["steps"], told["run"]["tokens"]) == (16, 96 * toy_run.LENGTH)
    assert told["ledger"]["row"] == 48
    assert "4 then 8 rows of 16 tokens" in capsys.readouterr().out


def test_a_plan_is_of_the_largest_batch(toy_folder):
    setting = report.setting(toy_run.experiment(toy_folder, **RAMP).resolve(False))
    assert (setting["batch_size"], setting["batch_sizes"]) == (8, [4, 8])
    shown = plan_view._rows(setting)
    assert shown == "8 rows of 16, the largest of its batches (4, 8)"


def test_an_ablation_counts_its_tokens(toy_folder):
    plan = Plan(Run("ramp", 0), "train", toy_run.experiment(toy_folder, **RAMP).resolve(), "")
    assert plan.tokens == 96 * toy_run.LENGTH
    record = records.Record(plan.run, 16, plan.tokens_per_step, [], [], [], [], [], {})
    for step in range(17):
        rows = 4 * min(step, SMALL) + 8 * max(step - SMALL, 0)
        assert record.tokens_at(step) == rows * toy_run.LENGTH
        assert record.step_at(rows * toy_run.LENGTH) == step
    whole = toy_run.experiment(toy_folder).resolve()
    assert plans.Plan(plan.run, "train", whole, "").tokens_per_step == 8 * toy_run.LENGTH


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (6, "phase 'small': batch_size = 6 does not divide over microbatches x data x fsdp = 4"),
        (0, "phase 'small': batch_size = 0: give 1 or more"),
        (128, "the run has 96 rows and batch_size = 128"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(toy_folder, size, sentence):
    first = dataclasses.replace(RAMP["phases"][0], batch_size=size)
    with pytest.raises(InputError, match=sentence):
        toy_run.experiment(toy_folder, phases=[first, RAMP["phases"][1]]).resolve()


def test_t5x_says_that_it_has_one_size(toy_folder):
    rows = pytest.importorskip("polylm_jax.training.t5x.rows")
    with pytest.raises(InputError, match=r"steps of \(4, 8\) rows, and t5x has one BATCH_SIZE, 8"):
        rows.one_batch_size(toy_run.experiment(toy_folder, **RAMP))
