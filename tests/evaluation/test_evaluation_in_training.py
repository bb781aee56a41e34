"""Evaluation tasks while a run trains: in its logs, on time, and without a trace in its parameters."""

import json

import pytest
import toy_evaluation
import toy_run

from polylm_jax.checkpoints import identity
from polylm_jax.errors import InputError
from polylm_jax.evaluation import language_model, runner
from polylm_jax.evaluation.in_training import TrainingTasks
from polylm_jax.evaluation.language_model import Batching, Loading
from polylm_jax.model.partitioning import MeshConfig

pytest_plugins = ["toy_fixture"]

ITEMS = [("ab", [" c", "ad"]), ("abc", ["abd", "cd"]), ("a" * 20, ["a", "b"])]
STEPS = 12
BATCHING = Batching(tokens_per_part=32, label_chunk=8, rows=1)


@pytest.fixture(scope="module")
def tasks(toy_folder):
    """Ranking, an item of which is too long, and generation."""
    vocabulary = f"{toy_folder}/toy.model"
    toy_evaluation.add_rank("toy.rank", vocabulary, ITEMS)
    toy_evaluation.add_generation("toy.text", vocabulary, max_new_tokens=3)
    return ["toy.rank", "toy.text"]


def lines(model_dir):
    return [json.loads(x) for x in (model_dir / "evaluation.jsonl").read_text().splitlines()]


def settings(tasks, **changes):
    return TrainingTasks(tasks, **{"every_steps": 5, "batching": BATCHING, **changes})


@pytest.fixture(scope="module")
def trained(toy_folder, tasks, tmp_path_factory):
    """A run that evaluated tasks on its way."""
    model_dir = tmp_path_factory.mktemp("evaluated") / "run"
    changes = {"phases": toy_run.halves(STEPS)}
    toy_run.run(
        toy_folder, model_dir, changes, evaluation=settings(tasks), eval_every_steps=6, eval_rows=4
    )
    return model_dir


def test_tasks_are_evaluated_on_time_into_the_logs(trained):
    found = lines(trained)
    assert [line["step"] for line in found] == [0, 5, 10, STEPS]
    for line in found:
        assert line["toy.rank"]["items"] == 3 and line["toy.rank"]["items_too_long"] == 1
        assert 0 <= line["toy.rank"]["accuracy_sum"] <= 100
        assert line["toy.text"]["items"] == 3
    validated = (trained / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in validated] == [0, 6, STEPS]


def test_the_last_line_is_what_the_checkpoint_scores(toy_folder, trained):
    found, progress = identity.identify(str(trained))
    model = language_model.load(
        found, progress, f"{toy_folder}/toy.model",
        Loading(toy_run.MODEL, mesh=MeshConfig(2, 2, 2), batching=BATCHING),
    )  # fmt: skip
    last = lines(trained)[-1]
    for name in ("toy.rank", "toy.text"):
        result = runner.run(runner.ask(name, model), model)
        for key in result.metrics.keys() - {"items"}:
            assert last[name][key] == pytest.approx(result.metrics[key])


def test_it_changes_nothing_and_is_not_done_twice(toy_folder, trained, tasks, tmp_path):
    changes = {"phases": toy_run.halves(STEPS)}
    toy_run.run(toy_folder, tmp_path / "plain", changes)
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, trained, **changes),
        toy_run.final_state(toy_folder, tmp_path / "plain", **changes),
    )
    before = lines(trained)
    toy_run.run(toy_folder, trained, changes, evaluation=settings(tasks))
    assert lines(trained) == before


def test_bad_tasks_are_refused_before_anything_compiles(toy_folder, tasks, tmp_path):
    for given, sentence in (
        (settings(["toy.rnak"]), "Did you mean 'toy.rank'"),
        (settings(tasks, every_steps=0), "every_steps = 0"),
        (settings(tasks, limit=0), "limit = 0"),
        (settings([]), "name one task at least"),
    ):
        with pytest.raises(InputError, match=sentence):
            toy_run.run(toy_folder, tmp_path / "run", evaluation=given)
