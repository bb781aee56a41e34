"""`run.py ablate` with workers as processes: eight runs at once, and whatever is killed, nothing is lost."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import toy_ablation
import toy_run

pytest_plugins = ["toy_fixture"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("POLYLM_SLOW_TESTS"),
        reason="starts a dozen processes that import all: POLYLM_SLOW_TESTS=1 runs it",
    ),
]
ALONE = ["VARIANTS = [('both',)]", "OTHER_BUDGETS = []", "CLAIMS = []"]


def phases(first, second):
    one, two = toy_run.phases(first, second, 0)
    return [dataclasses.replace(one, warmup_steps=2), two]


def started(recipe, *flags):
    command = [sys.executable, str(toy_run.REPO / "run.py"), "ablate", recipe, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def assert_as_alone(toy_folder, tmp_path, seeds, first, second):
    for seed in seeds:
        changes = {"phases": phases(first, second), "seed": seed, "mesh": toy_run.MeshConfig()}
        toy_run.run(toy_folder, tmp_path / f"alone{seed}", changes)
        here = tmp_path / f"out/both/seed_{seed}"
        toy_run.assert_bitwise_equal(
            toy_run.final_state(toy_folder, here, **changes),
            toy_run.final_state(toy_folder, tmp_path / f"alone{seed}", **changes),
        )
        assert toy_run.losses(here) == toy_run.losses(tmp_path / f"alone{seed}")


def test_eight_runs_at_once_are_each_as_alone(toy_folder, tmp_path):
    lines = [*ALONE, f"SEEDS = {tuple(range(8))}"]
    recipe = toy_ablation.recipe(tmp_path / "toy.gin", toy_folder, tmp_path / "out", *lines)
    process = started(recipe, "--workers=8")
    said = process.communicate(timeout=1200)[0]
    assert process.returncode == 0 and said.startswith("8 workers"), said
    starts = [toy_run.events(tmp_path / f"out/both/seed_{n}", "start")[0]["time"] for n in range(8)]
    ends = [toy_run.events(tmp_path / f"out/both/seed_{n}", "end")[0]["time"] for n in range(8)]
    assert max(starts) < max(ends)
    assert_as_alone(toy_folder, tmp_path, range(8), 8, 4)


def steps(model_dir):
    try:
        return len((model_dir / "metrics.jsonl").read_text().splitlines())
    except OSError:
        return 0


@pytest.mark.parametrize(
    ("killed", "by", "code"),
    [
        ("parent", signal.SIGKILL, -signal.SIGKILL),
        ("parent", signal.SIGTERM, 143),
        ("parent", signal.SIGINT, 130),
        ("worker", signal.SIGKILL, 1),
    ],
)
def test_nothing_is_lost_and_the_same_command_goes_on(toy_folder, tmp_path, killed, by, code):
    lines = [*ALONE, "SEEDS = (3, 4)", "TWO = 1500", "SAVE_EVERY_STEPS = 400", "WORKERS = 2"]
    recipe = toy_ablation.recipe(tmp_path / "toy.gin", toy_folder, tmp_path / "out", *lines)
    process = started(recipe)
    places = [tmp_path / f"out/both/seed_{seed}" for seed in (3, 4)]
    while min(map(steps, places)) < 50:
        assert process.poll() is None
        time.sleep(0.05)
    workers = [worker for server in children(process.pid) for worker in children(server)]
    assert len(workers) == 2
    os.kill(process.pid if killed == "parent" else workers[0], by)
    process.communicate(timeout=300)
    assert process.returncode == code
    end = time.monotonic() + 60
    while any(pathlib.Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
        assert time.monotonic() < end, "a worker lives on"
        time.sleep(0.1)
    last = [toy_run.events(place, "commit")[-1]["step"] for place in places if killed == "parent"]
    assert all(step >= 50 for step in last)
    process = started(recipe)
    process.communicate(timeout=600)
    assert process.returncode == 0
    assert_as_alone(toy_folder, tmp_path, (3, 4), 8, 1500)


def children(process):
    paths = pathlib.Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for path in paths for word in path.read_text().split()]
