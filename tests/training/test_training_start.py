"""Where a run starts: another start is another run, the same one elsewhere is not; runs of before go on."""

import json
import pathlib
import shutil

import gin
import pytest
import toy_ablation
import toy_hf
import toy_run

import run
from polylm_jax.ablation.workers import sweep
from polylm_jax.checkpoints import identity
from polylm_jax.errors import InputError
from polylm_jax.training.experiment import SEED

pytest_plugins = ["toy_fixture"]
PHASES = toy_run.phases(4, 2, 0)[:1]
LATER = ("start", "batch_size")  # what earlier versions didn't record


@pytest.fixture(scope="module")
def place(toy_folder, tmp_path_factory):
    """Checkpoints `one` and `other` to start from, a copy of `one`, and a run that started from it."""
    folder = tmp_path_factory.mktemp("starts")
    for name, scale in (("one", 0.1), ("other", 0.2)):
        toy_hf.checkpoint(folder / name, f"{toy_folder}/toy.model", toy_run.MODEL, scale)
    shutil.copytree(folder / "one", folder / "copy")
    train(toy_folder, folder / "run", folder / "one")
    return folder


def train(toy_folder, model_dir, init_from, **settings):
    changes = {"phases": PHASES, "init_from": init_from and str(init_from)}
    toy_run.run(toy_folder, model_dir, changes, save_every_steps=2, **settings)


def as_before(model_dir, step):
    """Leaves of a run what an earlier version left of it, up to a step."""
    toy_run.lose_after(model_dir, step)
    path = model_dir / f"checkpoints/{step}/progress/metadata"
    for file in (path, model_dir / "fingerprint.json"):
        found = json.loads(file.read_text())
        for name in LATER:
            found.get("fingerprint", found).pop(name)
        if file == path:
            del found["digests"], found["sha256"]
            found["format"] = 1
        file.write_text(json.dumps(found))


def test_another_start_is_another_run(toy_folder, place):
    one, other = (identity.identify(str(place / name))[0] for name in ("one", "other"))
    with pytest.raises(InputError, match=f"start: {one.identity[:12]}... -> {other.identity[:12]}"):
        train(toy_folder, place / "run", place / "other")
    with pytest.raises(InputError, match=f"start: {one.identity[:12]}... -> {SEED}"):
        train(toy_folder, place / "run", None)
    with pytest.raises(InputError, match="init_step = 7 without init_from"):
        toy_run.run(toy_folder, place / "x", {"init_step": 7})


def test_a_start_may_move_or_go(toy_folder, place, capfd):
    train(toy_folder, place / "run", place / "copy")
    train(toy_folder, place / "run", place / "gone")
    *_, moved, gone = toy_run.events(place / "run", "start")
    assert moved["changes"] == []
    (said,) = gone["changes"]
    assert "gone' can't be compared" in said
    assert said in capfd.readouterr().out.replace("\n", "")
    with pytest.raises(InputError, match="gone has no 'checkpoints' folder"):
        train(toy_folder, place / "fresh", place / "gone")


def test_a_run_of_an_earlier_version_goes_on(toy_folder, place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "old")
    as_before(tmp_path / "old", 2)
    train(toy_folder, tmp_path / "old", place / "one")
    start = toy_run.events(tmp_path / "old", "start")[-1]
    assert start["step"] == 2
    (said,) = start["changes"]
    assert said.startswith("start: an earlier version didn't record it, taken to be")
    whole = toy_run.final_state(toy_folder, place / "run", phases=PHASES)
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, tmp_path / "old", phases=PHASES), whole
    )
    with pytest.raises(InputError, match="start: "):  # from now on it is recorded
        train(toy_folder, tmp_path / "old", place / "other")


def test_init_from_of_train_is_the_experiments(toy_folder, place):
    toy_run.run(toy_folder, place / "run", {"phases": PHASES}, init_from=str(place / "one"))
    assert toy_run.events(place / "run", "start")[-1]["changes"] == []
    both = {"phases": PHASES, "init_from": str(place / "other")}
    with pytest.raises(InputError, match="leave train's out"):
        toy_run.run(toy_folder, place / "run", both, init_from=str(place / "one"))


@pytest.fixture
def ablate(toy_folder, place, tmp_path, monkeypatch, capfd):
    """Function of variants: trains them, each by a call of `run.main`, -> what was said."""

    monkeypatch.setattr(sweep, "Pool", toy_ablation.InThisProcess)

    def of(*variants, code=0):
        gin.clear_config()
        recipe = toy_ablation.recipe(
            tmp_path / "toy.gin", toy_folder, tmp_path / "out", "PHASES = %SHORT", "CLAIMS = []",
            "OTHER_BUDGETS = []", f"VARIANTS = {[*variants]!r}", "BASE_VARIANT = ''",
        )  # fmt: skip
        assert run.main(["ablate", recipe]) == code
        gin.clear_config()
        said = capfd.readouterr()
        return said.err if code else said.out

    return of


def test_variants_of_another_start_are_trained_apart(ablate, place, tmp_path):
    said = ablate(
        ("one", f"INIT_FROM = '{place}/one'"),
        ("other", f"train.train.init_from = '{place}/other'"),  # as recipes of before say it
        ("copy", f"INIT_FROM = '{place}/copy'"),
    )
    goes_on = [line for line in said.splitlines() if line.startswith("goes on from")]
    assert goes_on == ["goes on from one, seed 3, step 6"]  # the copy
    losses = {
        name: toy_run.losses(tmp_path / f"out/{name}/seed_3")[8]
        for name in ("one", "other", "copy")
    }
    start = json.loads((tmp_path / "out/other/seed_3/fingerprint.json").read_text())["start"]
    assert start == identity.identify(str(place / "other"))[0].identity
    assert losses["one"] != losses["other"] and losses["copy"] == losses["one"]


def test_an_old_continuation_of_another_start_is_refused(ablate, place, tmp_path):
    one, other = (("one", f"INIT_FROM = '{place}/one'"), ("other", f"INIT_FROM = '{place}/other'"))
    ablate(one)
    shutil.copytree(tmp_path / "out/one", tmp_path / "out/other")
    run_of = tmp_path / "out/other/seed_3"
    for model_dir in (run_of, tmp_path / "out/one/seed_3"):
        as_before(pathlib.Path(model_dir), 8)
    (run_of / "continued_from.json").write_text('{"run": "one, seed 3", "step": 6}')
    assert "other/seed_3 went on from one, seed 3, which starts from other" in ablate(
        one, other, code=2
    )
    shutil.rmtree(tmp_path / "out/other")
    said = ablate(one, other)
    assert "one, seed 3: start: an earlier version didn't record it" in said
    assert "goes on from" not in said
