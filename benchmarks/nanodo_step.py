"""nanodo's train step on the workloads of `train_step`, as a peer of it.

    python -m benchmarks.nanodo_step W1

Runs in a Python of its own, which has nanodo besides requirements.txt: pip install
git+https://github.com/google-deepmind/nanodo. Its `Trainer` takes random tokens, float32, without
its statistics of every layer; metrics are fetched at every step. Prints a JSON line.
"""

import json
import os
import statistics
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh
from nanodo import model_factory, train
from nanodo.configs import default

from benchmarks.toy_runs import Workload
from benchmarks.train_step import WORKLOADS


def trainer(workload: Workload) -> train.Trainer:
    """nanodo's own, with its default optimizer (AdamW)."""
    config = default.get_config()
    config.batch_size, config.log_internal_metrics = workload.batch_size, False
    config.model = {
        "D": workload.embed_dim, "H": workload.num_heads, "L": workload.length,
        "N": workload.num_layers, "F": 4 * workload.embed_dim, "dtype": "float32",
        "fsdp_enabled": False, "remat": False,
    }  # fmt: skip
    mesh = Mesh(mesh_utils.create_device_mesh((1,)), ("data",))
    model, loss = model_factory.get_model_and_loss(config, workload.vocab_size)
    shardings, state = train._init_train_state(config, model, rng=jax.random.key(0), mesh=mesh)
    return train.Trainer(c=config, state=state, mesh=mesh, shardings=shardings, get_loss_fn=loss)


def main() -> None:
    """The median of the timed steps."""
    name = sys.argv[1]
    workload, seconds = WORKLOADS[name], []
    theirs, draw = trainer(workload), np.random.default_rng(0)
    for number in range(workload.warm + workload.steps):
        shape = (workload.batch_size, workload.length)
        tokens = draw.integers(1, workload.vocab_size, shape).astype(np.int32)
        began = time.perf_counter()
        told = theirs.get_metrics(number, theirs.do_step(number, tokens))
        seconds.append(time.perf_counter() - began)
    assert np.isfinite(told["train_loss"])
    step_s = statistics.median(seconds[workload.warm :])
    line = {
        "name": "nanodo",
        "workload": name,
        "tokens_per_s_median": round(workload.tokens / step_s, 1),
        "step_ms_median": round(1e3 * step_s, 2),
        "jax": jax.__version__,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
