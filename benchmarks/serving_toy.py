"""What both benchmarks of `serve` stand on: a checkpoint with random weights, its export, prompts."""

import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import sentencepiece

from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.hf import param_table, token_ids
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks.sample_data import generate

REPO = pathlib.Path(__file__).resolve().parent.parent
MODEL = PolyLMConfig(
    num_layers=4, embed_dim=256, num_heads=4, mlp_dim=1024, vocab_size=8192, max_length=2048,
    dtype="float32",
)  # fmt: skip


def prepare(folder: pathlib.Path, *, export: bool) -> None:
    """Writes checkpoint and vocabulary, and their export, where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run").exists():
        (folder / "vocabulary.model").write_bytes(_vocabulary(folder))
        _checkpoint(folder)
    if export and not (folder / "hf").exists():
        command = [sys.executable, "run.py", *arguments("export", folder)]
        subprocess.run([*command, f"--gin.OUTPUT='{folder / 'hf'}'"], cwd=REPO, check=True)


def arguments(mode: str, folder: pathlib.Path) -> list[str]:
    """The command line of a mode of run.py on this checkpoint."""
    sizes = ("num_layers", "embed_dim", "num_heads", "mlp_dim", "vocab_size", "max_length")
    return [
        mode, "--gin_file=gin_configs/models/tiny.gin", f"--gin_file=gin_configs/runs/{mode}.gin",
        f"--gin.CHECKPOINT='{folder / 'run'}'", f"--gin.VOCABULARY='{folder / 'vocabulary.model'}'",
        *(f"--gin.model.PolyLMConfig.{name}={getattr(MODEL, name)}" for name in sizes),
    ]  # fmt: skip


def _vocabulary(folder: pathlib.Path) -> bytes:
    """Pieces of the sample corpus in 18 languages, each byte one of them."""
    generate.write(folder / "text")
    lines = (line for path in sorted((folder / "text").glob("??.jsonl")) for line in path.open())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(json.loads(line)["text"] for line in lines), model_writer=model,
        model_type="bpe", vocab_size=MODEL.vocab_size, byte_fallback=True, unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", num_threads=2, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def _checkpoint(folder: pathlib.Path) -> None:
    """Random weights that spread the probabilities."""
    fingerprint = Tokenizer.load(str(folder / "vocabulary.model")).fingerprint
    progress = Progress(
        step=1, rows=8, batch_size=8, phase="none", fingerprint={"vocabulary": fingerprint},
        recipe="A = 1",
    )  # fmt: skip
    writer = Writer(folder / "run", param_table.our_shapes(MODEL), progress)
    chance = np.random.default_rng(0)
    for tensor in param_table.tensors(MODEL):
        scale = 0.1 if tensor.ours.startswith(("wte", "wpe")) else 0.05
        values = chance.normal(tensor.ours.endswith("scale"), scale, tensor.shape).astype("f")
        for index, first, count in writer.pieces(tensor.ours, tensor.layer):
            writer.write(tensor.ours, index, values.reshape(-1)[first : first + count])
    writer.close()


def prompts(count: int) -> list[str]:
    """So many texts of about 32 tokens, in 18 languages in turn."""
    texts = [*token_ids.TEXTS.values()]
    return [f"{number} {texts[number % len(texts)]}"[:40] for number in range(count)]
