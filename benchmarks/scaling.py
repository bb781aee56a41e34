"""The cost of a train step as the work grows, along one axis at a time.

    python -m benchmarks.scaling [--axes=depth,width,...] [--plot=docs/scaling.svg]

From a step of 4 layers, width 256, 8,192 tokens of vocabulary, 8 rows of 128 tokens (float32, CPU):
depth, width, length and vocabulary grow alone, then the same work is spread over simulated devices
and cut into microbatches. Each axis is a process of its own. Besides, the time that tracing and
compiling take, and the temporary memory of the loss over blocks of the vocabulary: beyond the
output matrix and its gradient in the order of the blocks it must not grow.

A JSON line per point (the median of the timed steps); then one per axis with the fitted exponent of
the time: over the step's FLOPs, where the work grows, or else over the size itself (0 where devices
or microbatches cost nothing). With --plot, a picture of them.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

DEVICES = 8
if "devices" in sys.argv[1:2]:  # before anything imports JAX
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.toy_runs import Workload
from polylm_jax.model import partitioning
from polylm_jax.model.cost import flops_per_token
from polylm_jax.model.loss import cross_entropy
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, RatePhase, learning_rate, make_optimizer
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import train_state
from polylm_jax.training.step import make_train_step

BASE = Workload(num_layers=4, embed_dim=256, num_heads=4, vocab_size=8192, batch_size=8,
                length=128, steps=7, warm=2)  # fmt: skip
HEAD_DIM = 64
BLOCK = 4096  # tokens in a block of the vocabulary
GROWING = {
    "depth": ("num_layers", (2, 4, 8, 16, 32)),
    "width": ("embed_dim", (128, 256, 512, 768)),
    "length": ("length", (64, 128, 256, 512, 1024)),
    "vocabulary": ("vocab_size", (4096, 8192, 16_384, 32_768, 65_536)),
}
SPREAD = {"devices": (1, 2, 4, 8), "microbatches": (1, 2, 4, 8)}
VOCABULARIES = (16_384, 32_768, 65_536, 131_072, 262_144)


def measure(workload: Workload, devices: int = 1, microbatches: int = 1) -> dict:
    """Seconds to compile a step and to take one."""
    mesh = partitioning.make_mesh(MeshConfig(), jax.devices()[:devices])
    rate = learning_rate([RatePhase(steps=1000, warmup_steps=10)])
    model, tx = PolyLM(workload.model), make_optimizer(OptimizerConfig(), rate)
    step = make_train_step(model, tx, rate, 1, microbatches=microbatches)
    state = train_state.create(model, tx, mesh, jax.random.key(0))
    shape = (workload.batch_size, workload.length + 1)
    drawn = np.random.default_rng(0).integers(0, workload.vocab_size, shape).astype(np.int32)
    batch = jax.device_put(
        (drawn, np.zeros(workload.batch_size, np.int32)), partitioning.batch_sharding(mesh)
    )
    began = time.perf_counter()
    with partitioning.activate(mesh):
        compiled = jax.jit(step, donate_argnums=0).lower(state, *batch).compile()
    compile_s, seconds = time.perf_counter() - began, []
    for _ in range(workload.warm + workload.steps):
        began = time.perf_counter()
        state, metrics = compiled(state, *batch)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - began)
    return {
        "step_s": round(statistics.median(seconds[workload.warm :]), 4),
        "gflop": round(flops_per_token(workload.model, workload.length) * workload.tokens / 1e9, 2),
        "compile_s": round(compile_s, 1),
    }


def loss_temporaries(vocab_size: int) -> float:
    """MiB that loss and gradients over blocks of the vocabulary need besides what they return."""
    shape = (BASE.batch_size, BASE.length)

    def with_gradients(x, wte, labels, weights):
        blocks = {"vocab_blocks": vocab_size // BLOCK}
        return jax.grad(lambda x, w: cross_entropy(x, w, labels, weights, **blocks)[0], (0, 1))(
            x, wte
        )

    operands = [
        jax.ShapeDtypeStruct((*shape, BASE.embed_dim), jnp.float32),
        jax.ShapeDtypeStruct((vocab_size, BASE.embed_dim), jnp.float32),
        jax.ShapeDtypeStruct(shape, jnp.int32),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    ]
    memory = jax.jit(with_gradients).lower(*operands).compile().memory_analysis()
    return memory.temp_size_in_bytes / 2**20


def points(axis: str):
    """A dict per size along the axis."""
    if axis == "loss_memory":
        for size in VOCABULARIES:
            all_of_it = loss_temporaries(size)
            matrices = 2 * 4 * size * BASE.embed_dim / 2**20
            beyond = {"beyond_matrices_MiB": round(all_of_it - matrices, 1)}
            yield {"axis": axis, "size": size, "MiB": round(all_of_it, 1)} | beyond
    elif axis in SPREAD:
        for size in SPREAD[axis]:
            yield {"axis": axis, "size": size} | measure(BASE, **{axis: size})
    else:
        field, sizes = GROWING[axis]
        for size in sizes:
            changes = {"num_heads": size // HEAD_DIM} if axis == "width" else {}
            workload = dataclasses.replace(BASE, **{field: size}, **changes)
            yield {"axis": axis, "size": size} | measure(workload)


def exponent(x: list[float], y: list[float]) -> float:
    """Of the power law through the points, by least squares in logarithms."""
    return round(float(np.polyfit(np.log(x), np.log(y), 1)[0]), 2)


def fit(axis: str, lines: list[dict]) -> dict:
    """The exponents of an axis."""

    def column(name):
        return [line[name] for line in lines]

    if axis == "loss_memory":
        return {"axis": axis, "exponent": exponent(column("size"), column("beyond_matrices_MiB"))}
    over = "gflop" if axis in GROWING else "size"
    return {
        "axis": axis,
        "over": over,
        "exponent": exponent(column(over), column("step_s")),
        "compile_exponent": exponent(column("size"), column("compile_s")),
    }


def plot(measured: dict[str, list[dict]], path: str) -> None:
    """Step time and compile time along each axis, in logarithms."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # words stay words
    from matplotlib import pyplot

    axes = [axis for axis in measured if axis != "loss_memory"]
    figure, panels = pyplot.subplots(2, -(-len(axes) // 2), figsize=(11, 6), sharey=True)
    for axis, panel in zip(axes, panels.flat, strict=False):
        lines = measured[axis]
        size = [line["size"] for line in lines]
        panel.loglog(size, [line["step_s"] for line in lines], "o-", label="step")
        panel.loglog(size, [line["compile_s"] for line in lines], "s:", label="compile")
        work = np.array([line["gflop"] for line in lines])
        panel.loglog(size, work * lines[-1]["step_s"] / work[-1], "k--", lw=0.8, label="FLOPs")
        panel.set_xticks(size, [f"{s:,}" for s in size], rotation=30, minor=False)
        panel.minorticks_off()
        panel.set_title(axis)
    panels.flat[0].set_ylabel("seconds")
    panels.flat[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """An axis in this process where it is the first argument; else all, in processes."""
    every = (*GROWING, *SPREAD, "loss_memory")
    if sys.argv[1:2] and sys.argv[1] in every:
        for line in points(sys.argv[1]):
            print(json.dumps(line), flush=True)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", default=",".join(every))
    parser.add_argument("--plot", default="")
    options = parser.parse_args()
    measured = {}
    for axis in options.axes.split(","):
        command = [sys.executable, "-m", "benchmarks.scaling", axis]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, end="", flush=True)
        measured[axis] = [json.loads(line) for line in done.stdout.splitlines()]
    for axis, lines in measured.items():
        print(json.dumps(fit(axis, lines)), flush=True)
    if options.plot:
        plot(measured, options.plot)


if __name__ == "__main__":
    main()
