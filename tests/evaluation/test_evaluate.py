"""`run.py evaluate`, from a gin file to a report: a first time, a second time, and with bad input."""

import dataclasses
import json
import shutil

import gin
import pytest
import toy_hf
from clean_gin import clean  # noqa: F401
from tables import unpadded

import run

CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, max_length=64)
ITEMS = [
    ("The rain fell.", "The road was wet.", "The cat sang.", "effect", 0),
    ("The ferry left.", "It was noon.", "It was a loaf.", "cause", 0),
    ("The bread burned.", "The oven was cold.", "The oven was hot.", "cause", 1),
]
RECIPE = """
from __gin__ import dynamic_registration
from polylm_jax import evaluation
from tasks.benchmarks import registration
from tasks.benchmarks import xcopa

include 'runs/evaluate.gin'

LANGUAGES = ['th', 'tr']
CHECKPOINT = '{folder}/run'
VOCABULARY = '{folder}/bpe.model'
RESULTS = '{folder}/results'
EVALUATION_TASKS = @registration.merged()
registration.merged.groups = [@xcopa.register()]
xcopa.register:
  data_dir = '{folder}'
  vocabulary = %VOCABULARY
  languages = %LANGUAGES
  split = 'validation'
evaluation.evaluate:
  dtype = 'float32'
  batching = @evaluation.Batching()
evaluation.Batching.tokens_per_part = 128
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, a vocabulary, XCOPA in two languages and a recipe."""
    folder = tmp_path_factory.mktemp("evaluate")
    toy_hf.checkpoint(folder / "run", toy_hf.vocabulary(folder), CONFIG)
    for language in ("th", "tr"):
        write(folder / "xcopa" / f"val.{language}.jsonl", ITEMS)
    (folder / "mine.gin").write_text(RECIPE.replace("{folder}", str(folder)))
    return folder


def write(path, items):
    names = ("premise", "choice1", "choice2", "question", "label")
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(dict(zip(names, i, strict=True))) + "\n" for i in items))


def evaluate(folder, *arguments):
    return run.main(["evaluate", f"--gin_file={folder / 'mine.gin'}", *arguments])


def results(folder):
    (place,) = (folder / "results").glob("step_7_*")
    return place


def test_one_command_to_a_report_and_nothing_twice(folder, capsys):
    assert evaluate(folder) == 0
    out = capsys.readouterr().out
    assert "6 requests in" in out and "known before" not in out
    place = results(folder)
    assert out.rstrip().endswith(f"{place}/results.md")
    markdown = (place / "results.md").read_text()
    assert "| run: accuracy by sum, as published, zero-shot | validation | 3 | **" in unpadded(
        markdown
    )
    assert "| PolyLM-13B (paper) | | | 58.6 | 57.8 | – |" in unpadded(markdown)
    assert "3 items of the 100 published, 0 too long" in markdown
    found = json.loads((place / "results.json").read_text())
    assert set(found["tasks"]) == {
        f"xcopa.{language}{way}" for language in ("th", "tr") for way in ("", ".repaired")
    }
    assert found["checkpoint"]["parameters"] == CONFIG.num_params
    assert (place / "xcopa.png").read_bytes().startswith(b"\x89PNG")
    assert "xcopa.register" in (place / "recipe.gin").read_text()

    gin.clear_config()
    assert evaluate(folder) == 0
    assert "0 requests in 0.0 s, 6 known before" in capsys.readouterr().out
    assert (place / "results.md").read_text() == markdown


def test_items_too_long_are_told(folder, capsys):
    long = ("The rain fell.", "The road was wet " * 30, "The cat sang.", "effect", 0)
    write(folder / "xcopa" / "val.it.jsonl", [*ITEMS, long])
    assert evaluate(folder, "--gin.LANGUAGES=['it']") == 0
    assert "4 items, 1 too long" in capsys.readouterr().out
    assert "| validation | 4 (1 too long) |" in unpadded(
        (results(folder) / "results.md").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--gin.LANGUAGES=['thai']"], "doesn't cover 'thai'"),
        (["--gin.LANGUAGES=['id']"], "val.id.jsonl"),
        (["--gin.CHECKPOINT='nowhere'"], "has no 'checkpoints' folder"),
        (["--step=8"], "no complete checkpoint 8: it has 7"),
        (["--limit=0"], "--limit=0: give a whole number, 1 or more, or None"),
        (["--dtype=float23"], "Did you mean 'float32'?"),
        (["--compare=tunde"], "Did you mean 'tuned'?"),
        (["--gin.EVALUATION_TASKS=['xcopa.ht']"], "isn't registered"),
        (["--gin.EVALUATION_TASKS=[]"], "tasks is empty"),
    ],
)
def test_bad_input_gets_one_sentence(folder, arguments, sentence, capsys):
    assert evaluate(folder, *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error.splitlines()) == 1


def test_a_refused_one_leaves_no_results(folder, tmp_path, capsys):
    shutil.copytree(folder / "run", tmp_path / "run")
    data = max(tmp_path.glob("run/checkpoints/7/params/d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 16
    data.write_bytes(content)
    places = [f"--gin.{n}='{tmp_path}/{p}'" for n, p in (("CHECKPOINT", "run"), ("RESULTS", "out"))]
    assert evaluate(folder, *places) == 2
    assert "is damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_malformed_file_is_named_with_its_line(folder, capsys):
    write(folder / "xcopa" / "val.vi.jsonl", ITEMS)
    path = folder / "xcopa" / "val.vi.jsonl"
    path.write_text(path.read_text() + '{"premise": "cut')
    assert evaluate(folder, "--gin.LANGUAGES=['vi']") == 2
    error = capsys.readouterr().err
    assert "val.vi.jsonl" in error and "4" in error and len(error.splitlines()) == 1
