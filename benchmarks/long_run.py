"""What a long run costs the host: memory over its steps, the wait for data, the time to resume.

    python -m benchmarks.long_run [--steps=10000]

Trains a model so small that the host is the bottleneck if it can be (one layer of 64, 8 rows of 64
tokens), logging every 100 steps and saving every 1,000, in a process of its own. JSON lines:

  memory   resident MiB of that process at steps along the way; MiB per 1,000 steps from the second
           thousand on, by least squares
  data     share of the loop's time spent waiting for batches, and milliseconds per step
  resume   seconds from the start of a process to its first step's numbers, from checkpoints of
           several ages; three each, in turn
  rows     milliseconds from a schedule of a billion rows to the first batch at a step of it
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import toy_runs
from benchmarks.toy_runs import TASK, Workload

TINY = Workload(num_layers=1, embed_dim=64, num_heads=1, vocab_size=512, batch_size=8, length=64,
                warm=0)  # fmt: skip
SAVE_EVERY = 1000
REPEATS = 3  # of a resume


def run(folder: pathlib.Path, model_dir: str, steps: int, log_every: int) -> None:
    """The run, in this process; it goes on where MODEL_DIR stands."""
    import dataclasses

    from polylm_jax.training.run import train

    train(
        toy_runs.experiment(folder, dataclasses.replace(TINY, steps=steps)),
        model_dir,
        save_every_steps=SAVE_EVERY,
        keep_every=SAVE_EVERY,
        eval_every_steps=0,
        log_every_steps=log_every,
        compilation_cache_dir=str(folder / "compiled"),
    )


def start(folder: pathlib.Path, model_dir: pathlib.Path, steps: int, log_every: int):
    """`run` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.long_run", "--run"]
    arguments = [str(folder), str(model_dir), str(steps), str(log_every)]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)


def resident(pid: int) -> float:
    """MiB of a process in memory; 0 once it has ended."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def logged(model_dir: pathlib.Path) -> list[dict]:
    """The lines of the run's log that are complete."""
    path = model_dir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def watch(folder: pathlib.Path, model_dir: pathlib.Path, steps: int) -> None:
    """Runs it to the end; prints its memory and its wait for data."""
    process, seen = start(folder, model_dir, steps, log_every=100), {}
    while process.poll() is None:
        time.sleep(0.2)
        lines, size = logged(model_dir), resident(process.pid)
        if lines and size:
            seen[lines[-1]["step"]] = size
    assert process.returncode == 0
    late = {step: size for step, size in seen.items() if step >= 2 * SAVE_EVERY}
    slope = np.polyfit(list(late), list(late.values()), 1)[0] * 1000
    shown = {step: round(size) for step, size in seen.items() if step % SAVE_EVERY == 0}
    print(json.dumps({"name": "memory", "MiB": shown, "MiB_per_1000_steps": round(slope, 2)}))
    lines = logged(model_dir)[5:]
    total, data = (sum(line["seconds"][name] for line in lines) for name in ("all", "data"))
    per_step = statistics.median(line["seconds_per_step"] for line in lines)
    share = {"name": "data", "share": round(data / total, 5), "step_ms": round(1e3 * per_step, 2)}
    print(json.dumps(share), flush=True)


def resume(folder: pathlib.Path, model_dir: pathlib.Path, steps: int, at: int) -> float:
    """Seconds until a copy of the run that stands at step `at` has done one step more."""
    copy = folder / "copy"
    shutil.copytree(model_dir, copy)
    for checkpoint in (copy / "checkpoints").iterdir():
        if checkpoint.name.isdigit() and int(checkpoint.name) > at:
            shutil.rmtree(checkpoint)
    began = time.perf_counter()
    process = start(folder, copy, steps, log_every=1)
    while not any(line["step"] == at + 1 for line in logged(copy)[-40:]):
        assert process.poll() is None
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    shutil.rmtree(copy)
    return seconds


def first_batch(folder: pathlib.Path, step: int) -> float:
    """Milliseconds until the rows of a step are there, of a run of a billion rows."""
    from polylm_jax.data.mixture.schedule import Phase, Schedule
    from polylm_jax.data.rows import Rows
    from polylm_jax.data.stores.store import TokenStore, store_path

    store = TokenStore.open(store_path(str(folder), TASK))
    began = time.perf_counter()
    rows = Rows(Schedule([Phase("1", {TASK: 1.0}, 10**9)]), {TASK: store}, TINY.length, seed=0)
    rows.read(np.arange(TINY.batch_size) + step * TINY.batch_size)
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """All four, one after another."""
    if sys.argv[1:2] == ["--run"]:
        folder, model_dir, steps, log_every = sys.argv[2:]
        run(pathlib.Path(folder), model_dir, int(steps), int(log_every))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        toy_runs.make_data(folder, TINY.vocab_size, 10**6)
        watch(folder, folder / "run", steps)
        ages = (SAVE_EVERY, steps // 2, steps - SAVE_EVERY)
        times = {at: [] for at in ages}
        for _ in range(REPEATS):
            for at in ages:
                times[at].append(round(resume(folder, folder / "run", steps, at), 2))
        print(json.dumps({"name": "resume", "seconds": times}), flush=True)
        milliseconds = {
            step: round(statistics.median(first_batch(folder, step) for _ in range(5)), 2)
            for step in (0, 10**4, 10**6, 10**8)
        }
        print(json.dumps({"name": "rows", "milliseconds": milliseconds}))


if __name__ == "__main__":
    main()
