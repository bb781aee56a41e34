"""`inspect` tells of a run what training it would show: shares, epochs, parameters, memory."""

import dataclasses
import json
import math

import jax
import numpy as np
import optax
import pytest
import toy_stores

from polylm_jax.errors import InputError
from polylm_jax.languages import labels, registry
from polylm_jax.model import cost, parameters, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import inspection, train_state
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig

LENGTH, BATCH = 16, 8
MODEL = PolyLMConfig(
    num_layers=3, embed_dim=16, num_heads=4, mlp_dim=32, vocab_size=320, max_length=LENGTH
)


def phases():
    one = registry.temperature({"toy.en": 3.0, "toy.th": 1.0}, alpha=1.0)
    two = {"toy.en": 0.25, "toy.th": 0.5, "toy.en_th": 0.125, "toy.code": 0.125}
    return [
        PhaseConfig(one, steps=40, name="one", warmup_steps=4, peak_learning_rate=1e-2),
        PhaseConfig(two, steps=20, name="two", ramp_steps=10, rate="hold"),
    ]


@pytest.fixture
def experiment(tmp_path):
    return Experiment(
        MODEL, phases(), "no.model", str(tmp_path / "stores"), LENGTH, BATCH,
        mesh=MeshConfig(data=2, fsdp=2, tensor=2),
    )  # fmt: skip


@pytest.fixture
def report(experiment, tmp_path, capsys):
    """What `inspect` writes as JSON; what it printed is in report['text']."""

    def make(**options) -> dict:
        path = tmp_path / "report.json"
        inspection.inspect(experiment, json_path=str(path), **options)
        return json.loads(path.read_text()) | {"text": capsys.readouterr().out}

    return make


def test_an_empty_manifest_is_damage(tmp_path):
    (tmp_path / "toy.en").mkdir()
    (tmp_path / "toy.en/store.json").touch()
    with pytest.raises(InputError, match="has a damaged store.json"):
        inspection.open_stores(str(tmp_path), ["toy.en", "toy.th"])


def test_a_damaged_newest_checkpoint_is_said(report, tmp_path):
    assert report(model_dir=str(tmp_path))["checkpoint"]["newest"] is None
    progress = tmp_path / "checkpoints/20/progress"
    progress.mkdir(parents=True)
    found = report(model_dir=str(tmp_path))
    assert found["checkpoint"]["newest"]["step"] == 20
    assert "the newest, step 20, is damaged (progress/metadata is missing)" in found["text"]


def test_a_run_without_stores_is_described(report):
    told = report(recipe="SEED = 0")
    assert told["run"]["steps"] == 60 and told["run"]["tokens"] == 60 * BATCH * LENGTH
    assert told["run"]["mesh"] == {"data": 2, "fsdp": 2, "tensor": 2}
    assert [phase["first_step"] for phase in told["phases"]] == [0, 40]
    assert [phase["steps"] for phase in told["phases"]] == [40, 20]
    assert [phase["non_english_share"] for phase in told["phases"]] == [0.25, 0.625]
    assert "Shares of one: temperature, alpha 1, of toy.en 3, toy.th 1" in told["text"]
    assert "Shares of two: by hand" in told["text"]
    assert told["phases"][1]["languages"] == {
        "en": 0.25,
        "th": 0.5,
        "code": 0.125,
        "parallel": 0.125,
    }
    assert {line["stored_tokens"] for line in told["ledger"]["components"]} == {None}
    assert told["recipe"] == "SEED = 0"
    for text in ("not cached", "Thai", "ไทย", "62.5%", "warmup_cosine", "3 layers", "estimate"):
        assert text in told["text"], text


def test_a_decay_is_drawn_and_told_where_it_begins(report, experiment):
    one, two = experiment.phases
    stable = dataclasses.replace(one, rate="warmup_stable", decay_steps=30, decay_shape="1-sqrt")
    object.__setattr__(experiment, "phases", [stable, dataclasses.replace(two, rate="continue")])
    told = report()
    assert told["phases"][0]["decay"] == {"steps": 30, "shape": "1-sqrt"}
    assert told["learning_rate"]["steps"]["30"] == pytest.approx(1e-2)  # of 60, the last 30 go down
    assert told["learning_rate"]["curve"][-1] < 2e-3
    assert "warmup_stable, 1-sqrt over the last 30" in told["text"]


def test_epochs_and_warnings_come_from_the_stores(report, experiment, tmp_path):
    sizes = {"toy.en": 100_001, "toy.th": 161, "toy.en_th": 4_001, "toy.code": 4_001}
    for name, size in sizes.items():
        code = name.removeprefix("toy.").replace("_", "-")
        splits = {"train": np.zeros(size, int), "validation": np.zeros(9, int)}
        toy_stores.build(tmp_path / "stores", name, splits, code)
    told = report()
    lines = {line["component"]: line for line in told["ledger"]["components"]}
    for name, size in sizes.items():
        rows = lines[name]["tokens"] / LENGTH
        assert lines[name]["epochs"] == pytest.approx(rows / ((size - 1) // LENGTH))
    assert "toy.th is read" in told["text"] and "toy.en is read" not in told["text"]
    assert "Tokens per language" in told["text"]


def test_what_repeats_as_a_longer_run_is_told(report, experiment, tmp_path, capsys):
    sizes = {"toy.en": 100_001, "toy.th": 4_001, "toy.en_th": 4_001, "toy.code": 4_001}
    for name, size in sizes.items():
        code = name.removeprefix("toy.").replace("_", "-")
        toy_stores.build(tmp_path / "stores", name, {"train": np.zeros(size, int)}, code)
    assert report()["run"]["repeat_as_tokens"] is None
    again = dataclasses.replace(experiment, repeat_as_tokens=4 * 60 * BATCH * LENGTH)
    inspection.inspect(again, json_path=str(tmp_path / "again.json"))
    told = json.loads((tmp_path / "again.json").read_text())
    lines = {line["component"]: line for line in told["ledger"]["components"]}
    assert lines["toy.en"]["stored_rows"] == 6250 and lines["toy.en"]["read_rows"] == 1563
    assert lines["toy.th"]["epochs"] == lines["toy.th"]["tokens"] / LENGTH / 63
    text = capsys.readouterr().out
    assert "as over 30,720 tokens" in text and "read" in text
    with pytest.raises(InputError, match="repeat_as_tokens = 9 is shorter than the run"):
        inspection.inspect(dataclasses.replace(experiment, repeat_as_tokens=9))


def test_the_ledger_stands_at_any_step(report, experiment):
    told = report(step=40)
    tokens = {line["component"]: line["tokens"] for line in told["ledger"]["components"]}
    assert tokens == {
        "toy.en": 30 * BATCH * LENGTH,
        "toy.th": 10 * BATCH * LENGTH,
        "toy.en_th": 0,
        "toy.code": 0,
    }
    assert sum(x["planned_tokens"] for x in told["ledger"]["components"]) == 40 * BATCH * LENGTH
    with pytest.raises(InputError, match="step = 61: the run has steps 0 to 60"):
        inspection.inspect(experiment, step=61)


def test_the_learning_rate_is_told_where_something_happens(report):
    rates = report()["learning_rate"]["steps"]
    assert list(rates) == ["0", "4", "22", "39", "40", "50", "59"]
    assert rates["0"] == pytest.approx(1e-7) and rates["4"] == pytest.approx(1e-2)
    assert rates["39"] == pytest.approx(1e-3, rel=0.05) and rates["59"] == pytest.approx(1e-3)


def test_parameters_are_those_of_the_model():
    variables = jax.eval_shape(lambda: parameters.init_params(PolyLM(MODEL), jax.random.key(0)))
    number = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    parts = cost.parts(MODEL)
    assert sum(parts.values()) == number == MODEL.num_params
    assert parts["wte"] == 320 * 16 and parts["wpe"] == LENGTH * 16


@pytest.mark.parametrize("mesh", [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 2, 4)])
def test_memory_per_device_is_what_the_state_takes(mesh):
    made = partitioning.make_mesh(MeshConfig(*mesh))
    state = train_state.abstract(PolyLM(MODEL), optax.adam(1e-3), made)

    def held(tree) -> int:
        arrays = [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim]
        shards = (x.sharding.shard_shape(x.shape) for x in arrays)
        return sum(4 * math.prod(shape) for shape in shards)

    told = cost.per_device(
        MODEL, mesh, batch_size=BATCH, length=LENGTH, microbatches=1, num_chunks=2
    )
    assert told["parameters"] == told["gradients"] == held(state.params)
    assert told["moments"] == held(state.opt_state)


def test_a_component_without_a_store_is_told_by_its_name():
    assert [labels.label_of(n) for n in ("tldr.th", "p.opus.en_th", "a.code", "x.y")] == [
        "th",
        "en-th",
        "code",
        "und",
    ]


def test_inspect_refuses_what_train_would(experiment):
    long = dataclasses.replace(experiment, sequence_length=LENGTH + 1)
    with pytest.raises(InputError, match="sequence_length = 17 is above"):
        inspection.inspect(long)
