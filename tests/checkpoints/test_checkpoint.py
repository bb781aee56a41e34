"""Checkpoints: complete or unseen, on any mesh, the last good one never gone."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from orbax.checkpoint._src.path import atomicity

from polylm_jax.checkpoints import checkpoint, space
from polylm_jax.errors import InputError
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, make_optimizer
from polylm_jax.training import train_state

MODEL = PolyLMConfig(
    num_layers=2, embed_dim=16, num_heads=8, mlp_dim=32, vocab_size=64, max_length=16
)
MESHES = [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 1, 8)]


def mesh_of(shape, devices=None):
    return partitioning.make_mesh(partitioning.MeshConfig(*shape), devices)


def parts(mesh, config=MODEL):
    tx = make_optimizer(OptimizerConfig(), lambda step: 1e-3)
    return PolyLM(config), tx, mesh


def fresh(mesh, seed=0):
    return train_state.create(*parts(mesh), jax.random.key(seed))


def progress(step, **changes):
    values = {"step": step, "rows": 8 * step, "batch_size": 8, "phase": "one"}
    return checkpoint.Progress(**(values | {"fingerprint": {"seed": 0}} | changes))


def assert_equal(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the checkpoint of step 7, and its state."""
    folder = str(tmp_path_factory.mktemp("run"))
    state = fresh(mesh_of((2, 2, 2)))
    checkpoints = checkpoint.Checkpoints(folder)
    checkpoints.save(state, progress(7, recipe="ไทย"))
    checkpoints.close()
    return folder, state


@pytest.mark.parametrize("shape", MESHES)
def test_is_restored_onto_any_mesh(saved, shape):
    folder, state = saved
    abstract = train_state.abstract(*parts(mesh_of(shape)))
    restored = checkpoint.Checkpoints(folder).restore(7, abstract)
    assert int(restored.step) == 7
    assert_equal((restored.params, restored.opt_state), (state.params, state.opt_state))
    shardings = jax.tree.map(lambda x: x.sharding, restored)
    assert jax.tree.all(jax.tree.map(lambda a, b: a == b.sharding, shardings, abstract))


def test_is_restored_onto_fewer_devices(saved):
    folder, state = saved
    mesh = mesh_of((1, 2, 1), jax.devices()[:2])
    restored = checkpoint.Checkpoints(folder).restore(7, train_state.abstract(*parts(mesh)))
    assert_equal(restored.params, state.params)


def test_tells_where_the_run_stood(saved):
    read = checkpoint.read_progress(saved[0])
    assert dataclasses.replace(read, digests={}) == progress(7, recipe="ไทย")


@pytest.mark.parametrize("place", ["", "/checkpoints", "/checkpoints/7"])
def test_parameters_alone_start_another_run(saved, place):
    folder, state = saved
    abstract = train_state.abstract(*parts(mesh_of((1, 1, 8)))).params
    assert_equal(checkpoint.restore_params(folder + place, abstract), state.params)


def test_another_models_parameter_is_named(saved):
    wider = PolyLMConfig(
        num_layers=2, embed_dim=16, num_heads=8, mlp_dim=64, vocab_size=64, max_length=16
    )
    abstract = train_state.abstract(*parts(mesh_of((8, 1, 1)), wider))
    with pytest.raises(InputError, match=r"another model: h.mlp.c_fc.bias is \(2, 32\) there"):
        checkpoint.Checkpoints(saved[0]).restore(7, abstract)
    with pytest.raises(InputError, match="another model"):
        checkpoint.restore_params(saved[0], abstract.params)


def test_refuses_what_is_not_there(saved, tmp_path):
    with pytest.raises(InputError, match="no complete checkpoint 8: it has 7"):
        checkpoint.read_progress(saved[0], 8)
    with pytest.raises(InputError, match="MODEL_DIR"):
        checkpoint.read_progress(str(tmp_path))


def test_keeps_the_last_and_every_so_many(tmp_path):
    committed = []
    checkpoints = checkpoint.Checkpoints(str(tmp_path), keep_last=2, keep_every=4)
    checkpoints.on_commit = committed.append
    state = fresh(mesh_of((8, 1, 1)))
    for step in range(1, 8):
        checkpoints.save(state, progress(step))
    checkpoints.close()
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [4, 6, 7]
    assert committed == [1, 2, 3, 4, 5, 6, 7]


def test_a_save_that_fails_costs_nothing_that_was_saved(tmp_path, monkeypatch):
    checkpoints = checkpoint.Checkpoints(str(tmp_path), keep_last=1)
    state = fresh(mesh_of((8, 1, 1)))
    checkpoints.save(state, progress(1))
    checkpoints.wait()

    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(atomicity.AtomicRenameTemporaryPath, "finalize", full_disk)
    with pytest.raises(InputError, match="became full during a save: free .* MB, then the same"):
        checkpoints.save(state, progress(2))
        checkpoints.wait()
    monkeypatch.undo()
    again = checkpoint.Checkpoints(str(tmp_path), keep_last=1)
    assert again.newest() == 1
    assert_equal(
        again.restore(1, train_state.abstract(*parts(mesh_of((8, 1, 1))))).params, state.params
    )


def test_an_incomplete_one_is_never_loaded(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(folder / "7", folder / "9.orbax-checkpoint-tmp")
    assert checkpoint.read_progress(str(tmp_path / "run")).step == 7
    checkpoints = checkpoint.Checkpoints(str(tmp_path / "run"))
    assert checkpoints.newest() == 7
    checkpoints.save(saved[1], progress(8))  # what was left of 9 is cleaned away first
    checkpoints.close()
    assert not (folder / "9.orbax-checkpoint-tmp").exists()


def test_a_small_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    """At the start of a run, and before each save: one sentence with what it needs."""
    checkpoints = checkpoint.Checkpoints(str(tmp_path), keep_last=1)
    state = fresh(mesh_of((8, 1, 1)))
    size = space.size_of((state.params, state.opt_state))
    monkeypatch.setattr(space, "free", lambda folder: 3 * size)
    assert checkpoints.room_for(state) == ""
    monkeypatch.setattr(space, "free", lambda folder: 2 * size - 1)
    assert "will take 2." in checkpoints.room_for(state)
    monkeypatch.setattr(space, "free", lambda folder: size - 1)
    for act in (checkpoints.room_for, lambda state: checkpoints.save(state, progress(1))):
        with pytest.raises(InputError, match=r"a checkpoint takes 1.* MB and the disk of .* has 1"):
            act(state)
    assert checkpoints.newest() is None and not list((tmp_path / "checkpoints").iterdir())
