"""A run whose newest checkpoint is damaged: refused with the older one named, or gone on from it."""

import shutil

import pytest
import toy_run

from polylm_jax.checkpoints import damage, layout
from polylm_jax.checkpoints.damage import DamagedCheckpoint
from polylm_jax.errors import InputError

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.phases(6, 6, 4)}
SAVES = {"save_every_steps": 4, "keep_last": 3}


@pytest.fixture(scope="module")
def unbroken(toy_folder, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("unbroken")
    toy_run.run(toy_folder, model_dir, SHORT, **SAVES)
    return model_dir, toy_run.final_state(toy_folder, model_dir, **SHORT)


def flip(folder):
    """A bit in every 256 bytes of the parameters' data files: what nothing points to any more, too."""
    for path in folder.rglob("params/ocdbt.process_0/d/*"):
        damaged = bytearray(path.read_bytes())
        for place in range(128, len(damaged), 256):
            damaged[place] ^= 16
        path.write_bytes(damaged)


def test_a_damaged_newest_checkpoint_can_be_passed_over(toy_folder, unbroken):
    """What is done again gives the same bits, and what was damaged is still there to look at."""
    model_dir, state = unbroken
    places = layout.located(str(model_dir)) / layout.FOLDER
    assert not damage.flaw(places / "8")
    flip(model_dir / "checkpoints/12")
    (model_dir / "checkpoints/8/progress/metadata").write_bytes(b"")
    assert "JSON" in damage.flaw(places / "8")
    before = (model_dir / "metrics.jsonl").read_bytes()
    with pytest.raises(DamagedCheckpoint) as told:
        toy_run.run(toy_folder, model_dir, SHORT, **SAVES)
    assert "checkpoints/12 is damaged (" in str(told.value)
    assert "go on from step 4, the next older one that opens: " in str(told.value)
    assert str(told.value).endswith("--allow_older_checkpoint")
    assert (model_dir / "metrics.jsonl").read_bytes() == before

    toy_run.run(toy_folder, model_dir, SHORT, **SAVES, allow_older_checkpoint=True)
    toy_run.assert_bitwise_equal(toy_run.final_state(toy_folder, model_dir, **SHORT), state)
    assert list(toy_run.losses(model_dir)) == list(range(1, 13))
    names = {path.name for path in (model_dir / "checkpoints").iterdir()}
    assert names == {"4", "8", "12", "8.damaged", "12.damaged"}
    start = toy_run.events(model_dir, "start")[-1]
    assert (start["step"], len(start["changes"])) == (4, 2)
    assert "set aside as 12.damaged: goes on from step 4" in start["changes"][0]


def test_one_without_an_older_one_is_never_passed_over(toy_folder, tmp_path):
    """A run that would begin anew is no run that goes on."""
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=20)
    flip(tmp_path / "checkpoints/12")
    with pytest.raises(DamagedCheckpoint, match=r"restore that folder from a copy\.$"):
        toy_run.run(toy_folder, tmp_path, SHORT, allow_older_checkpoint=True)


def test_another_runs_damage_names_its_older_step(toy_folder, unbroken, tmp_path):
    model_dir, _ = unbroken
    flip(model_dir / "checkpoints/12")
    with pytest.raises(DamagedCheckpoint, match=r"from step 8, .*: --init_step=8$"):
        toy_run.run(toy_folder, tmp_path / "next", SHORT, init_from=str(model_dir))


def test_a_damaged_store_is_named_before_anything_compiles(toy_folder, tmp_path):
    shutil.copytree(toy_folder / "stores", tmp_path / "stores")
    part = tmp_path / "stores/toy.en/parts/00000-train.u16"
    content = bytearray(part.read_bytes())
    content[9] ^= 1
    part.write_bytes(content)
    changes = SHORT | {"cache_dir": str(tmp_path / "stores")}
    with pytest.raises(
        InputError, match="toy.en' is damaged: parts/00000-train.u16 isn't what was"
    ):
        toy_run.run(toy_folder, tmp_path / "run", changes, verify_stores=True)
    part.write_bytes(b"\xff" * len(content))
    with pytest.raises(InputError, match=r"parts/00000-train.u16 has 65535 at token [\d,]+, and"):
        toy_run.run(toy_folder, tmp_path / "run", changes)
