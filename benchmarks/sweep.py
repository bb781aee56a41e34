"""`ablate` on small models: a process for each run, one after another, beside workers; 9 runs of demo.gin.

    git worktree add ../before 1a720d4                    # the version before there were workers
    python benchmarks/sweep.py FOLDER --before=../before [--model=my_text]
    python benchmarks/sweep.py FOLDER --before=../before --model=claim_1 --data=FOLDER_OF_TLDR

`demo` has 2,048 tokens a step; `one_beginning` too, and keeps the checkpoint at which its variants part,
so that all but one of a seed go on from there, as curriculum_ablation.gin's do; `my_text` and `curriculum`
(the model, rows and vocabulary size of curriculum_ablation.gin) 4,096. `claim_1` is curriculum_ablation.gin
itself, its 4 variants and its steps, on the text that it names. A FOLDER of its own for each.
Text, vocabulary and stores are made in FOLDER first and shared. Then, in turn, the version before
(without --before: this one, by a `run.py train` of each recipe) and this one, with as many workers as it
takes by itself: one JSON line each with wall and CPU seconds, the memory of the largest of its processes
but the one that is called, and where the seconds of all runs went by their own logs. Compiled programs
are kept for no later start, so that each way pays for its own. The last line has the ratios. For a quiet machine.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import threading
import time
from typing import Self

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from polylm_jax.runtime.storage import Folder
from polylm_jax.training import time_account
from tasks.sample_data import generate

RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import ablation
from polylm_jax import languages
from polylm_jax import model
from polylm_jax import training
from tasks import corpus

include 'recipes/{base}.gin'

DATA_DIR = '{data}'
CACHE_DIR = '{folder}/cache'
VOCABULARY = '{folder}/vocabulary.model'
ABLATION_DIR = '{out}'
SEEDS = {seeds}
training.train.compilation_cache_dir = ''
"""
OF_MY_TEXT = """
MONOLINGUAL = {{'en': 'en.jsonl', 'id': 'id.jsonl', 'th': 'th.jsonl'}}
STEPS = {steps}
VARIANTS = [
    ('by_size', "languages.temperature.alpha = 1.0"),
    ('square_root',),
    ('equal', "languages.temperature.alpha = 0.0"),
]
training.PhaseConfig.warmup_steps = {warmup}
"""
OF_CURRICULUM = """
VOCAB_SIZE = 4_096
model.PolyLMConfig.num_layers = 4
model.PolyLMConfig.max_length = 128
SEQUENCE_LENGTH = 128
BATCH_SIZE = 32
"""
OF_DEMO = """
VARIANTS = [
    ('less', "stage2/corpus.shares.non_english = 0.4"),
    ('paper',),
    ('more', "stage2/corpus.shares.non_english = 0.8"),
]
stage1/training.PhaseConfig.steps = {stage1}
stage2/training.PhaseConfig.steps = {stage2}
stage1/training.PhaseConfig.warmup_steps = {warmup}
EVAL_EVERY_STEPS = {steps}
"""
OF_ONE_BEGINNING = """
training.train.keep_every = {stage1}
training.train.save_every_steps = {stage1}  # the version before kept only what was saved anyway
"""
# Name -> the recipe that is included, and what is said after it.
MODELS = {
    "demo": ("demo", OF_DEMO),
    "one_beginning": ("demo", OF_DEMO + OF_ONE_BEGINNING),
    "my_text": ("my_text", OF_MY_TEXT),
    "curriculum": ("my_text", OF_MY_TEXT + OF_CURRICULUM),
    "claim_1": ("curriculum_ablation", ""),
}


def recipe(out: pathlib.Path, options: argparse.Namespace) -> str:
    """The recipe of a way as a file beside its folder; the argument that names it."""
    path = out.with_suffix(".gin")
    base, own = MODELS[options.model]
    steps, stage1 = options.steps, 3 * options.steps // 8
    text = (RECIPE + own).format(
        base=base,
        data=options.data or out.parent / "text",
        folder=out.parent,
        out=out,
        seeds=tuple(range(options.seeds)),
        steps=steps,
        stage1=stage1,
        stage2=steps - stage1,
        warmup=min(30, stage1 // 4),
    )
    path.write_text(text, encoding="utf-8")
    return f"--gin_file={path}"


def run(home: pathlib.Path, *arguments: str) -> None:
    """A `run.py` of a checkout; what it says goes to stderr."""
    command = [sys.executable, str(home / "run.py"), *arguments]
    subprocess.run(command, cwd=home, check=True, stdout=sys.stderr)


class Watched:
    """The most memory that any process below this one's children had while it was open, in bytes."""

    def __enter__(self) -> Self:
        self.bytes, self._closed = 0, threading.Event()
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(0.5):
            for child in _children(os.getpid()):
                for process in _children(child):
                    self.bytes = max(self.bytes, _peak(process))


def _children(process: int) -> list[int]:
    try:
        paths = pathlib.Path(f"/proc/{process}/task").glob("*/children")
        return [int(word) for path in paths for word in path.read_text().split()]
    except OSError:
        return []


def _peak(process: int) -> int:
    try:
        lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):
        return 0


def measured(way: str, out: pathlib.Path, call) -> dict:
    """The line of a way: `call` trains what is to lie in `out`."""
    shutil.rmtree(out, ignore_errors=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with Watched() as watched:
        call()
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    runs = sorted(path.parent for path in out.glob("*/seed_*/events.jsonl"))
    seconds: dict[str, float] = {}
    for place in runs:
        for name, value in time_account.of(Folder(str(place))).seconds.items():
            seconds[name] = round(seconds.get(name, 0.0) + value, 1)
    line = {
        "name": "sweep",
        "way": way,
        "runs": len(runs),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "worker_MiB": round(watched.bytes / 2**20),
        "seconds_of_runs": {name: value for name, value in seconds.items() if value},
    }
    print(json.dumps(line), flush=True)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path, help="a checkout of the version before")
    parser.add_argument("--model", choices=MODELS, default="demo")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3, help="of each of the variants")
    parser.add_argument(
        "--data", type=pathlib.Path, help="text that is there, in place of invented"
    )
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if options.model == "claim_1" and not options.data:
        parser.error("--model=claim_1 without --data: name a folder with the files of tldr-pages")
    folder = options.folder.resolve()
    if options.data:
        options.data = options.data.resolve()
    else:
        generate.write(folder / "text")
    shared = recipe(folder / "now", options)
    for mode in ("train_tokenizer", "cache"):
        if mode == "cache" or not (folder / "vocabulary.model").exists():
            run(REPO, mode, shared)
    lines: list[dict[str, dict]] = []
    for _ in range(options.rounds):
        out = folder / "before"
        argument = recipe(out, options)

        def one_by_one(argument=argument, out=out):
            run(REPO, "ablate", argument, "--start=False")
            for path in sorted((out / "recipes").glob("*.gin")):
                run(REPO, "train", f"--gin_file={path}")

        def as_it_was(argument=argument):
            run(options.before.resolve(), "ablate", argument)

        before = measured("before", out, as_it_was if options.before else one_by_one)
        now = measured("now", folder / "now", lambda: run(REPO, "ablate", shared))
        lines.append({"before": before, "now": now})
    ratios = {
        name: [round(line["before"][name] / line["now"][name], 2) for line in lines]
        for name in ("wall_s", "cpu_s")
    }
    named = {"name": "ratios, before to now", "model": options.model}
    if options.model != "claim_1":  # has steps of its own
        named["steps"] = options.steps
    print(json.dumps(named | ratios))


if __name__ == "__main__":
    main()
