"""A toy run for t5x: documents of three lengths as SeqIO tasks, and the batches that t5x takes."""

import importlib.util
import json

import numpy as np
import pytest
import toy_run

from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig
from tasks import corpus

needs_t5x = pytest.mark.skipif(
    importlib.util.find_spec("t5x") is None,
    reason="t5x is not installed: docs/t5x.md says how (requirements-t5x.txt)",
)
WORDS = {"en": 4, "th": 40, "de": 200}  # of a document: ten times and fifty times as long
LENGTH = 16


def documents(language, count=400):
    """Texts that say what they are: 'th 7 ab ab ab ...'."""
    return [f"{language} {n} " + "ab " * WORDS[language] for n in range(count)]


def register(folder):
    """Writes and registers t5x.en, t5x.th and t5x.de; the vocabulary's path."""
    toy = folder / "toy.model"
    for language in WORDS:
        lines = (json.dumps({"text": text}) + "\n" for text in documents(language))
        (folder / f"{language}.jsonl").write_text("".join(lines))
    corpus.register(
        str(folder), str(toy), {code: f"{code}.jsonl" for code in WORDS}, {}, {}, name="t5x"
    )
    return str(toy)


def experiment(folder, **changes):
    """English and Thai, then German too, with a ramp; 50 steps of 8 rows of 16 tokens."""
    values = {
        "model": toy_run.MODEL,
        "phases": [
            PhaseConfig({"t5x.en": 0.5, "t5x.th": 0.5}, steps=20, name="one", warmup_steps=5),
            PhaseConfig(
                {"t5x.en": 0.2, "t5x.th": 0.3, "t5x.de": 0.5}, steps=30, name="two",
                ramp_steps=10, rate="hold",
            ),
        ],
        "vocabulary": f"{folder}/toy.model",
        "cache_dir": f"{folder}/t5x_stores",
        "sequence_length": LENGTH,
        "batch_size": 8,
        "tasks": "registered",
    }  # fmt: skip
    return Experiment(**(values | changes))


def batch(seed=0, rows=4, length=LENGTH, pieces=toy_run.PIECES):
    """Random tokens as t5x's batches are; some labels do not count."""
    chance = np.random.default_rng(seed)
    tokens = chance.integers(1, pieces, (rows, length + 1)).astype(np.int32)
    return {
        "decoder_input_tokens": tokens[:, :-1],
        "decoder_target_tokens": tokens[:, 1:],
        "decoder_loss_weights": (chance.random((rows, length)) < 0.8).astype(np.int32),
    }
