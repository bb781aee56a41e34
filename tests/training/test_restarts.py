"""What starts a run again stops where a new start can't help; scripts and manifests agree with it."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
import yaml

import run
from polylm_jax.errors import LEFT, LEFT_UNSAVED, CorruptReplica, Diverged, InputError

SCRIPTS = run.REPO / "scripts"
FINAL = {error.exit_code for error in (InputError, Diverged, CorruptReplica)}


def keep_running(folder: pathlib.Path, codes, restarts=3):
    """Runs the script over a command that ends with these codes in turn; its code, and the starts."""
    command = "n=$(cat n); echo $((n + 1)) > n; codes=($CODES); exit ${codes[$n]:-0}"
    (folder / "n").write_text("0")
    done = subprocess.run(
        [SCRIPTS / "keep_running.sh", "bash", "-c", command], cwd=folder, check=False, capture_output=True,
        env=os.environ | {"CODES": " ".join(map(str, codes)), "PAUSE": "0", "RESTARTS": str(restarts)},
        timeout=60,
    )  # fmt: skip
    return done.returncode, int((folder / "n").read_text())


@pytest.mark.parametrize("code", [0, *sorted(FINAL)])
def test_what_ends_the_same_way_again_is_not_started_again(code, tmp_path):
    assert keep_running(tmp_path, [code]) == (code, 1)


@pytest.mark.parametrize("code", [1, LEFT, LEFT_UNSAVED, 137])
def test_what_may_go_better_is_started_again(code, tmp_path):
    assert keep_running(tmp_path, [code, code, 0]) == (0, 3)


def test_restarts_end_by_number_or_by_a_stop_file(tmp_path):
    assert keep_running(tmp_path, [1] * 9, restarts=3) == (1, 4)
    (tmp_path / "stop_training").touch()
    assert keep_running(tmp_path, [1] * 9) == (1, 1)


def test_sigterm_goes_on_to_the_command_and_is_the_end(tmp_path):
    body = "trap 'sleep 0.5; exit 143' TERM; touch up; while true; do sleep 0.1; done"
    loop = subprocess.Popen([SCRIPTS / "keep_running.sh", "bash", "-c", body], cwd=tmp_path)
    while not (tmp_path / "up").exists():
        time.sleep(0.05)
    loop.send_signal(signal.SIGTERM)
    assert loop.wait(timeout=30) == 143


def job():
    text = (SCRIPTS / "gke_job.yaml").read_text()
    return yaml.safe_load(text), text


def test_the_jobset_gives_up_where_a_new_start_cannot_help():
    made, _ = job()
    spec = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["operator"] == "In"
    assert set(rule["onExitCodes"]["values"]) == FINAL
    (ends,) = made["spec"]["failurePolicy"]["rules"]
    assert ends == {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}


def test_the_jobset_waits_longer_than_the_run_takes_to_save():
    made, text = job()
    pod = made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    grace = float(re.search(r"--grace_seconds=(\d+)", text)[1])
    assert grace + 10 <= pod["terminationGracePeriodSeconds"]


def test_the_jobset_finds_its_programs_on_every_host():
    """JAX lets process 0 alone write to its cache: a folder of its own disk helps nobody else."""
    _, text = job()
    assert re.search(r"--compilation_cache_dir=gs://", text)


def test_what_the_jobset_starts_finds_its_data():
    """A recipe's own folders are local, and an image has none of them."""
    _, text = job()
    for name in ("MODEL_DIR", "CACHE_DIR", "VOCABULARY"):
        assert f"--gin.{name}='\"gs://" in text, name


def test_the_pod_script_keeps_the_run_running():
    text = (SCRIPTS / "tpu_pod.sh").read_text()
    assert "keep_running.sh" in text and "stop_training" in text
    subprocess.run(["bash", "-n", SCRIPTS / "tpu_pod.sh"], check=True)


GCLOUD = """#!/usr/bin/env bash
for given in "$@"; do
  case "$given" in --command=*)
    printf '%s\\0' "${given#--command=}" >> "$COMMANDS"
    [ -z "$RUNS" ] || exec bash -c "${given#--command=}" ;;
  esac
done
"""


def pod(folder, *command, runs=False):
    """tpu_pod.sh with one worker, which is this machine if it `runs`; the commands that workers get."""
    (folder / "gcloud").write_text(GCLOUD)
    (folder / "gcloud").chmod(0o755)
    told = {"NAME": "n", "ZONE": "z", "RUNS": "1" if runs else "", "COMMANDS": f"{folder}/commands"}
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(
        [SCRIPTS / "tpu_pod.sh", *command], cwd=folder, check=True, capture_output=True,
        env=os.environ | told | {"PATH": path, "REPOSITORY": "r", "BRANCH": "b"}, timeout=60,
    )  # fmt: skip
    return (folder / "commands").read_text().split("\0")[:-1]


def test_stop_looks_for_the_run_and_not_for_itself(tmp_path):
    """A shell whose own command has the name was ended, too, and waited for until the time was over."""
    commands = [one for one in pod(tmp_path, "stop") if "train" in one and "touch" not in one]
    assert len(commands) == 2
    for command in commands:
        pattern = re.search(r"-f (['\"])(.*?)\1", command)[2]
        assert re.search(pattern, ".venv/bin/python run.py train --gin_file=a.gin")
        for other in (command, "scripts/keep_running.sh .venv/bin/python run.py train"):
            assert not re.search(pattern, f"bash -c {other}")
            assert not re.search(pattern, f"timeout 300 bash -c {other}")


def test_start_comes_back_while_the_run_goes_on(tmp_path):
    """What stays behind held the connection open, so the script ended with the run."""
    python = tmp_path / "polylm" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/bash\necho "$@" > given; until [ -e go ]; do sleep 0.1; done; rm go\n'
    )
    python.chmod(0o755)
    (tmp_path / "polylm" / "scripts").symlink_to(SCRIPTS)
    pod(tmp_path, "start", "--gin.MODEL_DIR='gs://a b'", runs=True)
    given, go = tmp_path / "polylm" / "given", tmp_path / "polylm" / "go"
    while not given.exists() or not given.read_text():
        time.sleep(0.05)
    assert given.read_text() == "run.py train --gin.MODEL_DIR='gs://a b'\n"
    go.touch()
    while go.exists():  # the run ends with 0, so nothing starts it again
        time.sleep(0.05)
