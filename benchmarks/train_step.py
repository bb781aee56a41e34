"""A whole training run beside a bare train step, PyTorch's compiled one and nanodo's.

    python -m benchmarks.train_step W1 --yardsticks=FOLDER [--peers=bare,torch,nanodo] [--rounds=5]

`ours` is `train` itself: rows from a token store, prefetched, the step, metrics fetched and logged
(JSON lines and TensorBoard) at every step. FOLDER has `jax_train_bare.py`, a JAX step and nothing
around it (layers scanned), and `hf_torch_train.py`, transformers' GPT-2 under torch.compile; each
takes the workload's name and prints a JSON line. `nanodo` is benchmarks/nanodo_step.py under the
Python of --nanodo, which has it. float32 on the CPU; each run is a process of its
own, in turn within a round. `ours` asks for huge pages, as `run.py train` does; with
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 or =0 in the environment all of them have them, or none.

Prints a JSON line per run, then the medians of the ratios within a round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from polylm_jax.runtime import huge_pages

if sys.argv[1:2] == ["--ours"]:
    huge_pages.ask()

from benchmarks import toy_runs
from benchmarks.toy_runs import Workload

WORKLOADS = {
    "W1": Workload(num_layers=4, embed_dim=256, num_heads=4, vocab_size=8192, batch_size=8,
                   length=256),
    "W2": Workload(num_layers=6, embed_dim=512, num_heads=8, vocab_size=32_768, batch_size=4,
                   length=512, steps=8, warm=2),
}  # fmt: skip
PEERS = {
    "bare": ("jax_train_bare.py", "--layers", "scan"),
    "torch": ("hf_torch_train.py", "compile"),
}


def ours(name: str) -> dict:
    """Trains the workload in this process; seconds per step as the run's own log has them."""
    import jax

    from polylm_jax.training.run import train

    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        rows = workload.batch_size * (workload.steps + workload.warm)
        toy_runs.make_data(folder, workload.vocab_size, rows * (workload.length + 1))
        train(
            toy_runs.experiment(folder, workload),
            str(folder / "run"),
            save_every_steps=10**9,
            eval_every_steps=0,
            log_every_steps=1,
            compilation_cache_dir="",
        )
        lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds_per_step"] for line in lines][workload.warm :]
    return {
        "name": "ours",
        "workload": name,
        "tokens_per_s_median": round(workload.tokens / statistics.median(seconds), 1),
        "tokens_per_s_mean": round(workload.tokens * len(seconds) / sum(seconds), 1),
        "step_ms_median": round(1e3 * statistics.median(seconds), 2),
        "timed_steps": len(seconds),
        "jax": jax.__version__,
        "tunables": os.environ.get("GLIBC_TUNABLES", ""),
    }


def measure(command: list[str]) -> dict:
    """The JSON line that a process of its own prints last, printed again."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    line = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(line), flush=True)
    return line


def main() -> None:
    """Runs in turn, then the ratios."""
    if sys.argv[1:2] == ["--ours"]:
        print(json.dumps(ours(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--yardsticks", type=pathlib.Path, required=True, help="the peers' scripts")
    parser.add_argument("--peers", default="bare", help="of bare, torch and nanodo, by comma")
    parser.add_argument("--nanodo", default=sys.executable, help="a Python that has nanodo")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    commands = {"ours": [sys.executable, "-m", "benchmarks.train_step", "--ours", options.workload]}
    for peer in options.peers.split(","):
        if peer == "nanodo":
            commands[peer] = [options.nanodo, "-m", "benchmarks.nanodo_step", options.workload]
            continue
        script, *arguments = PEERS[peer]
        path = str(options.yardsticks / script)
        commands[peer] = [sys.executable, path, options.workload, *arguments]
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            rates[name].append(measure(command)["tokens_per_s_median"])
    ratios = {
        f"ours_to_{peer}": round(
            statistics.median(a / b for a, b in zip(rates["ours"], rates[peer], strict=True)), 3
        )
        for peer in rates
        if peer != "ours"
    }
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(json.dumps({"name": "ratios", "workload": options.workload, **ratios, **medians}))


if __name__ == "__main__":
    main()
