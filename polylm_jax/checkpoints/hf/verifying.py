"""What was converted against PyTorch: logits of the same ids, and token ids of the same texts.

PyTorch and transformers are needed for the logits only; without them nothing is claimed.
"""

import dataclasses
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.checkpoints.checkpoint import read_progress, restore_params
from polylm_jax.checkpoints.hf import config_files, param_table, token_ids
from polylm_jax.checkpoints.param_store import open_params
from polylm_jax.errors import InputError
from polylm_jax.model.network import PolyLM, PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

TOLERANCE = 1e-4  # of float32 logits
ROWS, LENGTH = 3, 64  # compared; with 256,000 tokens that is 197 MB of logits a side


def verify(
    checkpoint: str,
    hf_dir: str,
    vocabulary: str,
    *,
    step: int | None = None,
    dtype: str = "float32",
) -> None:
    """Compares a checkpoint of ours with a Hugging Face folder, and says what it found.

    checkpoint, step: MODEL_DIR of a run, and which checkpoint (its newest one). hf_dir: a local
    folder. vocabulary: the SentencePiece model of the checkpoint.
    dtype: what the folder's files round the checkpoint's parameters to.

    Raises InputError for bad input; SystemExit(1) where logits differ by more than 1e-4, or a BPE
    vocabulary's ids differ.
    """
    tokenizer = Tokenizer.load(vocabulary)
    folder = pathlib.Path(hf_dir).expanduser()
    step = read_progress(checkpoint, step).step
    config = param_table.config_of(open_params(checkpoint, step).shapes)
    if config_files.read_config(folder, config.scan_layers) != config:
        raise InputError(
            f"{hf_dir}/config.json is of a model of other sizes than {checkpoint}: give the folder "
            "that was exported from it or imported as it."
        )
    good = _verify_ids(tokenizer, folder)
    good &= _verify_logits(checkpoint, step, config, folder, sample_ids(tokenizer, config), dtype)
    if not good:
        print(f"{hf_dir} is not the same model: it was kept for a look.", file=sys.stderr)
        sys.exit(1)


def _verify_ids(tokenizer: Tokenizer, folder: pathlib.Path) -> bool:
    if not (folder / "tokenizer.json").exists():
        print("token ids: not verified, the folder has no tokenizer.json")
        return True
    good, told = token_ids.compare(tokenizer, folder)
    print(f"token ids: {told}")
    return good


def _verify_logits(
    checkpoint: str,
    step: int,
    config: PolyLMConfig,
    folder: pathlib.Path,
    ids: np.ndarray,
    dtype: str,
) -> bool:
    try:
        import torch
        import transformers  # noqa: F401  (asked here whether it is there)
    except ImportError as error:
        print(f"logits: not verified, {error.name} is not installed")
        return True
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 12 * config.num_params  # both models in float32, and one as much on the way in
    if needed > memory:
        print(f"logits: not verified, it takes {needed / 1e9:.0f} GB of memory")
        return True
    ours = our_logits(checkpoint, step, config, ids, dtype)
    difference = float(np.max(np.abs(ours - their_logits(folder, torch.from_numpy(ids)))))
    print(f"logits: max |JAX - PyTorch| = {difference:.2e} over {ours.size:,} (<= {TOLERANCE:g})")
    return difference <= TOLERANCE  # not a number is not less


def sample_ids(tokenizer: Tokenizer, config: PolyLMConfig) -> np.ndarray:
    """int64 [ROWS, length]: the texts one after another, then ids from the whole vocabulary."""
    length = min(LENGTH, config.max_length)
    joined = [
        i for text in token_ids.TEXTS.values() for i in [*tokenizer.encode(text), tokenizer.eos_id]
    ]
    any_ids = np.random.default_rng(0).integers(0, config.vocab_size, ROWS * length)
    real = np.array(joined[: (ROWS - 1) * length], np.int64)
    any_ids[: len(real)] = real
    return any_ids.reshape(ROWS, length)


def our_logits(
    checkpoint: str, step: int, config: PolyLMConfig, ids: np.ndarray, dtype: str
) -> np.ndarray:
    """float32 [B, T, V] of the checkpoint, its parameters rounded to `dtype` as the files' are."""
    exact = dataclasses.replace(config, dtype="float32", remat="none", attention="reference")
    model, device = PolyLM(exact), jax.devices("cpu")[0]
    params = restore_params(checkpoint, abstract_params(exact, device), step)
    params = jax.tree.map(lambda x: x.astype(dtype).astype(jnp.float32), params)

    def logits(params, ids):
        x_BTD = model.apply({"params": params}, ids)
        return model.apply({"params": params}, x_BTD, method="logits")

    with jax.default_device(device), jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(logits)(params, jnp.asarray(ids, jnp.int32)))


def abstract_params(config: PolyLMConfig, device: jax.Device) -> dict:
    """The parameter tree, nothing in it yet, all on one device."""
    sharding = jax.sharding.SingleDeviceSharding(device)
    tree: dict = {}
    for name, shape in param_table.our_shapes(config).items():
        *path, leaf = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[leaf] = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    return tree


def their_logits(folder: pathlib.Path, ids) -> np.ndarray:
    """float32 [B, T, V] of the folder's model in PyTorch; ids: a torch tensor [B, T]."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    load = transformers.GPT2LMHeadModel.from_pretrained
    model = load(folder, dtype=torch.float32, local_files_only=True).eval()
    with torch.no_grad():
        return model(ids).logits.numpy()
