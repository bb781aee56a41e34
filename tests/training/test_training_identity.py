"""What decides a run's numbers is in its fingerprint: each field is varied alone, and all that a step gets compared.

That is its compiled program's text, the initial parameters (their program's text, or the values of a
checkpoint), the rows and the learning rates: where these are the same, so is every number.
"""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
import toy_hf
import toy_run

from polylm_jax.checkpoints.param_store import open_params
from polylm_jax.model import parameters
from polylm_jax.model.averaging import Average
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.model.splash import SplashBlocks
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.identity import fingerprint
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.programs import Programs

pytest_plugins = ["toy_fixture"]

ONE, TWO = toy_run.phases(2, 2, 1)
ONE = dataclasses.replace(ONE, warmup_steps=1, start_learning_rate=1e-3)
MODEL = dataclasses.replace(toy_run.MODEL, num_heads=2)

DECIDES = {  # field -> another value of it, with which the steps have other numbers
    "sequence_length": 8,
    "batch_size": 16,
    "seed": 1,
    "skip_rows": [(3, 10)],
    "repeat_as_tokens": 40 * 4 * 8 * toy_run.LENGTH,
    "z_loss": 0.1,
    "average": Average(steps=3),
    "init_from": "other",
    "init_step": 4,
    "model.num_layers": 2,
    "model.embed_dim": 32,
    "model.num_heads": 4,
    "model.mlp_dim": 48,
    "model.vocab_size": 304,
    "model.max_length": 24,
    "model.dtype": "bfloat16",
    "model.residual_dtype": "bfloat16",
    "model.scan_layers": False,
    "model.embedding_init_std": 0.1,
    "model.gradient_dtype": "bfloat16",
    "optimizer.b1": 0.5,
    "optimizer.b2": 0.5,
    "optimizer.epsilon": 0.1,
    "optimizer.weight_decay": 0.5,
    "optimizer.clip_norm": 0.01,
    "phase.mixture": {"toy.en": 0.4, "toy.th": 0.6},
    "phase.steps": 1,
    "phase.ramp_steps": 2,
    "phase.rate": "continue",
    "phase.peak_learning_rate": 1e-1,
    "phase.start_learning_rate": 1e-2,
    "phase.warmup_steps": 0,
    "phase.final_fraction": 0.5,
    "phase.decay_steps": 2,
    "phase.decay_shape": "1-sqrt",
    "phase.batch_size": 16,
}
# What a field needs to have anything to decide: of the plain run and of the changed one.
WITH = {
    "model.gradient_dtype": {"model.dtype": "bfloat16"},
    "phase.decay_steps": {"phase.rate": "hold"},
    "phase.decay_shape": {"phase.rate": "decay"},
}
ROUNDING = {  # how the same numbers are summed; tests of the step hold them to be the same
    "microbatches": 2,
    "num_chunks": 1,
    "vocab_blocks": 2,
    "mesh.data": 2,
    "mesh.fsdp": 2,
    "mesh.tensor": 2,
    "compiler_options": {"xla_embed_ir_in_executable": True},
    "model.remat": "full",
    "model.attention": "reference",
    "model.splash_blocks": SplashBlocks(128, 128, fused_backward=True),
}
NOTHING = {  # what no step sees
    "vocabulary": "the content counts, `vocabulary`",
    "cache_dir": "the content of the stores counts, `stores`",
    "tasks": "its stores count",
    "max_epochs": "a warning",
    "weights": "what validation scores; in the fingerprint, so that a log is of one kind",
    "max_bad": "how many bad lines a store may have; its content counts",
    "skip_non_finite": "an update that is finite is the same; without it a run ends at the first other",
    "mesh.num_slices": "where devices stand",
    "phase.tokens": "a length, as steps are: in rows",
    "phase.ramp_tokens": "a length, as ramp_steps are: in rows",
    "phase.name": "what the log says",
}
NESTED = {
    "model": PolyLMConfig,
    "optimizer": OptimizerConfig,
    "mesh": MeshConfig,
    "phase": PhaseConfig,
}


@pytest.fixture(scope="module")
def folder(toy_folder, tmp_path_factory):
    """The toy's, with checkpoints to start from: two steps of `one`, `other`, and `one` elsewhere."""
    place = tmp_path_factory.mktemp("starts")
    for name, scale, step in (("one", 0.1, 3), ("other", 0.2, 3), ("one", 0.3, 4)):
        toy_hf.checkpoint(place / name, f"{toy_folder}/toy.model", MODEL, scale, step)
    shutil.copytree(place / "one", place / "moved")
    return toy_folder, place


def experiment(folder, changes):
    """Four steps from checkpoint 3 of `one`, on one device, with `changes` by the names above."""
    (toy_folder, place), fields = folder, {"init_from": "one", "init_step": 3, "num_chunks": 2}
    parts = {"model": MODEL, "optimizer": OptimizerConfig(), "mesh": MeshConfig(1, 1, 1)}
    phases = [ONE, TWO]
    for name, value in changes.items():
        part, _, field = name.rpartition(".")
        if part == "phase":
            second = field in ("rate", "ramp_steps", "decay_steps", "decay_shape")
            phases[second] = dataclasses.replace(phases[second], **{field: value})
        elif part:
            parts[part] = dataclasses.replace(parts[part], **{field: value})
        else:
            fields[field] = value
    fields["init_from"] = str(place / fields["init_from"])
    return toy_run.experiment(toy_folder, phases=phases, **(parts | fields))


def given(one, name=""):
    """All that the steps of an experiment get; programs only where `name` may change them."""
    resolved = one.resolve(num_devices=one.planned_devices())
    steps = np.arange(resolved.total_steps)
    numbers = np.concatenate([resolved.steps.rows(step) for step in steps])
    inputs = resolved.rows.inputs(numbers)
    path, step = one.start_place()
    found = {
        "rows": [(values.shape, values.tobytes()) for values in inputs.values()],
        "batch_size": one.batch_size,
        "rates": [float(resolved.learning_rate()(step)) for step in steps],
        "start": open_params(path, step).whole("wte.embedding").tobytes(),
    }
    if name.startswith(("model.", "optimizer.")) or name in ("z_loss", "average"):
        programs = Programs(resolved, devices=jax.devices()[:1])
        found["step"] = programs.lower_step().as_text()
        model = PolyLM(one.model)
        init = jax.jit(lambda key: parameters.init_params(model, key))
        found["init"] = init.lower(jax.random.key(0)).as_text()
    return found


@pytest.fixture(scope="module")
def plain(folder):
    """What no field is changed of: the experiment and all that its steps get."""
    one = experiment(folder, {})
    return one, given(one, "model.")


@pytest.mark.parametrize("name", DECIDES)
def test_what_reaches_a_step_is_in_the_fingerprint(name, folder, plain):
    one, before = plain
    if needed := WITH.get(name):
        one = experiment(folder, needed)
        before = given(one, name)
    other = experiment(folder, {**WITH.get(name, {}), name: DECIDES[name]})
    after = given(other, name)
    assert after != {part: before[part] for part in after}, f"give {name} a value that does more"
    assert print_of(other) != print_of(one)


def print_of(one):
    return fingerprint(one.resolve(num_devices=one.planned_devices()))


@pytest.mark.parametrize("name", ROUNDING)
def test_what_changes_the_rounding_alone_is_not(name, folder, plain):
    assert print_of(experiment(folder, {name: ROUNDING[name]})) == print_of(plain[0])


def test_the_same_start_elsewhere_is_the_same_run(folder, plain):
    assert print_of(experiment(folder, {"init_from": "moved"})) == print_of(plain[0])


def test_a_run_without_a_decay_keeps_its_fingerprint(folder):
    rates = print_of(experiment(folder, {}))["learning_rate"]
    before = {"policy", "peak", "warmup_steps", "start", "final_fraction"}
    assert all(set(rate) == before for rate in rates)
    rates = print_of(experiment(folder, {"phase.rate": "decay"}))["learning_rate"]
    assert set(rates[1]) == before | {"decay_steps", "decay_shape"}


def test_float32_gradient_sums_keep_the_fingerprint(plain):
    before = {field.name for field in dataclasses.fields(PolyLMConfig)} - {"remat", "attention"}
    assert set(print_of(plain[0])["model"]) == before - {"gradient_dtype", "splash_blocks"}


def test_the_order_of_shares_is_in_the_fingerprint(folder, plain):
    one, before = plain
    other = experiment(folder, {"phase.mixture": dict(reversed(ONE.mixture.items()))})
    assert given(other)["rows"] == before["rows"] or print_of(other) != print_of(one)


def test_every_field_is_decided_about():
    fields = {f.name for f in dataclasses.fields(Experiment)} - {*NESTED, "phases"}
    for part, kind in NESTED.items():
        fields |= {f"{part}.{f.name}" for f in dataclasses.fields(kind)}
    assert fields == DECIDES.keys() | ROUNDING.keys() | NOTHING.keys()
