"""What a run consists of, and that every mistake in it is one sentence, at once."""

import dataclasses

import numpy as np
import pytest

from polylm_jax.data.mixture.row_ranges import NONE
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.optimizer import OptimizerConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.identity import fingerprint
from polylm_jax.training.phases import PhaseConfig

MODEL = PolyLMConfig(
    num_layers=1, embed_dim=16, num_heads=8, mlp_dim=32, vocab_size=512, max_length=16
)
BEFORE = {"en": 0.75, "th": 0.25}
AFTER = {"en": 0.25, "th": 0.75}
PHASES = (
    PhaseConfig(BEFORE, steps=10, warmup_steps=4, name="one"),
    PhaseConfig(AFTER, tokens=16 * 101, ramp_tokens=160, rate="hold", name="two"),
)


def experiment(**changes):
    values = {
        "model": MODEL,
        "phases": PHASES,
        "vocabulary": "no/such/file.model",
        "cache_dir": "no/such/folder",
        "sequence_length": 16,
        "batch_size": 8,
    }
    return Experiment(**(values | changes))


def resolved(**changes):
    return experiment(**changes).resolve(open_stores=False)


def phase(**changes):
    return PhaseConfig(**({"mixture": BEFORE, "steps": 10, "warmup_steps": 4} | changes))


def model(**changes):
    return dataclasses.replace(MODEL, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sequence_length": 32}, r"sequence_length = 32 .* max_length = 16"),
        ({"sequence_length": 0}, "sequence_length = 0"),
        ({"batch_size": 12}, r"batch_size = 12 does not divide"),
        ({"microbatches": 2}, r"batch_size = 8 does not divide"),
        ({"mesh": MeshConfig(3)}, "mesh 3x1x1 does not fit 8 devices"),
        ({"mesh": MeshConfig(1, 1, 8), "model": model(num_heads=4)}, "num_heads = 4"),
        ({"mesh": MeshConfig(1, 1, 8), "model": model(vocab_size=513)}, "vocab_size = 513"),
        ({"model": model(num_heads=3)}, "embed_dim = 16 does not divide"),
        ({"model": model(attention="flsh")}, "attention = 'flsh'"),
        ({"optimizer": OptimizerConfig(b1=1.5)}, "b1 = 1.5"),
        ({"phases": ()}, "phases is empty"),
        ({"phases": [phase(steps=None)]}, "'1' has tokens = None and steps = None"),
        ({"phases": [phase(tokens=5)]}, "'1' has tokens = 5 and steps = 10"),
        ({"phases": [phase(steps=0)]}, "steps = 0"),
        ({"phases": [phase(ramp_steps=5)]}, "no phase comes before the first"),
        ({"phases": [phase(), phase(ramp_steps=5, ramp_tokens=5)]}, "ramp_tokens = 5"),
        ({"phases": [phase(), phase(ramp_steps=11)]}, "ramp_rows is 88"),
        ({"phases": [phase(warmup_steps=11)]}, "warmup_steps = 11 is longer than the 10 steps"),
        ({"phases": [phase(rate="hold")]}, "the first learning rate phase is 'hold'"),
        ({"phases": [phase(rate="warm")]}, "policy = 'warm' is not one of"),
        ({"phases": [phase(mixture={"en": 1.2})]}, "sum to 1.2"),
        ({"phases": [phase(mixture={"en": 1.2, "th": -0.2})]}, "the share of 'th' is -0.2"),
        ({"phases": [phase(steps=None, tokens=16 * 7)]}, "7 rows and batch_size = 8"),
    ],
)
def test_a_mistake_is_one_sentence(changes, sentence):
    with pytest.raises(InputError, match=sentence) as refusal:
        resolved(**changes)
    assert "\n" not in str(refusal.value)


def test_phases_are_rows_and_the_run_is_whole_steps():
    run = resolved()
    assert [phase.rows for phase in run.schedule.phases] == [80, 101]
    assert run.schedule.phases[1].ramp_rows == 10
    assert run.total_steps == 22  # of 181 rows, five are left out
    ahead = [run.going_on(20, row, NONE).total_steps - 20 for row in (160, 181, 1000)]
    assert ahead == [2, 0, 0]


def test_a_step_has_the_learning_rate_of_its_first_row():
    phases = [phase(steps=None, tokens=16 * 20), phase(warmup_steps=0, peak_learning_rate=0.5)]
    run = resolved(phases=[dataclasses.replace(phases[0], warmup_steps=1), phases[1]])
    assert [rate.steps for rate in run.rates] == [3, 10]  # rows 16 to 23 are begun in phase one
    rates = [float(run.learning_rate()(step)) for step in range(4)]
    assert rates[2] < 1e-4
    assert rates[3] == pytest.approx(0.5)


def test_the_second_phase_holds_a_tenth_of_the_peak():
    run = resolved()
    rates = np.array([float(run.learning_rate()(step)) for step in range(run.total_steps)])
    assert rates[0] == pytest.approx(1e-7)
    assert rates.argmax() == 4
    np.testing.assert_allclose(rates[10:], 1e-5, rtol=1e-6)


def test_another_batch_size_goes_on_at_the_same_row():
    def of_batch(batch_size):
        return resolved(batch_size=batch_size, phases=[phase(steps=None, tokens=16 * 160)])

    before, after = of_batch(8), of_batch(16)
    # Ten steps of 8 rows are half the run, five of ten steps of 16.
    half, whole = after.going_on(10, 80, NONE).learning_rate(), after.learning_rate()
    assert float(half(10)) == pytest.approx(float(whole(5)))
    assert fingerprint(before) | {"batch_size": 16} == fingerprint(after)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"sequence_length": 8}, "sequence_length"),
        ({"model": model(num_layers=2)}, "model"),
        ({"optimizer": OptimizerConfig(weight_decay=0.0)}, "optimizer"),
        ({"phases": PHASES[:1]}, "schedule"),
        ({"phases": [phase(peak_learning_rate=1.0), PHASES[1]]}, "learning_rate"),
    ],
)
def test_the_fingerprint_tells_what_decides_the_numbers(changes, name):
    assert fingerprint(resolved())[name] != fingerprint(resolved(**changes))[name]


def test_the_fingerprint_leaves_out_what_does_not():
    free = {
        "model": model(remat="none", attention="reference"),
        "mesh": MeshConfig(2, 2, 2),
        "num_chunks": 4,
        "cache_dir": "elsewhere",
        "phases": [dataclasses.replace(config, name="") for config in PHASES],
    }
    assert fingerprint(resolved()) == fingerprint(resolved(**free))


def test_a_plan_for_other_machines_needs_no_devices():
    plan = experiment(mesh=MeshConfig(4, 4, 8), batch_size=16)
    with pytest.raises(InputError, match="does not fit 8 devices"):
        plan.resolve(open_stores=False)
    assert plan.planned_devices() == 128
    assert plan.resolve(open_stores=False, num_devices=128).mesh_shape == (4, 4, 8)
    assert experiment(mesh=MeshConfig(fsdp=4)).planned_devices() == 4
