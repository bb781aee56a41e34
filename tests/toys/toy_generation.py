"""A toy model for generation: random weights that spread the probabilities, and transformers' twin."""

import jax
import jax.numpy as jnp
import numpy as np
import toy_hf

from polylm_jax.checkpoints.hf import param_table
from polylm_jax.inference.generation import weights
from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params

MODEL = PolyLMConfig(
    num_layers=2, embed_dim=32, num_heads=4, mlp_dim=64, vocab_size=97, max_length=160,
    dtype="float32", attention="reference",
)  # fmt: skip
EOS = 2


def params(config: PolyLMConfig = MODEL, scale: float = 0.3) -> dict:
    """Our parameters, the layers stacked; `twin` has the same."""
    flat = {name: np.zeros(shape, "f") for name, shape in param_table.our_shapes(config).items()}
    theirs = toy_hf.values(config, scale)
    for tensor in param_table.tensors(config):
        place = flat[tensor.ours] if tensor.layer is None else flat[tensor.ours][tensor.layer]
        place[...] = theirs[tensor.theirs].reshape(place.shape)
    tree: dict = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[leaf] = jnp.asarray(value)
    return tree


def decoder(config: PolyLMConfig = MODEL, mesh=None, *, eos=(EOS,), **options) -> Decoder:
    """Of `params`, on one device unless a mesh is given."""
    mesh = mesh or partitioning.make_mesh(partitioning.MeshConfig(), jax.devices()[:1])
    shardings = partitioning.param_shardings(abstract_params(PolyLM(config)), mesh)
    placed = jax.device_put(params(config), shardings)
    return Decoder(*weights.laid_out(config, placed), mesh, eos=eos, **options)


def twin(config: PolyLMConfig = MODEL, scale: float = 0.3):
    """transformers' GPT-2 with the same weights."""
    import torch
    import transformers

    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.max_length, n_embd=config.embed_dim,
            n_layer=config.num_layers, n_head=config.num_heads, n_inner=config.mlp_dim,
            bos_token_id=EOS, eos_token_id=EOS, pad_token_id=EOS,
        )
    )  # fmt: skip
    state = {name: torch.from_numpy(value) for name, value in toy_hf.values(config, scale).items()}
    state["lm_head.weight"] = state["transformer.wte.weight"]
    theirs.load_state_dict(state)
    return theirs.eval()


def prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    """Random ids, none of which ends a text."""
    chance = np.random.default_rng(seed)
    return [chance.integers(EOS + 1, MODEL.vocab_size, length).tolist() for length in lengths]
