"""Training runs over random tokens, for the benchmarks that train: one component, one device."""

import dataclasses
import hashlib
import io
import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import sentencepiece

from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity, dtype_for
from polylm_jax.data.stores.store import store_path
from polylm_jax.data.stores.writer import StoreWriter
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.optimizer import OptimizerConfig
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig

TASK = "random"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model and a batch; float32, the matrix products kept for the backward pass."""

    num_layers: int
    embed_dim: int
    num_heads: int
    vocab_size: int
    batch_size: int
    length: int
    steps: int = 30
    warm: int = 4  # further steps before those that count

    @property
    def model(self) -> PolyLMConfig:
        return PolyLMConfig(
            num_layers=self.num_layers,
            embed_dim=self.embed_dim,
            num_heads=self.num_heads,
            mlp_dim=4 * self.embed_dim,
            vocab_size=self.vocab_size,
            max_length=self.length,
            dtype="float32",
            remat="dots",
        )

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch_size * self.length


def make_data(folder: pathlib.Path, vocab_size: int, tokens: int) -> None:
    """A vocabulary and a store of `tokens` random tokens in FOLDER."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abc abd acd bcd ab cd " * 20]), model_writer=model, vocab_size=300,
        hard_vocab_limit=False, byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    (folder / "random.model").write_bytes(model.getvalue())
    dtype = dtype_for(vocab_size)
    identity = Identity(
        format_version=FORMAT_VERSION, task=TASK, task_version="", source={}, units=("0",),
        vocabulary="random.model", vocabulary_sha256=hashlib.sha256(model.getvalue()).hexdigest(),
        vocab_size=vocab_size, eos_id=2, dtype=dtype,
    )  # fmt: skip
    writer = StoreWriter(store_path(str(folder), TASK), identity)
    unit = writer.unit(0)
    drawn = np.random.default_rng(0).integers(0, vocab_size, tokens).astype(dtype)
    unit.add("train", drawn, {"en"}, {"documents": 1, "bytes": tokens, ("tokens", "en"): tokens})
    unit.commit()
    writer.finish(0.0)


def experiment(folder: pathlib.Path, workload: Workload, **changes) -> Experiment:
    """The run of `steps` steps after `warm` ones, at a constant small rate."""
    values = {
        "model": workload.model,
        "phases": [PhaseConfig({TASK: 1.0}, steps=workload.warm + workload.steps, warmup_steps=1,
                               peak_learning_rate=3e-4)],
        "vocabulary": str(folder / "random.model"),
        "cache_dir": str(folder),
        "sequence_length": workload.length,
        "batch_size": workload.batch_size,
        "optimizer": OptimizerConfig(weight_decay=0.1),
    }  # fmt: skip
    return Experiment(**(values | changes))
