"""recipes/multi_18.gin on real text: bits per byte as its header says, and five kills of that run.

The recipe as it stands takes too long for every run of the tests; a small one of it always runs.
"""

import json
import os
import pathlib
import subprocess
import sys

import gin
import jax
import killing
import numpy as np
import orbax.checkpoint as ocp
import pytest
import toy_run

import run
from polylm_jax.data.stores.store import TokenStore

when_asked = pytest.mark.skipif(
    not os.environ.get("POLYLM_SLOW_TESTS"),
    reason="trains real text for 560 steps, twice: POLYLM_SLOW_TESTS=1 runs it",
)

RECIPE = "gin_configs/recipes/multi_18.gin"
SEED = 20230712
STEPS, PHASE_CHANGE, SAVE_EVERY = 560, 280, 20
MANY_TOKENS = 100_000


class Runs:
    """The recipe's modes as processes, on 8 simulated devices, over one vocabulary and its stores."""

    def __init__(self, data_dir, folder):
        self.folder = folder
        self._data_dir = data_dir

    def start(self, model_dir, mode="train", *more):
        """A mode, its words in MODEL_DIR.log."""
        values = {
            "DATA_DIR": self._data_dir,
            "CACHE_DIR": self.folder / "cache",
            "VOCABULARY": self.folder / "vocabulary.model",
            "MODEL_DIR": model_dir,
            "SAVE_EVERY_STEPS": SAVE_EVERY,
            "training.train.log_every_steps": 1,
            "training.train.compilation_cache_dir": self.folder / "compiled",
        }
        given = [
            f"--gin.{name}={value if isinstance(value, int) else repr(str(value))}"
            for name, value in values.items()
        ]
        with open(f"{model_dir}.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "run.py", mode, f"--gin_file={RECIPE}", *given, *more],
                cwd=toy_run.REPO, stdout=log, stderr=log,
            )  # fmt: skip

    def finish(self, model_dir, mode="train"):
        """The same, waited for."""
        assert self.start(model_dir, mode).wait() == 0, pathlib.Path(f"{model_dir}.log").read_text()


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
    """With a vocabulary of 16,000 pieces."""
    made = Runs(data_dir, tmp_path_factory.mktemp("multi_18"))
    made.finish(made.folder / "tokenizer", "train_tokenizer")
    return made


@pytest.fixture(scope="module")
def unbroken(runs):
    """MODEL_DIR of the whole run."""
    runs.finish(runs.folder / "unbroken")
    return runs.folder / "unbroken"


def train_tokens(cache_dir):
    """Language -> training tokens, pairs counted per side."""
    sums = {}
    for path in pathlib.Path(cache_dir).glob("*/store.json"):
        split = TokenStore.open(str(path.parent)).manifest.splits["train"]
        for language, tokens in split.tokens_by_language.items():
            sums[language] = sums.get(language, 0) + tokens
    return sums


def languages_under_the_unigram(model_dir, cache_dir, steps):
    """Those with 100,000 training tokens, which end a tenth under it; all end below their start."""
    lines = (model_dir / "validation.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert (first["step"], last["step"]) == (0, steps)
    tokens = train_tokens(cache_dir)
    many = {label for label in last["bits_per_byte"] if tokens.get(label, 0) >= MANY_TOKENS}
    for label, bits in last["bits_per_byte"].items():
        assert bits < first["bits_per_byte"][label], label
        if label in many:
            assert bits < 0.9 * last["unigram_bits_per_byte"][label], label
    return many


def test_a_small_run_ends_a_tenth_under_the_unigram(data_dir, tmp_path):
    values = {
        "DATA_DIR": str(data_dir),
        "CACHE_DIR": str(tmp_path / "cache"),
        "VOCABULARY": str(tmp_path / "vocabulary.model"),
        "MODEL_DIR": str(tmp_path / "model"),
        "MONOLINGUAL": {
            "es": "tldr/es.jsonl",
            "ko": "tldr/ko.jsonl",
            "he": {"paths": "udhr/he.txt", "documents": "line"},
            "en": "tldr/en.jsonl",
        },
        "corpus.register.bilingual": {"en-es": "tldr/en-es.jsonl"},
        "VOCAB_SIZE": 2000,
        "SEQUENCE_LENGTH": 64,
        "BATCH_SIZE": 8,
        "EVAL_EVERY_STEPS": 260,
        "SAVE_EVERY_STEPS": 260,
        "model.PolyLMConfig.num_layers": 1,
        "model.PolyLMConfig.embed_dim": 64,
        "model.PolyLMConfig.mlp_dim": 256,
        "stage1/training.PhaseConfig.steps": 130,
        "stage1/training.PhaseConfig.peak_learning_rate": 1e-2,
        "stage2/training.PhaseConfig.steps": 130,
        "training.train.eval_rows": 64,
        "training.train.tensorboard": False,
    }
    given = [f"--gin.{name}={value!r}" for name, value in values.items()]
    for mode in ("train_tokenizer", "train"):
        gin.clear_config()
        assert run.main([mode, f"--gin_file={RECIPE}", *given]) == 0
    gin.clear_config()
    many = languages_under_the_unigram(tmp_path / "model", tmp_path / "cache", steps=260)
    assert many == {"en", "es", "ko"}


@pytest.mark.slow
@when_asked
def test_bits_per_byte_end_a_tenth_under_the_unigram(runs, unbroken):
    many = languages_under_the_unigram(unbroken, runs.folder / "cache", STEPS)
    assert " ".join(sorted(many)) == "de en es fr id it ko nl pl pt ru tr zh"


def state(model_dir):
    """Parameters and optimizer state of the last step."""
    folder = model_dir / "checkpoints" / str(STEPS)
    with ocp.StandardCheckpointer() as reader:
        parts = [reader.restore(folder / part) for part in ("params", "optimizer")]
    return jax.tree.map(np.asarray, parts)


@pytest.mark.slow
@when_asked
def test_killed_five_times_it_ends_bitwise_the_same(runs, unbroken):
    killed = runs.folder / "killed"

    def start(model_dir, hold):
        del hold  # the recipe as it stands stops nowhere
        return runs.start(model_dir)

    at = killing.kill_five_times(start, killed, SEED, STEPS, SAVE_EVERY, PHASE_CHANGE)
    runs.finish(killed)
    print("killed at steps", at, [again["step"] for again in killing.starts(killed)])
    killing.assert_same_run(killed, unbroken, STEPS)
    toy_run.assert_bitwise_equal(state(killed), state(unbroken))
