"""A MODEL_DIR belongs to one process, keeps every recipe, and refuses another run."""

import os
import pathlib
import subprocess
import sys

import pytest
import toy_run
from gcs_server import GcsServer

from polylm_jax.checkpoints import layout
from polylm_jax.errors import InputError
from polylm_jax.runtime.lock import BeatingLock
from polylm_jax.runtime.storage import Folder
from polylm_jax.training.run_directory import RunDirectory, check_resume

pytest_plugins = ["toy_fixture"]

REPO = pathlib.Path(__file__).resolve().parents[2]
HOLD = "import sys; from polylm_jax.training.run_directory import RunDirectory as R; r = R(sys.argv[1]); "


def test_is_refused_while_another_process_lives_in_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-u", "-c", HOLD + "print('held'); sys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPO,
    )  # fmt: skip
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match=f"in use by process {holder.pid} on "):
        RunDirectory(str(tmp_path))
    holder.kill()
    holder.communicate()
    RunDirectory(str(tmp_path)).close()


def test_a_closed_one_is_free(tmp_path):
    for _ in range(2):
        RunDirectory(str(tmp_path)).close()


def test_a_refused_start_leaves_no_folder(toy_folder, tmp_path):
    with pytest.raises(InputError, match="has no 'checkpoints' folder"):
        toy_run.run(toy_folder, tmp_path / "new", init_from=str(tmp_path / "nowhere"))
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    RunDirectory(str(tmp_path / "mine")).close()
    assert (tmp_path / "mine").exists()


def test_without_flock_a_silent_lock_is_taken_over(tmp_path):
    folder = Folder(str(tmp_path), "MODEL_DIR")
    first = BeatingLock(folder, seconds=0.05)
    with pytest.raises(InputError, match=f"in use by process {os.getpid()} on "):
        BeatingLock(folder, seconds=0.05)
    last_words = folder.read("lock")
    first.close()
    BeatingLock(folder, seconds=0.05).close()
    folder.write("lock", last_words)  # as a killed holder leaves it
    BeatingLock(folder, seconds=0.05).close()


def test_one_rule_says_what_is_complete(tmp_path, monkeypatch):
    files = ["4/params/a", "4/commit_success.txt", "12/params/a", "x.tmp-3/params/a"]
    assert layout.steps(files) == [4]
    assert layout.steps(["12/params/a", "4/params/a", "x.tmp-3/params/a"]) == [4, 12]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert layout.steps_in(layout.located(str(tmp_path))) == [4, 12]
    monkeypatch.setattr(layout.paths, "is_remote", lambda path: True)  # as in a bucket
    assert layout.steps_in(layout.located(str(tmp_path))) == [4]


def test_every_start_keeps_its_recipe(tmp_path):
    directory = RunDirectory(str(tmp_path))
    names = [directory.write_recipe(f"seed = {n}") for n in range(3)]
    directory.close()
    assert names == ["config.gin", "config.1.gin", "config.2.gin"]
    assert (tmp_path / "config.1.gin").read_text() == "seed = 1"


def test_all_of_a_run_lies_in_its_folder_at_home(toy_folder, tmp_path, monkeypatch):
    """Checkpoints, logs, TensorBoard's files and traces; nothing in the folder of the command."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    short = {"phases": toy_run.phases(3, 3, 2)}
    toy_run.run(toy_folder, "~/run", short, tensorboard=True, profile_steps=1)
    assert not any((tmp_path / "here").iterdir())
    made = {path.name for path in (tmp_path / "home/run").iterdir()}
    assert {"checkpoints", "metrics.jsonl", "events.jsonl", "tensorboard", "profile"} <= made


def test_a_bucket_keeps_recipes_and_a_lock():
    with GcsServer(buckets=("bucket",)) as server:
        directory = RunDirectory("gs://bucket/run")
        assert [directory.write_recipe("") for _ in range(2)] == ["config.gin", "config.1.gin"]
        directory.write_fingerprint({"seed": 0})
        assert f"process {os.getpid()} on" in server.buckets["bucket"]["run/lock"][1].decode()
        directory.close()
        RunDirectory("gs://bucket/run").close()


@pytest.mark.parametrize(("bucket", "sentence"), [("shut", "refuses this user"), ("none", "exist")])
def test_a_bucket_that_is_shut_or_not_there_is_one_sentence(bucket, sentence):
    with GcsServer(buckets=("shut",), deny=("shut",)), pytest.raises(InputError, match=sentence):
        RunDirectory(f"gs://{bucket}/run")


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="MODEL_DIR = '.*file/run' can't be"):
        RunDirectory(str(tmp_path / "file" / "run"))


OLD = {"seed": 0, "model": {"num_layers": 2}, "phases": [{"rows": 8, "shares": {"en": 1.0}}]}


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({**OLD, "seed": 1}, "seed: 0 -> 1"),
        ({**OLD, "model": {"num_layers": 4}}, "model.num_layers: 2 -> 4"),
        ({**OLD, "phases": [{"rows": 9, "shares": {"en": 1.0}}]}, "phases.0.rows: 8 -> 9"),
        (
            {**OLD, "phases": [{"rows": 8, "shares": {"th": 1.0}}]},
            "phases.0.shares.th: absent -> 1.0; phases.0.shares.en: 1.0 -> absent",
        ),
    ],
)
def test_a_changed_recipe_is_refused_by_name(new, said):
    with pytest.raises(InputError) as refusal:
        check_resume("runs/a", OLD, new, allow_changes=False)
    assert said in str(refusal.value) and "--allow_changes" in str(refusal.value)
    assert check_resume("runs/a", OLD, new, allow_changes=True) == said.split("; ")


def test_the_same_recipe_goes_on():
    assert check_resume("runs/a", OLD, dict(reversed(OLD.items())), allow_changes=False) == []


def test_a_refusal_stays_short():
    with pytest.raises(InputError, match="and 7 more: "):
        check_resume("runs/a", {}, {str(n): n for n in range(10)}, allow_changes=False)
