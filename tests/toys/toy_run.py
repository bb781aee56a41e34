"""A run small enough to be killed, resumed and repeated: random text, one layer, rows of 16 tokens.

As a program, for tests that need processes of their own:

    python tests/toys/toy_run.py FOLDER MODEL_DIR '{"experiment": {...}, "train": {...}}'
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import shutil
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.insert(0, str(REPO))

import jax
import numpy as np
import sentencepiece

from polylm_jax.checkpoints.checkpoint import Checkpoints, read_progress
from polylm_jax.checkpoints.layout import FOLDER
from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity, dtype_for
from polylm_jax.data.stores.writer import StoreWriter
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import metrics, watchdog
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.programs import Programs
from polylm_jax.training.run import train

# What compiles in less is kept too: these runs start often.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

LENGTH = 16
PIECES = 300
LANGUAGES = {"toy.en": "en", "toy.th": "th", "toy.en_th": "en-th"}
MODEL = PolyLMConfig(
    num_layers=1, embed_dim=16, num_heads=8, mlp_dim=32, vocab_size=320, max_length=LENGTH,
    dtype="float32", remat="none",
)  # fmt: skip


def phases(first_steps=60, second_steps=60, ramp_steps=20):
    """English first, then more Thai and the pairs, with a ramp between them."""
    return [
        PhaseConfig(
            {"toy.en": 0.7, "toy.th": 0.3}, steps=first_steps, name="one",
            warmup_steps=max(1, first_steps // 10), peak_learning_rate=1e-2,
        ),
        PhaseConfig(
            {"toy.en": 0.3, "toy.th": 0.5, "toy.en_th": 0.2}, steps=second_steps, name="two",
            ramp_steps=ramp_steps, rate="hold",
        ),
    ]  # fmt: skip


def in_tokens(configs, batch_size=8):
    """The same phases, their lengths in tokens."""
    tokens = batch_size * LENGTH
    return [
        dataclasses.replace(
            config,
            steps=None,
            tokens=config.steps * tokens,
            ramp_steps=None,
            ramp_tokens=(config.ramp_steps or 0) * tokens,
        )
        for config in configs
    ]


def halves(steps):
    """Both phases in so many steps."""
    return phases(steps // 2, steps // 2, steps // 6)


def make(folder):
    """The vocabulary (320 pieces, mostly bytes) and the three stores."""
    folder.mkdir()
    text = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abc abd acd bcd ab cd " * 20]), model_writer=text, vocab_size=PIECES,
        hard_vocab_limit=False, byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    (folder / "toy.model").write_bytes(text.getvalue())
    for seed, (task, language) in enumerate(LANGUAGES.items()):
        write_store(folder, task, language, random_text(seed))


def random_text(seed, tokens=3000):
    """Bytes that follow one another as a chain with few ways to go, so that there is much to learn."""
    chance = np.random.default_rng(seed)
    ways = chance.integers(3, 259, (256, 3))
    steps = chance.integers(0, 3, tokens)
    text = np.full(tokens, 3 + seed, np.uint16)
    for place in range(1, tokens):
        text[place] = ways[text[place - 1] - 3, steps[place]]
    return text


def write_store(folder, task, language, text):
    """A complete store of one unit, a tenth of it held out."""
    vocabulary = folder / "toy.model"
    identity = Identity(
        format_version=FORMAT_VERSION,
        task=task,
        task_version="1",
        vocabulary=str(vocabulary),
        vocabulary_sha256=hashlib.sha256(vocabulary.read_bytes()).hexdigest(),
        vocab_size=PIECES,
        eos_id=2,
        dtype=dtype_for(PIECES),
        source={},
        units=("0",),
    )
    writer = StoreWriter(str(folder / "stores" / task), identity)
    unit = writer.unit(0)
    held_out = len(text) // 10
    for split, tokens in (("train", text[held_out:]), ("validation", text[:held_out])):
        counts = {"documents": 1, "bytes": len(tokens), ("tokens", language): len(tokens)}
        unit.add(split, tokens, {language}, counts)
    unit.commit()
    writer.finish(0.0)


def model(**changes):
    """The toy's model, changed."""
    return dataclasses.replace(MODEL, **changes)


def experiment(folder, **changes):
    """The run over the stores of `folder` (see `make`), in rows of 16 tokens, 8 a step."""
    values = {
        "model": MODEL,
        "phases": phases(),
        "vocabulary": f"{folder}/toy.model",
        "cache_dir": f"{folder}/stores",
        "sequence_length": LENGTH,
        "batch_size": 8,
        "mesh": MeshConfig(2, 2, 2),
        "num_chunks": 2,
    }
    return Experiment(**(values | changes))


def run(folder, model_dir, experiment_changes=None, **settings):
    """`train` with few words: no validation, no TensorBoard, a save every 20 steps."""
    defaults = {
        "save_every_steps": 20,
        "eval_every_steps": 0,
        "log_every_steps": 1,
        "tensorboard": False,
        "compilation_cache_dir": f"{folder}/compiled",
    }
    train(experiment(folder, **(experiment_changes or {})), str(model_dir), **(defaults | settings))


def events(model_dir, what):
    """The events of that name, in order."""
    lines = (pathlib.Path(model_dir) / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == what]


def losses(model_dir):
    """step -> loss."""
    lines = (pathlib.Path(model_dir) / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def ledger(model_dir):
    """The last line of the ledger."""
    return json.loads((pathlib.Path(model_dir) / "ledger.jsonl").read_text().splitlines()[-1])


def lose_after(model_dir, step):
    """Takes the checkpoints after a step away."""
    for path in (pathlib.Path(model_dir) / FOLDER).iterdir():
        if int(path.name) > step:
            shutil.rmtree(path)


def final_state(folder, model_dir, **changes):
    """The newest checkpoint's parameters and optimizer state, as NumPy arrays."""
    abstract = Programs(experiment(folder, **changes).resolve()).abstract_state
    step = read_progress(str(model_dir)).step
    state = Checkpoints(str(model_dir)).restore(step, abstract)
    return jax.tree.map(np.asarray, state)


def assert_bitwise_equal(a, b):
    """Every array of two states, bit by bit."""

    def check(x, y):
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())

    jax.tree.map(check, a, b)


def slowed(fetch, seconds):
    """A host that takes its time with every step."""

    def slow(device_metrics):
        time.sleep(seconds)
        return fetch(device_metrics)

    return slow


def stopping(fetch, number):
    """A main thread that hangs at its fetch of that number."""
    fetched = []

    def stop(device_metrics):
        fetched.append(1)
        while len(fetched) >= number:
            time.sleep(1)
        return fetch(device_metrics)

    return stop


def main(folder, model_dir, text):
    """The run of a process; `text` is JSON: changes of `experiment` and of `run`, `pause`.

    stuck: [process, fetch]: the main thread of that process stops there for good, its others live; it
    notices later than the others.
    """
    given = {"experiment": {}, "train": {}, "pause": 0.0, "stuck": None} | json.loads(text)
    if "steps" in given["experiment"]:
        given["experiment"]["phases"] = halves(given["experiment"].pop("steps"))
    metrics.fetch = slowed(metrics.fetch, given["pause"])
    if given["stuck"] and os.environ["JAX_PROCESS_ID"] == str(given["stuck"][0]):
        metrics.fetch = stopping(metrics.fetch, given["stuck"][1])
        watchdog.TIMES *= 3
    try:
        run(folder, model_dir, given["experiment"], **given["train"])
    except InputError as error:  # as run.py does
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
