"""Toy models on both sides: a checkpoint of ours with trained-like values, a folder by PyTorch."""

import io
import pathlib

import numpy as np
import sentencepiece

from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.hf import param_table, token_ids
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

MODEL = PolyLMConfig(
    num_layers=3, embed_dim=16, num_heads=4, mlp_dim=48, vocab_size=640, max_length=40
)


def vocabulary(folder: pathlib.Path, kind: str = "bpe") -> str:
    """A vocabulary of at most 600 pieces, trained on sentences in 18 languages -> its path."""
    text = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*token_ids.TEXTS.values()] * 20), model_writer=text,
        model_type=kind, vocab_size=600, hard_vocab_limit=False, byte_fallback=True, unk_id=0,
        bos_id=1, eos_id=2, pad_id=-1, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", num_threads=1, minloglevel=2,
    )  # fmt: skip
    path = folder / f"{kind}.model"
    path.write_bytes(text.getvalue())
    return str(path)


def values(config: PolyLMConfig, scale: float = 0.2) -> dict[str, np.ndarray]:
    """Their tensor name -> random float32, round 1 for the norms' scales, else round 0."""
    chance = np.random.default_rng(0)
    return {
        tensor.theirs: chance.normal(tensor.ours.endswith("scale"), scale, tensor.shape).astype("f")
        for tensor in param_table.tensors(config)
    }


def checkpoint(
    model_dir: pathlib.Path,
    vocabulary_path: str,
    config: PolyLMConfig = MODEL,
    scale: float = 0.2,
    step: int = 7,
    without_bytes: bool = False,
    **fingerprint,
) -> dict[str, np.ndarray]:
    """Writes a checkpoint with `values`, and returns them.

    without_bytes: it hardly writes byte pieces, of which transformers decodes the broken ones otherwise.
    """
    trained = {"vocabulary": Tokenizer.load(vocabulary_path).fingerprint, **fingerprint}
    progress = Progress(
        step=step, rows=8 * step, batch_size=8, phase="toy", fingerprint=trained, recipe="A = 1"
    )
    writer = Writer(model_dir, param_table.our_shapes(config), progress)
    found = values(config, scale)
    if without_bytes:
        pieces = Tokenizer.load(vocabulary_path).processor
        bytes_ = [token for token in range(len(pieces)) if pieces.is_byte(token)]
        found["transformer.wte.weight"][bytes_] = 0
    for tensor in param_table.tensors(config):
        flat = found[tensor.theirs].reshape(-1)
        for index, first, count in writer.pieces(tensor.ours, tensor.layer):
            writer.write(tensor.ours, index, flat[first : first + count])
    writer.close()
    return found
