"""A checkpoint's files, damaged in every way: refused in one sentence, or what was saved comes out."""

import contextlib
import functools
import json
import pathlib
import shutil
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_checkpoint import assert_equal, mesh_of, parts, progress

from polylm_jax.checkpoints import averaging, checkpoint, damage, items, param_store
from polylm_jax.checkpoints.damage import DamagedCheckpoint
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime import seals
from polylm_jax.training import train_state

STEPS = (10, 20, 30)
MODEL = PolyLMConfig(
    num_layers=1, embed_dim=8, num_heads=2, mlp_dim=16, vocab_size=64, max_length=16
)


def on_one_device():
    return parts(mesh_of((1, 1, 1), jax.devices()[:1]), MODEL)


def fresh(seed=0):
    return train_state.create(*on_one_device(), jax.random.key(seed))


@functools.cache
def abstract():
    return train_state.abstract(*on_one_device())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run's folder with three checkpoints, and the state of all."""
    folder = tmp_path_factory.mktemp("run")
    checkpoints = checkpoint.Checkpoints(str(folder), keep_last=3)
    state = fresh()
    for step in STEPS:
        checkpoints.save(state, progress(step))
    checkpoints.close()
    return folder, state


@pytest.fixture
def run(whole, tmp_path):
    """A copy to damage."""
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run", whole[1]


def read_all(folder, state):
    """Every way that a checkpoint is read; whatever comes out is what was saved."""
    step = checkpoint.read_progress(str(folder)).step
    wanted = abstract()
    with contextlib.closing(checkpoint.Checkpoints(str(folder), keep_last=3)) as checkpoints:
        restored = checkpoints.restore(step, wanted)
    assert_equal((restored.params, restored.opt_state), (state.params, state.opt_state))
    assert_equal(checkpoint.restore_params(str(folder), wanted.params), state.params)
    reader = param_store.open_params(str(folder), step)
    for name in reader.shapes:
        reader.whole(name), list(reader.blocks(name))


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_refused_or_harmless(run, seed):
    """A hundred flips and cuts over all files of the newest; none goes by unseen."""
    folder, state = run
    chance = np.random.default_rng(seed)
    files = [path for path in sorted((folder / "checkpoints/30").rglob("*")) if path.is_file()]
    refused = drawn = 0
    while drawn < 25 or refused < 3 and drawn < 250:  # a flip may hit what nobody reads
        drawn += 1
        path = files[chance.integers(len(files))]
        before = path.read_bytes()
        after = bytearray(before)
        if not before or chance.random() < 0.2:
            after = after[: chance.integers(len(before) + 1)]
        else:
            after[chance.integers(len(before))] ^= 1 << int(chance.integers(8))
        path.write_bytes(after)
        try:
            read_all(folder, state)
        except InputError as error:
            assert "\n" not in str(error) and "checkpoints/30 is damaged (" in str(error)
            refused += 1
        path.write_bytes(before)
    assert refused >= 3
    read_all(folder, state)


def no_folder(here, name):
    shutil.rmtree(here / name)


def cut(here, item, to):
    """Every data file of an item, cut short or deleted."""
    for path in (p for p in (here / item).rglob("d/*") if p.is_file()):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) if to else path.unlink()


KINDS = {
    "no progress": lambda here: no_folder(here, "progress"),
    "empty progress": lambda here: (here / "progress/metadata").write_text(""),
    "cut progress": lambda here: (here / "progress/metadata").write_text('{"step": 30, "ro'),
    "NUL progress": lambda here: (here / "progress/metadata").write_bytes(bytes(200)),
    "progress of another step": lambda here: shutil.copy(
        here.parent / "20/progress/metadata", here / "progress/metadata"
    ),
    "empty manifest": lambda here: (here / "params/manifest.ocdbt").write_bytes(b""),
    "cut manifest": lambda here: (here / "params/manifest.ocdbt").write_bytes(
        (here / "params/manifest.ocdbt").read_bytes()[:40]
    ),
    "no manifest": lambda here: (here / "params/manifest.ocdbt").unlink(),
    "no params": lambda here: no_folder(here, "params"),
    "no optimizer": lambda here: no_folder(here, "optimizer"),
    "no list of arrays": lambda here: (here / "params/_METADATA").unlink(),
    "cut data": lambda here: cut(here, "params", 0.5),
    "no data": lambda here: cut(here, "optimizer", 0),
    "another run's parameters": lambda here: other_parameters(here),
    "an empty folder": lambda here: [shutil.rmtree(here), here.mkdir()],
}


def other_parameters(here):
    checkpoints = checkpoint.Checkpoints(str(here.parent.parent / "other"))
    checkpoints.save(fresh(seed=1), progress(30))
    checkpoints.close()
    shutil.rmtree(here / "params")
    shutil.copytree(here.parent.parent / "other/checkpoints/30/params", here / "params")


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_one_sentence_with_the_older_step(run, kind):
    folder, state = run
    KINDS[kind](folder / "checkpoints/30")
    with pytest.raises(DamagedCheckpoint) as told:
        read_all(folder, state)
    assert "\n" not in str(told.value)
    assert f"{folder}/checkpoints/30 is damaged (" in str(told.value)
    assert str(told.value).endswith("step 20, the next older one that opens: --step=20")


def test_a_lost_list_of_arrays_is_refused_by_every_reader(run):
    """Whether or not it needs the list: an export would be made, and then fail its comparison."""
    (run[0] / "checkpoints/30/params/_METADATA").unlink()
    with pytest.raises(DamagedCheckpoint, match=r"is damaged \(params/_METADATA is missing\)"):
        param_store.open_params(str(run[0]), 30)


def test_an_older_one_that_is_damaged_too_is_passed_over(run):
    folder, _ = run
    for step in (30, 20):
        (folder / f"checkpoints/{step}/progress/metadata").write_text("")
    with pytest.raises(DamagedCheckpoint, match="go on from step 10"):
        checkpoint.read_progress(str(folder))
    (folder / "checkpoints/10/params/manifest.ocdbt").write_text("")
    with pytest.raises(DamagedCheckpoint, match=r"restore that folder from a copy\.$"):
        checkpoint.read_progress(str(folder))


def test_the_sentence_has_the_whole_command(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["run.py", "train", '--gin.MODEL_DIR="my run"'])
    (run[0] / "checkpoints/30/progress/metadata").write_text("")
    with (
        pytest.raises(DamagedCheckpoint, match="`python run.py train '--gin.MODEL_DIR=") as told,
        damage.advising("--allow_older_checkpoint"),
    ):
        checkpoint.read_progress(str(run[0]))
    assert str(told.value).endswith("--allow_older_checkpoint`")


def test_the_sentence_stands_alone(run, monkeypatch, caplog):
    """Arrays that were still being read when the first broke tell nothing of themselves."""
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    damage.one_sentence_alone.cache_clear()
    here = run[0] / "checkpoints/30"
    for path in (p for p in here.rglob("params/**/d/*") if p.is_file()):
        middle = path.stat().st_size // 2
        path.write_bytes(path.read_bytes()[:middle] + b"\xff" * 4 + path.read_bytes()[middle + 4 :])
    (here / "_CHECKPOINT_METADATA").unlink()
    checkpoint.Checkpoints(str(run[0])).close()
    for _ in range(20):
        with pytest.raises(DamagedCheckpoint) as refused:
            items.stored(checkpoint.epath.Path(here), "params", {})
        checkpoint.read_progress(str(run[0]))
    time.sleep(0.3)
    assert (told, caplog.records) == ([], [])
    assert f"{here}/" not in str(refused.value) and "(ValueError: " in str(refused.value)
    sys.unraisablehook(other := types.SimpleNamespace(exc_value=ValueError("another one")))
    assert told == [other]


def test_damaged_numbers_are_averaged_without_a_warning(run, recwarn):
    """The reader tells of them once it has read all."""
    values = np.array([0x7F800001], np.uint32).view(np.float32)  # a signalling NaN

    class Parts:
        shapes = types.MappingProxyType({"w": (1,)})

        def block(self, name):
            return (1,)

        def blocks(self, name, block=None):
            yield (0,), values
            raise DamagedCheckpoint(run[0] / "checkpoints/30", "w")

        def write(self, name, index, mean):
            assert np.isnan(mean)

    alone = r"is damaged \(w\): restore that folder from a copy\.$"
    with pytest.raises(DamagedCheckpoint, match=alone), damage.advising(""):
        averaging._write(Parts(), [Parts(), Parts()], np.array([0.5, 0.5]))
    assert not recwarn.list


def test_digests_are_compared_in_the_saved_type(run):
    folder, state = run
    narrow = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16, sharding=x.sharding),
        abstract().params,
    )
    read = checkpoint.restore_params(str(folder), narrow)
    assert_equal(read, jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.params))
    other_parameters(folder / "checkpoints/30")
    with pytest.raises(DamagedCheckpoint, match="isn't what was saved"):
        checkpoint.restore_params(str(folder), narrow)


def test_one_without_digests_opens_and_that_is_said(run, capsys):
    """As the version before saved them: no digests, no seal, format 1."""
    folder, state = run
    place = pathlib.Path(folder / "checkpoints/30/progress/metadata")
    fields = json.loads(place.read_bytes())
    del fields["digests"], fields["sha256"]
    place.write_text(json.dumps(fields | {"format": 1}))
    read_all(folder, state)
    told = capsys.readouterr().err
    assert told.count("checkpoints/30 has no digests") == 1
    with pytest.raises(InputError, match="has format 3 and this version reads up to 2"):
        place.write_text(json.dumps(seals.sealed(fields | {"format": 3})))
        checkpoint.read_progress(str(folder))
