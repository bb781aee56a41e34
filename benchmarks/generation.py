"""Greedy generation beside transformers' `generate` on the same weights, and its cost as the cache grows.

    python -m benchmarks.generation [--rounds=5]
    python -m benchmarks.generation --grow [--batch=8]

4 layers of 256, vocabulary 8,192, float32 on the CPU, prompts of 32 tokens. First: 8 rows of 128
new tokens, the two in turn in one process, each warmed up; a JSON line per run, then the median of
the ratios within a round. --grow: one text to 2,048 tokens; milliseconds per token by how many
tokens the row had.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.checkpoints.hf import param_table
from polylm_jax.inference.generation import weights
from polylm_jax.inference.generation.decode import Decoder, Request
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig

MODEL = PolyLMConfig(
    num_layers=4, embed_dim=256, num_heads=4, mlp_dim=1024, vocab_size=8192, max_length=2048,
    dtype="float32",
)  # fmt: skip
PROMPT, NEW = 32, 128


def their_model():
    """transformers' GPT-2 of that shape, initialised by itself."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=MODEL.vocab_size, n_positions=MODEL.max_length, n_embd=MODEL.embed_dim,
        n_layer=MODEL.num_layers, n_head=MODEL.num_heads, n_inner=MODEL.mlp_dim, bos_token_id=0,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def our_params(state: dict[str, np.ndarray]) -> dict:
    """Their tensors by name -> our parameters, layers stacked."""
    flat = {name: np.zeros(shape, "f") for name, shape in param_table.our_shapes(MODEL).items()}
    for tensor in param_table.tensors(MODEL):
        place = flat[tensor.ours] if tensor.layer is None else flat[tensor.ours][tensor.layer]
        place[...] = state[tensor.theirs].reshape(place.shape)
    tree: dict = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[leaf] = jnp.asarray(value)
    return tree


def decoder(state: dict[str, np.ndarray], batch: int) -> Decoder:
    """Ours, on one device, with no token that ends a text."""
    mesh = partitioning.make_mesh(partitioning.MeshConfig(), jax.devices()[:1])
    config, params = weights.laid_out(MODEL, our_params(state))
    return Decoder(config, params, mesh, eos=(), batch_size=batch)


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def beside_transformers(model, ours: Decoder, batch: int, rounds: int) -> None:
    """Prints tokens a second of both, in turn."""
    import torch

    prompts = np.random.default_rng(0).integers(0, MODEL.vocab_size, (batch, PROMPT))
    requests = [Request(prompt.tolist(), NEW) for prompt in prompts]
    ids = torch.from_numpy(prompts)
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False}
    options |= {"max_new_tokens": NEW, "min_new_tokens": NEW}

    def theirs():
        with torch.inference_mode():
            return model.generate(ids, **options)[:, PROMPT:].tolist()

    made = [completion.tokens for completion in ours.complete(requests)]
    same = sum(a == b for a, b in zip(made, theirs(), strict=True))
    rates: dict[str, list[float]] = {"ours": [], "transformers": []}
    for _ in range(rounds):
        for name, run in (("ours", lambda: ours.complete(requests)), ("transformers", theirs)):
            rates[name].append(batch * NEW / timed(run))
            told = {"name": name, "tokens_per_s": round(rates[name][-1])}
            print(json.dumps(told | {"load": round(os.getloadavg()[0], 2)}), flush=True)
    ratio = statistics.median(np.divide(rates["ours"], rates["transformers"]))
    medians = {name: round(statistics.median(values)) for name, values in rates.items()}
    versions = {"jax": jax.__version__, "torch": torch.__version__}
    print(
        json.dumps(
            {"ratio": round(ratio, 2), **medians, "same_rows": f"{same}/{batch}", **versions}
        )
    )


def growing(ours: Decoder, batch: int) -> None:
    """Prints milliseconds per step of a whole row of 2,048 tokens, chunk by chunk."""
    request = Request(list(range(PROMPT)), MODEL.max_length - PROMPT)
    spans: dict[int, list[float]] = {}
    for _ in range(3):  # the first one compiles
        length, began = PROMPT, time.perf_counter()
        for made_BC in ours.chunks([request] * batch, set()):
            now = time.perf_counter()
            spans.setdefault(length, []).append((now - began) * 1e3 / made_BC.shape[1])
            length, began = length + made_BC.shape[1], time.perf_counter()
    for length, times in spans.items():
        told = {"tokens": length, "ms_per_step": round(min(times[1:]), 3)}
        print(json.dumps(told), flush=True)


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--grow", action="store_true")
    options = parser.parse_args()
    model = their_model()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    ours = decoder(state, options.batch)
    if options.grow:
        growing(ours, options.batch)
    else:
        beside_transformers(model, ours, options.batch, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
