"""Each kind of bad input ends in exit code 2 with one sentence, before anything compiles."""

import json
import re
import shutil

import jax
import pytest
from gcs_server import GcsServer
from toy_tasks import begin_again

import run
from tasks.sample_data import generate

LOGGED = re.compile(r"E\d{4} .*google_auth_provider\.cc")
RECIPE = "--gin_file=gin_configs/recipes/my_text.gin"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with English, Thai and pairs, and a vocabulary of 500 pieces."""
    folder = tmp_path_factory.mktemp("bad_input")
    generate.write(folder / "text", per_frame=4)
    begin_again()
    assert run.main(["train_tokenizer", RECIPE, *settings(folder)]) == 0
    return folder


def settings(folder, **macros) -> list[str]:
    """Overrides for a small run in `folder`, and then those given."""
    values = {
        "DATA_DIR": str(folder / "text"),
        "VOCABULARY": str(folder / "small.model"),
        "CACHE_DIR": str(folder / "cache"),
        "MODEL_DIR": str(folder / "model"),
        "MONOLINGUAL": {"en": "en.jsonl", "th": "th.jsonl"},
        "BILINGUAL": {"en-th": "en-th.jsonl"},
        "SHARES": {"en": 0.5, "th": 0.4, "parallel": 0.1},
        "VOCAB_SIZE": 600,
        "SEQUENCE_LENGTH": 32,
        "STEPS": 40,
    }
    return [f"--gin.{name}={value!r}" for name, value in (values | macros).items()]


@pytest.fixture
def refused(corpus, capfd, monkeypatch):
    """Runs a mode that must be refused, and returns its sentence."""

    def compile_nothing(*args, **kwargs):
        raise AssertionError("something was compiled")

    def call(*more: str, mode: str = "train", **macros) -> str:
        begin_again()
        monkeypatch.setattr("polylm_jax.training.programs.Programs.lower_step", compile_nothing)
        capfd.readouterr()
        assert run.main([mode, RECIPE, *settings(corpus, **macros), *more]) == 2
        lines = capfd.readouterr().err.splitlines()
        # TensorStore logs once that it found no credentials, in a line of its own.
        (line,) = [line for line in lines if not LOGGED.match(line)]
        return line

    yield call
    begin_again()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--gin.BATCHSIZE=8", ("BATCHSIZE", "Did you mean 'BATCH_SIZE'?")),
        ("--gin.training.Experiment.batch_sise=8", ("batch_sise", "'batch_size'?")),
        ("--gin.training.Experimnt.batch_size=8", ("Experimnt", "Experiment'?")),
        ("--gin.training.train.seed=8", ("'seed'. Did you mean 'training.Experiment.seed'?",)),
        ("--gin.stage1/training.PhaseConfig.steps=8", ("stage1",)),
        ("--gin.SEED=%SEEED", ("SEEED", "Did you mean 'SEED'?")),
        ("--gin_flie=x.gin", ("--gin_flie", "'--gin_file'?")),
    ],
)
def test_a_misspelled_name(refused, override, words):
    line = refused(override)
    assert all(word in line for word in words), line


def test_a_required_name_that_nobody_gives(capfd):
    begin_again()
    assert run.main(["train", RECIPE, "--gin.DATA_DIR='text'"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "train needs MONOLINGUAL" in line and "--gin.MONOLINGUAL=VALUE" in line


def test_a_missing_gin_file(capfd):
    begin_again()
    assert run.main(["train", "--gin_file=gin_configs/recipes/my_txt.gin"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "my_txt.gin" in line


def test_a_missing_store(refused, corpus):
    mixture = "--gin.training.PhaseConfig.mixture={'mine.en': 1.0}"
    line = refused("--gin.TASKS=None", mixture, CACHE_DIR=str(corpus / "nowhere"))
    assert "no token store at" in line and "run.py cache" in line


def test_a_task_that_is_not_registered(refused):
    line = refused("--gin.training.PhaseConfig.mixture='mine.e'")
    assert "'mine.e'" in line and "Did you mean 'mine.en'?" in line
    line = refused("--gin.TASKS='mine.en'", mode="cache")
    assert "'mine.en' isn't registered" in line and "TASKS" in line


def test_a_missing_file(refused):
    line = refused(mode="cache", MONOLINGUAL={"en": "nothing.jsonl", "th": "th.jsonl"})
    assert "nothing.jsonl" in line and "give a file's path" in line


def test_an_empty_glob(refused):
    line = refused(mode="cache", MONOLINGUAL={"en": "*.tsv", "th": "th.jsonl"})
    assert "*.tsv" in line and "glob" in line


def test_a_missing_vocabulary(refused, corpus):
    line = refused(VOCABULARY=str(corpus / "none.model"))
    assert "none.model" in line and "train_tokenizer" in line


def test_a_mixture_that_is_not_registered(refused):
    line = refused("--gin.training.PhaseConfig.mixture='mine.al'")
    assert "'mine.al'" in line and "Did you mean 'mine.all'?" in line


def test_shares_that_do_not_sum_to_one(refused):
    line = refused(SHARES={"en": 0.5, "th": 0.4, "parallel": 0.2})
    assert "1.1" in line and "sum to 1" in line


def test_a_negative_share(refused):
    line = refused(SHARES={"en": 1.2, "th": -0.3, "parallel": 0.1})
    assert "'en' is 1.2" in line or "'th' is -0.3" in line


def test_a_language_without_data(refused):
    line = refused(SHARES={"en": 0.5, "th": 0.4, "he": 0.1})
    assert "'he'" in line and "no text" in line


def test_an_unknown_language(refused):
    line = refused(MONOLINGUAL={"en": "en.jsonl", "tha1": "th.jsonl"})
    assert "'tha1'" in line and "Did you mean 'tha'?" in line


def test_a_language_whose_text_is_shorter_than_a_row(refused, corpus):
    record = json.dumps({"id": "story-lantern", "text": "Halo."})
    (corpus / "text" / "short.jsonl").write_text(record + "\n")
    monolingual = {"en": "en.jsonl", "th": "th.jsonl", "id": "short.jsonl"}
    shares = {"en": 0.5, "th": 0.3, "id": 0.1, "parallel": 0.1}
    line = refused(MONOLINGUAL=monolingual, SHARES=shares)
    assert "'mine.id'" in line and "fewer than one row of 32" in line


def test_rows_longer_than_the_model_has_positions(refused):
    line = refused(SEQUENCE_LENGTH=512)
    assert "sequence_length = 512" in line and "max_length = 256" in line


def test_a_batch_that_does_not_divide_over_the_mesh(refused):
    line = refused(BATCH_SIZE=12)
    assert "batch_size = 12" in line and "8x1x1" in line


@pytest.mark.parametrize(
    ("mesh", "words"),
    [
        ({"data": 3}, ("3x1x1", "8 devices")),
        ({"tensor": 8}, ("num_heads = 4", "tensor = 8")),
        ({"data": -1, "fsdp": -1}, ("-1 may stand for one axis",)),
    ],
)
def test_a_mesh_that_fits_neither_devices_nor_model(refused, mesh, words):
    line = refused(*(f"--gin.MeshConfig.{axis}={size}" for axis, size in mesh.items()))
    assert all(word in line for word in words), line


def test_a_vocabulary_that_does_not_divide_over_the_mesh(refused):
    line = refused("--gin.MeshConfig.tensor=4", VOCAB_SIZE=602)
    assert "vocab_size = 602" in line and "tensor = 4" in line


def test_a_vocabulary_larger_than_the_models(refused):
    line = refused("--gin.model.PolyLMConfig.vocab_size=400")
    assert "600 pieces" in line and "vocab_size = 400" in line


def test_a_warm_up_longer_than_the_run(refused):
    line = refused("--gin.training.PhaseConfig.warmup_steps=41")
    assert "warmup_steps = 41" in line and "40 steps" in line


def test_a_store_of_another_vocabulary(refused, corpus):
    other = corpus / "other.model"
    begin_again()
    again = settings(corpus, VOCABULARY=str(other), VOCAB_SIZE=500)
    assert run.main(["train_tokenizer", RECIPE, *again]) == 0
    begin_again()
    assert run.main(["cache", RECIPE, *settings(corpus)]) == 0
    line = refused(VOCABULARY=str(other), VOCAB_SIZE=500)
    assert "another vocabulary" in line and "small.model" in line


def test_a_checkpoint_of_another_model(refused, corpus, tmp_path, monkeypatch):
    begin_again()
    model_dir = str(tmp_path / "model")
    argv = settings(corpus, MODEL_DIR=model_dir, STEPS=1)
    argv += ["--gin.training.PhaseConfig.warmup_steps=0", "--gin.EVAL_EVERY_STEPS=0"]
    assert run.main(["train", RECIPE, *argv]) == 0
    wider = "--gin.model.PolyLMConfig.mlp_dim=256"
    more = [wider, *argv[-2:]]
    line = refused(*more, MODEL_DIR=model_dir, STEPS=1)
    assert "model.mlp_dim: 512 -> 256" in line and model_dir in line
    line = refused(*more, STEPS=1, INIT_FROM=model_dir)
    assert "mlp" in line and model_dir in line
    shutil.rmtree(model_dir)


@pytest.mark.parametrize("field", ["CACHE_DIR", "MODEL_DIR", "VOCABULARY"])
def test_a_bucket_that_does_not_exist(refused, field):
    with GcsServer(buckets=("mine",)):
        line = refused(**{field: "gs://absent/place/x.model"})
    assert "gs://absent" in line
    assert "create the bucket or correct its name" in line or "name a SentencePiece" in line


@pytest.mark.parametrize("field", ["CACHE_DIR", "MODEL_DIR", "VOCABULARY"])
def test_a_bucket_without_credentials(refused, field):
    with GcsServer(buckets=("closed",), deny=("closed",)):
        line = refused(**{field: "gs://closed/place/x.model"})
    assert "gs://closed" in line and "GOOGLE_APPLICATION_CREDENTIALS" in line


def test_text_in_a_bucket_that_is_not_there_or_shut(refused):
    globs = {"en": "en*.jsonl", "th": "th*.jsonl"}
    with GcsServer(buckets=("closed",), deny=("closed",)):
        line = refused(mode="cache", DATA_DIR="gs://absent/place")
        assert "gs://absent/place/en.jsonl" in line and "isn't there" in line
        line = refused(mode="cache", DATA_DIR="gs://absent/place", MONOLINGUAL=globs)
        assert "gs://absent/place" in line
        line = refused(mode="cache", DATA_DIR="gs://closed/place", MONOLINGUAL=globs)
        assert "gs://closed/place" in line and "GOOGLE_APPLICATION_CREDENTIALS" in line


def test_eight_devices_are_simulated():
    assert jax.device_count() == 8
