"""Once its stores are complete, a run needs its text no more: shares that follow from sizes stay as they were."""

import json
import shutil

import pytest
from toy_tasks import begin_again

import run
from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.errors import InputError
from polylm_jax.text import mixtures
from tasks import corpus
from tasks.sample_data import generate
from tasks.sources import sizes

# Two sources of a language and two pairs: the shares of both are divided by the sizes of files too.
RECIPE = """
from __gin__ import dynamic_registration
from polylm_jax import model
from polylm_jax import training
from tasks import corpus
include 'recipes/my_text.gin'
DATA_DIR = '{folder}/text'
VOCABULARY = '{folder}/small.model'
CACHE_DIR = '{folder}/cache'
MODEL_DIR = '{folder}/unbroken'
RESULTS = '{folder}/results'
OUTPUT = '{folder}/exported'
MONOLINGUAL = {{'en': 'en.jsonl', 'th': 'th.jsonl', 'th.more': 'more.jsonl'}}
BILINGUAL = {{'en-th': 'en-th.jsonl', 'en-id': 'en-id.jsonl'}}
SHARES = @corpus.shares()
corpus.shares:
  counts = @corpus.sizes()
  non_english = 0.7
  parallel = 0.3
VOCAB_SIZE = 600
SEQUENCE_LENGTH = 32
STEPS = 4
SAVE_EVERY_STEPS = 2
EVAL_EVERY_STEPS = 0
training.PhaseConfig.warmup_steps = 1
model.PolyLMConfig.num_layers = 1
model.PolyLMConfig.embed_dim = 32
model.PolyLMConfig.num_heads = 8
"""


def call(mode, recipe, *more):
    """The exit code of a mode, as a new process has it."""
    begin_again()
    sizes._TOLD.clear()
    return run.main([mode, f"--gin_file={recipe}", *more])


def model_dir(folder):
    return f"--gin.MODEL_DIR={str(folder)!r}"


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    """A folder with an unbroken run, its shares, one as it was after step 2, and no text any more."""
    folder = tmp_path_factory.mktemp("gone")
    generate.write(folder / "text", per_frame=4)
    shutil.copy(folder / "text/th.jsonl", folder / "text/more.jsonl")
    (folder / "mine.gin").write_text(RECIPE.format(folder=folder))
    assert call("train_tokenizer", folder / "mine.gin") == 0
    assert call("train", folder / "mine.gin") == 0
    (folder / "shares.json").write_text(json.dumps(mixtures.flatten("mine.all")))
    shutil.copytree(folder / "unbroken", folder / "stopped")
    shutil.rmtree(folder / "stopped/checkpoints/4")
    (folder / "text").rename(folder / "away")
    yield folder
    begin_again()


@pytest.mark.parametrize("recipe", ["mine.gin", "unbroken/config.gin"])
def test_resuming_without_the_text_is_bitwise_the_same(gone, recipe, tmp_path, capfd):
    shutil.copytree(gone / "stopped", tmp_path / "resumed")
    assert call("train", gone / recipe, model_dir(tmp_path / "resumed")) == 0
    said = capfd.readouterr().err
    unbroken, resumed = (read_progress(str(f)) for f in (gone / "unbroken", tmp_path / "resumed"))
    assert resumed.step == unbroken.step == 4
    assert resumed.fingerprint == unbroken.fingerprint
    assert resumed.digests == unbroken.digests  # of every array of the parameters and the optimizer
    assert set(resumed.digests) == {"params", "optimizer"}
    size = (gone / "away/en.jsonl").stat().st_size
    assert said.count(" counts with the ") == 1
    assert f"mine.en counts with the {size:,} bytes that its store" in said


def test_shares_are_the_same_to_the_last_bit(gone):
    assert call("inspect", gone / "mine.gin") == 0
    assert mixtures.flatten("mine.all") == json.loads((gone / "shares.json").read_text())


@pytest.mark.parametrize("recipe", ["mine.gin", "unbroken/config.gin"])
def test_every_mode_that_needs_no_text_reads_the_recipe(gone, recipe, tmp_path):
    assert call("export", gone / recipe, f"--gin.OUTPUT={str(tmp_path / 'out')!r}") == 0
    asked = ("--gin.PROMPT='The'", "--gin.MAX_NEW_TOKENS=2")
    assert call("generate", gone / recipe, *asked) == 0


def test_what_reads_text_says_which_is_gone(gone, capfd):
    for mode in ("evaluate", "cache"):
        assert call(mode, gone / "mine.gin") == 2
        (refusal,) = [line for line in capfd.readouterr().err.splitlines() if "counts" not in line]
        assert "en.jsonl" in refusal and "isn't there" in refusal


def test_a_size_is_recorded_by_a_complete_store_alone(gone, tmp_path):
    text, recorded = str(gone / "text"), {"en": (gone / "away/en.jsonl").stat().st_size}
    assert corpus.sizes(text, {"en": "en.jsonl"}, str(gone / "cache")) == recorded
    with pytest.raises(InputError, match="say cache_dir = %CACHE_DIR"):
        corpus.sizes(text, {"en": "en.jsonl"})
    with pytest.raises(InputError, match="isn't there; give"):
        corpus.sizes(text, {"en": "en.jsonl"}, str(gone / "cache"), name="other")
    shutil.copytree(gone / "cache/mine.en", tmp_path / "mine.en")
    (tmp_path / "mine.en/store.json").unlink()
    with pytest.raises(InputError, match="isn't there; give"):
        corpus.sizes(text, {"en": "en.jsonl"}, str(tmp_path))


def test_text_that_is_there_counts_as_it_is(gone, tmp_path):
    (tmp_path / "en.jsonl").write_text("{}")
    assert corpus.sizes(str(tmp_path), {"en": "en.jsonl"}, str(gone / "cache")) == {"en": 2}
