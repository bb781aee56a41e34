"""A run that keeps an average of its parameters: in checkpoints, resumed, validated, exported, taken as a start."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
import toy_checkpoints
import toy_run

from polylm_jax.checkpoints.averaging import average
from polylm_jax.checkpoints.checkpoint import restore_params
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.identity import identify
from polylm_jax.errors import InputError
from polylm_jax.model.averaging import Average
from polylm_jax.training import inspection
from polylm_jax.training.identity import fingerprint
from polylm_jax.training.programs import Programs

pytest_plugins = ["toy_fixture"]

WINDOW = Average("window", steps=2, dtype="bfloat16")
PHASES = [dataclasses.replace(toy_run.phases(6, 2, 0)[0], rate="warmup_stable")]
KEPT = {"phases": PHASES, "average": WINDOW}
WORN = {"phases": PHASES, "average": Average("exponential", steps=3), "weights": "average"}


@pytest.fixture(scope="module")
def runs(toy_folder, tmp_path_factory):
    """`window`: six steps, all kept, a mean in bfloat16; `exponential`: the same, its mean validated."""
    place = tmp_path_factory.mktemp("averages")
    for name, changes in (("window", KEPT), ("exponential", WORN)):
        often = {"save_every_steps": 1, "keep_every": 1} if name == "window" else {}
        toy_run.run(toy_folder, place / name, changes, eval_every_steps=6, **often)
    return place


def item(folder, step, name="params"):
    return toy_checkpoints.arrays(folder / "checkpoints" / str(step) / name)


def test_what_is_kept_is_the_mean_of_the_checkpoints(runs):
    values = [item(runs / "window", step) for step in range(1, 7)]
    for name, kept in item(runs / "exponential", 6, "average").items():
        mean = np.mean([one[name] for one in values[:3]], axis=0)
        for one in values[3:]:
            mean = mean * (2 / 3) + one[name] / 3
        np.testing.assert_allclose(kept, mean, rtol=1e-5, atol=1e-6)
    for part, steps in (("average", slice(2, 4)), ("filling", slice(4, 5))):
        for name, kept in item(runs / "window", 5, part).items():
            mean = np.mean([one[name] for one in values[steps]], axis=0)
            np.testing.assert_allclose(kept.astype(np.float32), mean, rtol=0.03, atol=1e-4)


def test_what_is_trained_is_the_same_whatever_is_kept_of_it(runs):
    ours, theirs = (item(runs / name, 6) for name in ("exponential", "window"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert toy_run.losses(runs / "exponential") == toy_run.losses(runs / "window")


def test_a_resume_is_exact_with_an_average(runs, toy_folder, tmp_path):
    shutil.copytree(runs / "window", tmp_path / "cut")
    for step in range(4, 7):
        shutil.rmtree(tmp_path / "cut/checkpoints" / str(step))
    toy_run.run(toy_folder, tmp_path / "cut", KEPT)
    (_, start) = toy_run.events(tmp_path / "cut", "start")
    assert start["step"] == 3
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, tmp_path / "cut", **KEPT),
        toy_run.final_state(toy_folder, runs / "window", **KEPT),
    )


def test_an_average_lies_as_the_parameters_do(toy_folder):
    state = Programs(toy_run.experiment(toy_folder, **KEPT).resolve()).abstract_state
    for tree in state.average.values():
        jax.tree.map(
            lambda x, p: None if x.sharding == p.sharding else pytest.fail(), tree, state.params
        )
        assert {x.dtype.name for x in jax.tree.leaves(tree)} == {"bfloat16"}


def test_the_validated_weights_are_in_the_fingerprint(runs, toy_folder):
    def lines(name):
        return [json.loads(line) for line in (runs / name / "validation.jsonl").open()]

    worn, plain = lines("exponential")[-1], lines("window")[-1]
    assert worn["weights"] == "average" and "weights" not in plain
    assert worn["bits_per_byte"] != plain["bits_per_byte"]  # of the same parameters as trained
    first = {k: v for k, v in lines("exponential")[0].items() if k != "weights"}
    assert first == lines("window")[0]  # before the first step both are the same
    prints = [
        fingerprint(toy_run.experiment(toy_folder, phases=PHASES, **changes).resolve())
        for changes in (
            {},
            {"average": WORN["average"]},
            {k: WORN[k] for k in ("average", "weights")},
        )
    ]
    assert "average" not in prints[0] and "weights" not in prints[0] | prints[1]
    assert len({json.dumps(one, sort_keys=True) for one in prints}) == 3
    with pytest.raises(InputError, match="was trained with another recipe, weights"):
        toy_run.run(toy_folder, runs / "exponential", WORN | {"weights": "plain"})


def test_the_average_is_another_checkpoint_for_all_readers(runs, toy_folder, tmp_path):
    run = str(runs / "exponential")
    plain, kept = (identify(run, 6, weights)[0] for weights in ("plain", "average"))
    assert plain.identity != kept.identity and ", average (" in str(kept)
    assert plain == identify(run)[0]
    vocabulary = f"{toy_folder}/toy.model"
    export(run, str(tmp_path / "out"), vocabulary, weights="average", verify=False)
    exported = safetensors.numpy.load_file(tmp_path / "out/model.safetensors")
    ours = item(runs / "exponential", 6, "average")
    np.testing.assert_array_equal(exported["transformer.wte.weight"], ours["wte.embedding"])
    card = (tmp_path / "out/README.md").read_text()
    assert "the average of the parameters" in card
    abstract = Programs(toy_run.experiment(toy_folder, **KEPT).resolve()).abstract_state.params
    read = restore_params(str(runs / "window"), abstract, 6, "average")  # bfloat16, as float32
    expected = item(runs / "window", 6, "average")["wte.embedding"].astype(np.float32)
    np.testing.assert_array_equal(np.asarray(read["wte"]["embedding"]), expected)


def test_an_average_of_checkpoints_starts_a_run(runs, toy_folder, tmp_path):
    out = tmp_path / "made"
    average(str(runs / "window"), str(out), (6, 2, 4), decay=0.5)
    made = item(out, 6)
    values = {step: item(runs / "window", step) for step in (2, 4, 6)}
    for name, got in made.items():
        parts = [values[step][name].astype(np.float64) for step in (2, 4, 6)]
        mean = (parts[0] + 2 * parts[1] + 4 * parts[2]) / 7
        np.testing.assert_allclose(got, mean, rtol=1e-6, atol=1e-9)
    begun = Programs(toy_run.experiment(toy_folder, **KEPT).resolve()).state_from(str(out), None)
    for tree in (begun.params, begun.average["average"]):
        wte = np.asarray(tree["wte"]["embedding"], np.float32)
        np.testing.assert_allclose(wte, made["wte.embedding"], rtol=0.01)
    average(str(runs / "exponential"), str(tmp_path / "one"), (6,), weights="average")
    one, kept = item(tmp_path / "one", 6), item(runs / "exponential", 6, "average")
    assert all(np.array_equal(one[name], kept[name]) for name in kept)
    given = identify(str(runs / "exponential"), 6, "average")[0]
    assert identify(str(tmp_path / "one"))[0].identity == given.identity


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": (5, 5)}, "each once"),
        ({"steps": (5,)}, "one checkpoint is its own average"),
        ({"steps": (5, 99)}, "no complete checkpoint 99"),
        ({"steps": (5, 6), "decay": 0.0}, "decay = 0.0"),
        ({"steps": (5, 6), "weights": "avarage"}, "Did you mean 'average'"),
        ({"checkpoint": "made_plain", "steps": (5,), "weights": "average"}, "keeps no average"),
    ],
)
def test_averages_after_the_fact_that_cannot_be_are_refused(runs, tmp_path, changes, words):
    given = {"checkpoint": "window"} | changes
    if given["checkpoint"] == "made_plain":
        average(str(runs / "window"), str(tmp_path / "made_plain"), (4, 5))
        given["checkpoint"] = str(tmp_path / "made_plain")
    with pytest.raises(InputError, match=words):
        average(
            output=str(tmp_path / "no"), **given | {"checkpoint": str(runs / given["checkpoint"])}
        )
    assert not (tmp_path / "no").exists()


def test_inspect_tells_the_memory_of_an_average(toy_folder, tmp_path, capsys):
    experiment = toy_run.experiment(toy_folder, **KEPT)
    inspection.inspect(experiment, num_devices=8, json_path=str(tmp_path / "told.json"))
    told = json.loads((tmp_path / "told.json").read_text())
    memory, number = told["memory_per_device"], experiment.model.num_params
    assert memory["average"] == memory["parameters"]  # two copies of half the size
    assert told["checkpoint"]["bytes"] == (4 + 8 + 4) * number
    assert "average" in capsys.readouterr().out
