"""What the version before the rooms wrote goes on working: a run, stores, a vocabulary, an ablation.

tests/old_version/written.tar.xz was made once with that version's `train_tokenizer`, `cache`, `train`
and `ablate --variant=base` of the recipe mine.gin in it, whose imports are that version's modules.
"""

import json
import pathlib
import tarfile

import gin
import pytest

import run

WRITTEN = pathlib.Path(__file__).resolve().parents[1] / "old_version/written.tar.xz"
RECIPE = "--gin_file=mine.gin"

pytestmark = pytest.mark.filterwarnings("ignore:.*version before")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    gin.clear_config()
    yield tmp_path
    gin.clear_config()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_its_run_goes_on_where_it_stood(folder, capfd):
    """From its checkpoint of step 4, over its stores, with its recipe; then as it went on itself."""
    theirs = lines(folder / "run/metrics.jsonl")
    stores = {path: path.stat().st_mtime_ns for path in (folder / "stores").rglob("*.u16")}
    assert run.main(["train", RECIPE]) == 0
    ours = lines(folder / "run/metrics.jsonl")
    assert [line["step"] for line in ours] == list(range(1, 9))
    # Other devices sum in another order; the rows and rates are the same to the last one.
    for old, new in zip(theirs[4:], ours[4:], strict=True):
        assert new["loss"] == pytest.approx(old["loss"], rel=1e-4)
        assert new["learning_rate"] == pytest.approx(old["learning_rate"], rel=1e-6)
    assert {path: path.stat().st_mtime_ns for path in stores} == stores  # none was built anew


def test_its_ablation_leaves_what_is_done(folder, capfd):
    metrics = (folder / "ablation/base/seed_0/metrics.jsonl").read_bytes()
    assert run.main(["ablate", RECIPE, "--start=False"]) == 0
    assert run.main(["ablate", RECIPE, "--variant=base"]) == 0
    assert "done before" in capfd.readouterr().out
    assert (folder / "ablation/base/seed_0/metrics.jsonl").read_bytes() == metrics


@pytest.mark.parametrize("recipe", ["run/config.gin", "ablation/recipes/slow.seed_0.gin"])
def test_its_resolved_recipes_are_recipes(folder, recipe, capfd):
    assert run.main(["inspect", f"--gin_file={recipe}"]) == 0


def test_its_vocabulary_and_stores_are_read_as_they_are(folder, capfd):
    assert run.main(["cache", RECIPE]) == 0
    assert "99 documents, 21 held out" in capfd.readouterr().out
    assert run.main(["inspect", RECIPE, "--gin.train.train.keep_last=3"]) == 0
