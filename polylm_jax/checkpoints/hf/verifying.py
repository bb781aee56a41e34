"""What was converted against its source: every tensor, token ids of texts, logits in PyTorch.

PyTorch and transformers are needed for the logits (and for .bin files) only; without them nothing
is claimed of those.
"""

import dataclasses
import math
import os
import pathlib
import sys

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.checkpoints.checkpoint import restore_params
from polylm_jax.checkpoints.hf import config_files, param_table, token_ids
from polylm_jax.checkpoints.hf import weights as hf_weights
from polylm_jax.checkpoints.identity import Checkpoint, Selection
from polylm_jax.checkpoints.param_store import open_params
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.runtime import paths
from polylm_jax.runtime.spread import spread
from polylm_jax.tokenizer.tokenizer import Tokenizer

TOLERANCE = 1e-4  # of float32 logits
ROWS, LENGTH = 3, 64  # compared; with 256,000 tokens that is 197 MB of logits a side


@spread("selection")
def verify(
    checkpoint: str,
    hf_dir: str,
    vocabulary: str,
    *,
    selection: Selection,
    dtype: str = "float32",
) -> None:
    """Compares a checkpoint of ours with a Hugging Face folder, and says what it found.

    checkpoint: MODEL_DIR of a run, local or gs://.
    hf_dir: a local folder.
    vocabulary: the SentencePiece model of the checkpoint.
    dtype: what the folder's files round the checkpoint's parameters to.

    Every parameter is compared, bit by bit; logits are those of a few short rows.

    Raises InputError for bad input; SystemExit(1) where a tensor differs, logits differ by more than
    1e-4, or a BPE vocabulary's ids differ.
    """
    tokenizer = Tokenizer.load(vocabulary)
    folder = paths.local(hf_dir, "HF_DIR")
    found, _ = selection.identify(checkpoint)
    config = param_table.config_of(open_params(checkpoint, found.step, found.weights).shapes)
    if config_files.read_config(folder, config.scan_layers) != config:
        raise InputError(
            f"{hf_dir}/config.json is of a model of other sizes than {checkpoint}: give the folder "
            "that was exported from it or imported as it."
        )
    print(f"{found} against {hf_dir}")
    good = _verify_ids(tokenizer, folder)
    good &= _verify_weights(found, config, folder, dtype)
    good &= _verify_logits(found, config, folder, sample_ids(tokenizer, config), dtype)
    if not good:
        print(f"{hf_dir} is not the same model: it was kept for a look.", file=sys.stderr)
        sys.exit(1)


def _verify_ids(tokenizer: Tokenizer, folder: pathlib.Path) -> bool:
    if not (folder / "tokenizer.json").exists():
        print("token ids: not verified, the folder has no tokenizer.json")
        return True
    good, finding = token_ids.compare(tokenizer, folder)
    print(f"token ids: {finding}")
    return good


def _verify_weights(
    found: Checkpoint, config: PolyLMConfig, folder: pathlib.Path, dtype: str
) -> bool:
    """Whether all bits of all tensors are the checkpoint's, rounded to `dtype`, as the file has them."""
    _, theirs = hf_weights.named_places(config, folder, quiet=True)
    differing: dict[str, Difference] = {}
    reader = open_params(found.path, found.step, found.weights)
    for name, first, values in hf_weights.pieces(reader, config):
        with np.errstate(over="ignore", invalid="ignore"):
            ours = values.astype(dtype).astype(theirs[name].dtype).astype(np.float32)
        read = theirs[name].read(first, ours.size).astype(np.float32)
        if ours.tobytes() != read.tobytes():
            here = differing.setdefault(name, Difference(theirs[name].shape))
            here.add(first, ours, read)
    print(
        f"weights: {len(theirs) - len(differing)} of {len(theirs)} tensors are the same, bit by bit"
    )
    for name, difference in differing.items():
        print(f"  {name} differs: {difference}")
    return not differing


@dataclasses.dataclass
class Difference:
    """Where a tensor of `shape` differs: how many elements, the first one's row, how far at most."""

    shape: tuple[int, ...]
    elements: int = 0
    first: int = -1
    largest: float = 0.0

    def add(self, start: int, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Counts those of a piece that begins at element `start`."""
        places = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32))
        self.first = start + int(places[0]) if self.first < 0 else self.first
        self.elements += len(places)
        with np.errstate(invalid="ignore"):
            apart = np.abs(ours[places].astype(np.float64) - theirs[places])
        self.largest = max(self.largest, float(np.max(apart)))

    def __str__(self) -> str:
        row = self.first // (math.prod(self.shape[1:]) or 1)
        return (
            f"{self.elements:,} of {math.prod(self.shape):,} elements, the first in row {row} of "
            f"{self.shape[0]:,}, by up to {self.largest:.3g}"
        )


def _verify_logits(
    found: Checkpoint,
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
    ours = our_logits(found, config, ids, dtype)
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


def our_logits(found: Checkpoint, config: PolyLMConfig, ids: np.ndarray, dtype: str) -> np.ndarray:
    """float32 [B, T, V] of the checkpoint, its parameters rounded to `dtype` as the files' are."""
    exact = dataclasses.replace(config, dtype="float32", remat="none", attention="reference")
    model, device = PolyLM(exact), jax.devices("cpu")[0]
    abstract = abstract_params(exact, device)
    params = restore_params(found.path, abstract, found.step, found.weights)
    params = jax.tree.map(lambda x: x.astype(dtype).astype(jnp.float32), params)

    def logits(params, ids):
        x_BTD = model.apply({"params": params}, ids)
        return model.apply({"params": params}, x_BTD, method="logits")

    with jax.default_device(device), jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(logits)(params, jnp.asarray(ids, jnp.int32)))


def abstract_params(config: PolyLMConfig, device: jax.Device) -> dict:
    """The parameter tree, nothing in it yet, all on one device."""
    sharding = jax.sharding.SingleDeviceSharding(device)
    leaves = {
        name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
        for name, shape in param_table.our_shapes(config).items()
    }
    return flax.traverse_util.unflatten_dict(leaves, sep=".")


def their_logits(folder: pathlib.Path, ids) -> np.ndarray:
    """float32 [B, T, V] of the folder's model in PyTorch; ids: a torch tensor [B, T]."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    load = transformers.GPT2LMHeadModel.from_pretrained
    model = load(folder, dtype=torch.float32, local_files_only=True).eval()
    with torch.no_grad():
        return model(ids).logits.numpy()
