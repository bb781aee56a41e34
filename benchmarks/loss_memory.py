"""Memory of the compiled train step with the project's loss and with one over full logits.

    python -m benchmarks.loss_memory

Temporaries and arguments of the executable (`memory_analysis()`, state donated) at a vocabulary
of 256,000, width 256, 2 layers, 8 x 512 tokens, float32, full rematerialisation, 64 chunks or
blocks. Nothing runs. One JSON line per loss, then the ratios.
"""

import json
import os
import sys
from unittest import mock

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import optax

from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, RatePhase, learning_rate, make_optimizer
from polylm_jax.training import step as train_step
from polylm_jax.training import train_state

ROWS, LENGTH, VOCABULARY, WIDTH, LAYERS = 8, 512, 256_000, 256, 2
LOSSES = ("chunks", "blocks", "full logits")


def full_logits(x_BTD, wte_VD, labels_BT, weights_BT, **_):
    """The same loss, plainly."""
    matrix_VD = wte_VD.astype(x_BTD.dtype)
    logits_BTV = jnp.einsum("BTD,VD->BTV", x_BTD, matrix_VD, preferred_element_type=jnp.float32)
    nll_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, labels_BT)
    return jnp.sum(weights_BT * nll_BT), nll_BT


def measure(loss: str) -> int:
    """Bytes of temporaries and arguments of the step with one of `LOSSES`, on one device."""
    model = PolyLM(
        PolyLMConfig(
            num_layers=LAYERS,
            embed_dim=WIDTH,
            num_heads=4,
            mlp_dim=4 * WIDTH,
            vocab_size=VOCABULARY,
            max_length=LENGTH,
            dtype="float32",
            remat="full",
        ).check()
    )
    rate = learning_rate([RatePhase(steps=1000, warmup_steps=10)])
    tx = make_optimizer(OptimizerConfig(), rate)
    mesh = partitioning.make_mesh(partitioning.MeshConfig(), jax.devices()[:1])
    blocks = {"vocab_blocks": 64} if loss == "blocks" else {"num_chunks": 64}
    step = train_step.make_train_step(model, tx, rate, 1, **blocks)
    state = train_state.abstract(model, tx, mesh)
    rows = partitioning.batch_sharding(mesh)
    tokens = jax.ShapeDtypeStruct((ROWS, LENGTH + 1), jnp.int32, sharding=rows)
    component = jax.ShapeDtypeStruct((ROWS,), jnp.int32, sharding=rows)
    function = full_logits if loss == "full logits" else train_step.cross_entropy
    with partitioning.activate(mesh), mock.patch.object(train_step, "cross_entropy", function):
        lowered = jax.jit(step, donate_argnums=0).lower(state, tokens, component)
    memory = lowered.compile().memory_analysis()
    return memory.temp_size_in_bytes + memory.argument_size_in_bytes


def main() -> int:
    """Prints a line per loss and the ratio of full logits to each."""
    bytes_of = {loss: measure(loss) for loss in LOSSES}
    for loss, size in bytes_of.items():
        print(json.dumps({"loss": loss, "MiB": round(size / 2**20, 1)}))
    ratios = {
        f"full logits / {loss}": round(bytes_of["full logits"] / bytes_of[loss], 2)
        for loss in LOSSES[:-1]
    }
    print(json.dumps({"jax": jax.__version__, **ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
