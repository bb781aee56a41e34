"""A checkpoint as a folder that transformers loads: weights streamed, then configuration and vocabulary.

Nothing large is ever whole in memory: a chunk of a parameter is read, and its runs are written
where they belong in the shard files, whose layout is known before.
"""

import dataclasses
import os
import pathlib
import time

import ml_dtypes
import numpy as np

from polylm_jax.checkpoints.hf import (
    config_files,
    model_card,
    param_table,
    peft_files,
    token_ids,
    tokenizer_files,
    weights,
)
from polylm_jax.checkpoints.hf import safetensors_stream as stream
from polylm_jax.checkpoints.identity import Selection, matching_tokenizer
from polylm_jax.checkpoints.param_store import AnyReader, open_params
from polylm_jax.errors import InputError, one_of
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime import output_folder
from polylm_jax.runtime.ranges import Positive
from polylm_jax.runtime.spread import spread

DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
FORMATS = ("safetensors", "pytorch", "peft")


@dataclasses.dataclass(frozen=True)
class Files:
    """How the folder is written.

    dtype: of the files, float32, bfloat16 or float16.
    max_shard_gb: of one file, in 1e9 bytes.
    file_format: safetensors, or pytorch for tools that want pytorch_model.bin. Adapters are merged
    into their base; peft writes them alone, for the `peft` package.
    peft_base: with peft, the model that the adapters belong to: a folder or a name on a hub.
    chat_template: a Jinja template that puts markers round the turns of a chat.
    """

    dtype: str = "float32"
    max_shard_gb: Positive = 4.0
    file_format: str = "safetensors"
    peft_base: str = ""
    chat_template: str = ""


@spread("selection", "files")
def export(
    checkpoint: str,
    output: str,
    vocabulary: str,
    *,
    selection: Selection,
    files: Files,
    overwrite: bool = False,
    verify: bool = True,
) -> None:
    """Writes a checkpoint as a Hugging Face folder: GPT2LMHeadModel, tokenizer, model card.

    checkpoint: MODEL_DIR of a run, local or gs://.
    output: the folder to make, local.
    vocabulary: the SentencePiece model that it was trained with.
    overwrite: replaces an output that exists.
    verify: compares with PyTorch where it is installed.

    Raises InputError for bad input, with nothing written; SystemExit(1) if the comparison fails.
    """
    dtype, chat_template = one_of("dtype", files.dtype, DTYPES), files.chat_template
    one_of("file_format", files.file_format, FORMATS)
    shard_bytes = int(files.max_shard_gb * 1e9)
    output_folder.check(output, overwrite, checkpoint)
    found, progress = selection.identify(checkpoint)
    reader = open_params(checkpoint, found.step, found.weights)
    config = param_table.config_of(reader.shapes)
    tokenizer = matching_tokenizer(vocabulary, progress, config.vocab_size)
    tokenizer_files.check(tokenizer)
    if files.file_format == "peft":
        peft_files.check(checkpoint, progress)
        with output_folder.building(output, 0, overwrite) as folder:
            peft_files.write(folder, checkpoint, progress, config, files.peft_base)
            tokenizer_files.write_tokenizer(tokenizer, folder, config.max_length, chat_template)
        print(f"step {progress.step} -> {output}: adapters for peft")
        return
    size = config.num_params * DTYPES[dtype].itemsize
    embedding = config.vocab_size * config.embed_dim * DTYPES[dtype].itemsize
    # pytorch_model.bin is written beside the safetensors file that it replaces, a shard at a time.
    beside = min(size, max(embedding, shard_bytes)) * (files.file_format == "pytorch")
    began = time.monotonic()
    with output_folder.building(output, size + beside, overwrite) as folder:
        write_weights(reader, config, folder, DTYPES[dtype], shard_bytes)
        if files.file_format == "pytorch":
            _as_pytorch(folder)
        config_files.write_config(folder, config, dtype, tokenizer.eos_id)
        tokenizer_files.write_tokenizer(tokenizer, folder, config.max_length, chat_template)
        model_card.write_card(
            folder, pathlib.Path(output).name, config, progress, found, dtype=dtype,
            pieces=tokenizer.vocab_size, eos=(tokenizer.processor.id_to_piece(tokenizer.eos_id),
            tokenizer.eos_id), ids=token_ids.compare(tokenizer, folder)[1],
        )  # fmt: skip
    seconds = time.monotonic() - began
    print(f"step {progress.step} -> {output}: {size / 1e9:.2f} GB of {dtype} in {seconds:.1f} s")
    if verify:
        from polylm_jax.checkpoints.hf import verifying

        which = {"step": found.step, "weights": found.weights}
        verifying.verify(checkpoint, output, vocabulary, dtype=dtype, **which)


def write_weights(
    reader: AnyReader,
    config: PolyLMConfig,
    folder: pathlib.Path,
    dtype: np.dtype,
    max_shard_bytes: int,
) -> None:
    """The weights as safetensors shards with an index; each chunk of a parameter is read once."""
    shapes = {tensor.theirs: tensor.shape for tensor in param_table.tensors(config)}
    with stream.Writer(stream.create(folder, shapes, dtype, max_shard_bytes)) as writer:
        for name, element, values in weights.pieces(reader, config):
            with np.errstate(over="ignore", invalid="ignore"):
                cast = values.astype(dtype, copy=False)
            if dtype == np.float16 and not np.array_equal(np.isfinite(cast), np.isfinite(values)):
                raise InputError(
                    f"{name} has values beyond float16's 65,504: export in bfloat16 or float32."
                )
            writer.write(name, element, cast)
        writer.sync()


def _as_pytorch(folder: pathlib.Path) -> None:
    """Each safetensors file as pytorch_model*.bin in its stead, a shard at a time."""
    try:
        import safetensors.torch
        import torch
    except ImportError as error:
        raise InputError(
            "file_format = 'pytorch' needs PyTorch: install torch, or export safetensors."
        ) from error
    for path in sorted(folder.glob("*.safetensors")):
        with open(folder / f"pytorch_{path.stem}.bin", "wb") as file:  # a full disk is an OSError
            torch.save(safetensors.torch.load_file(path), file)
            os.fsync(file.fileno())
        path.unlink()
    index = folder / stream.INDEX
    if index.exists():
        text = index.read_text(encoding="utf-8").replace("model-", "pytorch_model-")
        text = text.replace(".safetensors", ".bin")
        (folder / "pytorch_model.bin.index.json").write_text(text, encoding="utf-8")
        index.unlink()
