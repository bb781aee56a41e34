"""`make demo`: a tiny PolyLM from text in 18 languages, through both stages, to a table of results.

Each step is a command that a user would type; it prints the command, then runs it. Ends with exit
code 1 where validation bits per byte end less than 10 % under a smoothed unigram's, or not below
their start.
"""

import json
import pathlib
import subprocess
import sys
import time

import rich.box
import rich.console
import rich.table

from polylm_jax.languages import registry
from polylm_jax.languages.labels import name_of, place
from tasks.sample_data import generate

REPO = pathlib.Path(__file__).resolve().parent
FOLDER = REPO / "demo"
RECIPE = "gin_configs/recipes/demo.gin"
LEAST = 0.1  # how far under the unigram every language must end


def main() -> int:
    """Writes the text, trains, shows what came of it."""
    started = time.monotonic()
    counts = generate.write(FOLDER / "text")
    print(f"demo/text: {len(counts)} files, {sum(counts.values()):,} records, written here")
    for mode in ("train_tokenizer", "train"):
        if mode == "train_tokenizer" and (FOLDER / "vocabulary.model").exists():
            continue  # `train` goes on where it stopped; a vocabulary is there or it isn't
        command = ["python", "run.py", mode, f"--gin_file={RECIPE}"]
        print(f"\n$ {' '.join(command)}", flush=True)
        subprocess.run([sys.executable, *command[1:]], cwd=REPO, check=True)
    lines = (FOLDER / "model" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    rows = compare(first, last)
    show(rows, first["step"], last["step"])
    print(f"{time.monotonic() - started:.0f} s in all. The model and its logs are in demo/model.")
    if behind := not_learnt(rows):
        print(f"NOT {LEAST:.0%} under the unigram and below the start in: {', '.join(behind)}.")
        return 1
    print(f"Under the smoothed unigram by {LEAST:.0%} or more in all {len(rows)} rows.")
    return 0


def not_learnt(rows: dict[str, tuple[float, float, float]]) -> list[str]:
    """Names of the rows (start, end, unigram) whose end isn't under both as far as it must be."""
    return [
        name_of(label)
        for label, (start, end, unigram) in rows.items()
        if not (end <= (1 - LEAST) * unigram and end < start)
    ]


def compare(first: dict, last: dict) -> dict[str, tuple[float, float, float]]:
    """Label -> bits per byte at the start, at the end, and of the unigram; pairs are pooled."""
    groups: dict[str, list[str]] = {}
    for label in last["bits_per_byte"]:
        group = registry.PARALLEL if "-" in label else label
        groups.setdefault(group, []).append(label)

    def pooled(bits: dict[str, float], labels: list[str]) -> float:
        weights = [last["bytes"][label] for label in labels]
        return sum(w * bits[label] for w, label in zip(weights, labels)) / sum(weights)

    return {
        group: (
            pooled(first["bits_per_byte"], labels),
            pooled(last["bits_per_byte"], labels),
            pooled(last["unigram_bits_per_byte"], labels),
        )
        for group, labels in sorted(groups.items(), key=lambda item: place(item[0]))
    }


def show(rows: dict[str, tuple[float, float, float]], first: int, last: int) -> None:
    """The table of bits per byte of held-out text, lower is better."""
    title = "Validation bits per byte (held-out text, lower is better)"
    table = rich.table.Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("language", no_wrap=True)
    for column in (f"step {first:,}", f"step {last:,}", "unigram", "below it by"):
        table.add_column(column, justify="right")
    for label, (start, end, unigram) in rows.items():
        saved = f"{1 - end / unigram:.0%}"
        table.add_row(name_of(label), f"{start:.3f}", f"{end:.3f}", f"{unigram:.3f}", saved)
    rich.console.Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
