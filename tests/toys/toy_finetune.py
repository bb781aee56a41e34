"""Conversations in two languages, a base to tune on them, and short runs of `finetune`."""

import dataclasses
import json
import pathlib

import numpy as np
import toy_hf
import toy_run
from reading import vocabulary

from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training.finetuning import FinetuningExperiment, finetune
from polylm_jax.training.phases import PhaseConfig
from tasks.instructions import tuning

LENGTH = 48
PIECES = 400
MODEL = dataclasses.replace(
    toy_run.MODEL, num_layers=2, num_heads=4, vocab_size=PIECES, max_length=LENGTH
)
ASKED = {
    "es": ("Suma {0} y {1}.", "Son {2}, creo."),
    "ja": ("{0}と{1}を足して。", "答えは{2}です。"),
}


def records(code, count=150):
    """Sums, some with their numbers as input, some as a chat of two turns."""
    chance = np.random.default_rng(len(code) + ord(code[0]))
    asked, said = ASKED[code]
    for number in range(count):
        one, two = chance.integers(0, 9, 2).tolist()
        question, answer = asked.format(one, two), said.format(one, two, one + two)
        if number % 5 == 0:
            turns = [("user", question), ("assistant", answer)] * 2
            yield {"messages": [{"role": role, "content": text} for role, text in turns]}
        else:
            yield {"instruction": question, "input": None, "output": answer}


def make(folder: pathlib.Path, model=MODEL) -> pathlib.Path:
    """Writes the conversations, a vocabulary and a base into `folder`, registers the tasks."""
    texts = []
    for code in ASKED:
        lines = [json.dumps(record, ensure_ascii=False) for record in records(code)]
        texts += lines
        lines.append(json.dumps({"instruction": "?", "input": None, "output": "None"}))
        (folder / f"{code}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    path = vocabulary(folder / "toy.model", texts)
    tuning.register(
        str(folder), path, {code: f"{code}.jsonl" for code in ASKED}, name="sums", held_out=0.2,
        mixtures={"sums.both": {"es": 0.75, "ja": 0.25}},
    )  # fmt: skip
    toy_hf.checkpoint(folder / "base", path, model, scale=0.1, step=3)
    return folder


def experiment(folder, **changes) -> FinetuningExperiment:
    """16 steps of 8 rows, three quarters of them in Spanish."""
    values = {
        "model": MODEL,
        "phases": [
            PhaseConfig("sums.both", steps=16, peak_learning_rate=1e-2, warmup_steps=2, name="one")
        ],
        "vocabulary": f"{folder}/toy.model",
        "cache_dir": f"{folder}/stores",
        "sequence_length": LENGTH,
        "batch_size": 8,
        "mesh": MeshConfig(2, 2, 2),
        "num_chunks": 2,
        "max_epochs": 100,
        "base": f"{folder}/base",
    }
    return FinetuningExperiment(**(values | changes))


def run(folder, model_dir, changes=None, **settings):
    """`finetune` with few words."""
    defaults = {
        "save_every_steps": 100,
        "eval_every_steps": 8,
        "log_every_steps": 1,
        "tensorboard": False,
        "compilation_cache_dir": f"{folder}/compiled",
    }
    finetune(experiment(folder, **(changes or {})), str(model_dir), **(defaults | settings))


def lines(model_dir, name):
    """The objects of one of a run's logs."""
    text = (pathlib.Path(model_dir) / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
