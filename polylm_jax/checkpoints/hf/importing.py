"""A checkpoint of ours from a Hugging Face folder: any GPT-2 with PolyLM's activation and tied embedding.

OUTPUT/checkpoints/0/params, progress   what INIT_FROM and export read; no optimizer
      /tokenizer.model                  the folder's vocabulary: give it as VOCABULARY
"""

import dataclasses
import json
import pathlib
import time

import numpy as np

from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.hf import config_files, param_table
from polylm_jax.checkpoints.hf.weights import Places, named_places
from polylm_jax.checkpoints.identity import fitting_tokenizer, imported
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime import output_folder, paths
from polylm_jax.tokenizer.tokenizer import Tokenizer

VOCABULARY = "tokenizer.model"
PIECE = 16 << 20  # elements compared at once


def import_hf(
    hf_dir: str,
    output: str,
    *,
    vocabulary: str = "",
    model: PolyLMConfig | None = None,
    overwrite: bool = False,
    verify: bool = True,
) -> None:
    """Makes a checkpoint of ours from a Hugging Face folder with a GPT-2, at step 0.

    hf_dir: a local folder with config.json, weights (safetensors or .bin, in shards or not) and
    tokenizer.model.
    output: the folder to make, a MODEL_DIR that INIT_FROM takes.
    vocabulary: a SentencePiece model, where the folder lacks tokenizer.model.
    model: the recipe's, which the folder's must equal in size; layers are scanned and products
    computed as it says. Without it, products are of the files' own precision.
    overwrite: replaces an output that exists.
    verify: compares with PyTorch where it is installed.

    Raises InputError for bad input, with nothing written; SystemExit(1) if the comparison fails.
    """
    output_folder.check(output, overwrite, hf_dir)
    source = paths.local(hf_dir, "HF_DIR")
    if not source.is_dir():
        raise InputError(f"HF_DIR = {hf_dir!r} is not a local folder: download the model first.")
    config = config_files.read_config(source, scan_layers=model is None or model.scan_layers)
    _check_model(source, config, model)
    places, params = named_places(config, source)
    tokenizer = _tokenizer(source, vocabulary, config)
    _check_tied(places, params)
    config = dataclasses.replace(config, dtype=model.dtype if model else _precision(params))
    name = source.absolute().name
    progress = imported(0, "imported", name, tokenizer.fingerprint, config.described())
    size, began = 4 * config.num_params, time.monotonic()
    with output_folder.building(output, size, overwrite) as folder:
        write_checkpoint(config, params, folder, progress)
        (folder / VOCABULARY).write_bytes(tokenizer.content)
    seconds = time.monotonic() - began
    print(f"{hf_dir} -> {output}: {size / 1e9:.2f} GB of float32 in {seconds:.1f} s")
    if verify:
        from polylm_jax.checkpoints.hf import verifying

        verifying.verify(output, hf_dir, str(paths.local(output, "OUTPUT") / VOCABULARY))


def _check_model(source: pathlib.Path, config: PolyLMConfig, model: PolyLMConfig | None) -> None:
    for field, size in config.sizes.items():
        if model and getattr(model, field) != size:
            raise InputError(
                f"{source}/config.json has {field} = {size} and the recipe's model "
                f"{getattr(model, field)}: include the model that it is."
            )


def _tokenizer(source: pathlib.Path, vocabulary: str, config: PolyLMConfig) -> Tokenizer:
    """The vocabulary that comes with the weights; InputError where it has more pieces than they."""
    tokenizer = fitting_tokenizer(vocabulary or str(source / VOCABULARY), config.vocab_size)
    said = json.loads((source / "config.json").read_text(encoding="utf-8")).get("eos_token_id")
    if said != tokenizer.eos_id:
        print(f"config.json says that {said} ends a text; here it is {tokenizer.eos_id}, </s>")
    return tokenizer


def _precision(params: Places) -> str:
    """What later evaluations compute products in: bfloat16 where all files have it, else float32."""
    kinds = {place.dtype.name for place in params.values()}
    return "bfloat16" if kinds == {"bfloat16"} else "float32"


def _check_tied(places: Places, params: Places) -> None:
    """InputError where the file has an output embedding that is not the input's, bit by bit."""
    if param_table.TIED not in places:
        return
    wte, head = params[param_table.WTE], places[param_table.TIED]
    if wte is head:
        return
    size = int(np.prod(wte.shape))
    for start in range(0, size, PIECE):
        count = min(PIECE, size - start)
        if wte.read(start, count).tobytes() != head.read(start, count).tobytes():
            raise InputError(
                f"{head.path} has an {param_table.TIED} of its own, other than wte.weight: only a "
                "GPT-2 with tied embeddings can be imported."
            )


def write_checkpoint(
    config: PolyLMConfig, places: Places, model_dir: pathlib.Path, progress: Progress
) -> None:
    """Streams tensors, by the table's names for theirs, into a new checkpoint in float32."""
    writer = Writer(model_dir, param_table.our_shapes(config), progress)
    for tensor in param_table.tensors(config):
        place = places[tensor.theirs]
        for index, first, count in writer.pieces(tensor.ours, tensor.layer):
            values = place.read(first, count).astype(np.float32, copy=False)
            writer.write(tensor.ours, index, values)
    writer.close()
