"""Checkpoints between t5x and us: every array bit by bit, the rest refused in a sentence."""

import dataclasses
import pathlib

import pytest
import toy_hf
import toy_run
from toy_checkpoints import arrays
from toy_fixture import toy_folder  # noqa: F401

from polylm_jax.checkpoints import param_store, t5x
from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.errors import InputError


@pytest.fixture(scope="module")
def trained(toy_folder, tmp_path_factory):  # noqa: F811
    """A run of ours of 20 steps, with its optimizer's state."""
    model_dir = tmp_path_factory.mktemp("ours") / "run"
    toy_run.run(toy_folder, model_dir, {"phases": toy_run.halves(20)})
    return model_dir


def test_there_and_back_is_bitwise_the_same(trained, toy_folder, tmp_path):  # noqa: F811
    t5x.export_t5x(str(trained), str(tmp_path / "t5x"))
    ours = arrays(trained / "checkpoints/20/params")
    there = arrays(tmp_path / "t5x/checkpoint_20/state")
    for name, values in ours.items():
        assert there[f"target.{name}"].tobytes() == values.tobytes()
    for name, values in arrays(trained / "checkpoints/20/optimizer").items():
        assert there[f"state.param_states.{name}"].tobytes() == values.tobytes()
    assert there["state.step"] == 20
    vocabulary = f"{toy_folder}/toy.model"
    t5x.import_t5x(str(tmp_path / "t5x"), str(tmp_path / "home"), vocabulary)
    home = arrays(tmp_path / "home/checkpoints/20/params")
    assert {n: v.tobytes() for n, v in home.items()} == {n: v.tobytes() for n, v in ours.items()}
    progress = read_progress(str(tmp_path / "home"))
    assert progress.step == 20
    assert (
        progress.fingerprint["vocabulary"] == read_progress(str(trained)).fingerprint["vocabulary"]
    )


def test_what_came_home_starts_a_run(trained, toy_folder, tmp_path):  # noqa: F811
    t5x.export_t5x(str(trained), str(tmp_path / "t5x"), optimizer=False)
    vocabulary = f"{toy_folder}/toy.model"
    t5x.import_t5x(f"{tmp_path}/t5x/checkpoint_20", str(tmp_path / "home"), vocabulary)
    changes = {"phases": toy_run.halves(20)}
    toy_run.run(toy_folder, tmp_path / "from_home", changes, init_from=f"{tmp_path}/home")
    toy_run.run(toy_folder, tmp_path / "from_ours", changes, init_from=str(trained))
    assert toy_run.losses(tmp_path / "from_home") == toy_run.losses(tmp_path / "from_ours")


@pytest.fixture
def small(tmp_path):
    """A checkpoint without an optimizer, its vocabulary, and what t5x has of it."""
    vocabulary = toy_hf.vocabulary(tmp_path)
    toy_hf.checkpoint(tmp_path / "ours", vocabulary)
    t5x.export_t5x(str(tmp_path / "ours"), str(tmp_path / "t5x"))
    return tmp_path, vocabulary


def test_a_checkpoint_without_an_optimizer_goes_as_it_is(small):
    folder, _ = small
    names = param_store.Reader(f"{folder}/t5x/checkpoint_7/state").shapes
    assert {name.split(".")[0] for name in names} == {"target", "state"}
    assert not any(name.startswith("state.param_states") for name in names)


def test_bad_input_is_one_sentence_and_writes_nothing(small):
    folder, vocabulary = small
    (folder / "legacy/checkpoint_3").mkdir(parents=True)
    tiny = toy_run.make(folder / "tiny") or f"{folder}/tiny/toy.model"
    too_large = "pieces and the checkpoint"
    for source, words, output, sentence in (
        (f"{folder}/ours", vocabulary, "new", "has no checkpoint: give the MODEL_DIR of a t5x run"),
        (f"{folder}/none", vocabulary, "new", "has no checkpoint"),
        (f"{folder}/legacy", vocabulary, "new", "not saved with Orbax"),
        (f"{folder}/t5x", vocabulary, "ours", "exists: name another folder"),
        (f"{folder}/t5x", f"{folder}/no.model", "new", "vocabulary = .* can't be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            t5x.import_t5x(source, f"{folder}/{output}", words)
    with pytest.raises(InputError, match="has no checkpoint 8: it has 7"):
        t5x.import_t5x(f"{folder}/t5x", f"{folder}/new", vocabulary, step=8)
    with pytest.raises(InputError, match=too_large):
        t5x.import_t5x(narrowed(folder, tiny), f"{folder}/new", vocabulary)
    assert not pathlib.Path(f"{folder}/new").exists()


def narrowed(folder, vocabulary):
    """A t5x checkpoint of a model with as few pieces as `vocabulary`."""
    config = dataclasses.replace(toy_hf.MODEL, vocab_size=320)
    toy_hf.checkpoint(folder / "narrow", vocabulary, config)
    t5x.export_t5x(f"{folder}/narrow", f"{folder}/narrow_t5x")
    return f"{folder}/narrow_t5x"
