"""The train step of PolyLM-1.7B on one GPU: tokens a second, MFU and memory, over a table of tries.

    python -m benchmarks.gpu_train_step [--results=tries.jsonl] [--seconds=540]
    python -m benchmarks.gpu_train_step --toy     # does the script work: a toy shape on the CPU

The step is the one that `train` compiles: bfloat16 products, parameters, AdamW and residual stream
in float32, rows of 2,048 random tokens. From START, one of AXES after another is tried and its
fastest value kept; attention is tried again at the end. Each try is a process of its own, so that
one that runs out of memory says so and the next one begins afresh.

A JSON line per try (the median of the timed steps), also at the end of --results, whose tries are
not measured again: a second call goes on where --seconds ended the first. Then a table, best first.
Needs requirements-gpu.txt. MFU is over the maker's dense peak (`metrics.PEAK_TFLOPS`), model FLOPs
6N plus causal attention.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import mock

if "--toy" not in sys.argv:
    os.environ.setdefault("JAX_PLATFORMS", "cuda,cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.loss_memory import full_logits
from polylm_jax.errors import InputError
from polylm_jax.model import cost
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import batch_sharding, replicated
from polylm_jax.training import metrics
from polylm_jax.training import step as train_step
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.programs import Programs

Try = dict[str, str | int]

SHAPE = PolyLMConfig(num_layers=24, embed_dim=2048, num_heads=16, mlp_dim=8192)
TOY = PolyLMConfig(num_layers=2, embed_dim=64, num_heads=2, mlp_dim=128, vocab_size=512,
                   max_length=64)  # fmt: skip
START: Try = {"attention": "cudnn", "loss": "8 chunks", "remat": "dots", "rows": 8, "flags": ""}
LOSSES = {  # what the loss holds at once: pieces of a row, blocks of the vocabulary, all logits
    "8 chunks": {"num_chunks": 8},
    "2 chunks": {"num_chunks": 2},
    "1 chunk": {"num_chunks": 1},
    "8 blocks": {"vocab_blocks": 8},
    "full logits": {},
}
AXES: tuple[dict[str, tuple], ...] = (
    {"attention": ("cudnn", "reference")},
    {"loss": tuple(LOSSES)},
    {"remat": ("none", "dots", "dots_attention", "attention", "full"), "rows": (4, 8, 16, 32, 64)},
    {
        "flags": (
            "",
            "--xla_gpu_enable_latency_hiding_scheduler=true",
            "--xla_gpu_enable_triton_gemm=false",
            "--xla_gpu_enable_command_buffer=",
        )
    },
    {"attention": ("cudnn", "reference")},
)
WARM, STEPS = 3, 10


def programs(one: Try, model: PolyLMConfig) -> Programs:
    """The step of a try, on one device."""
    experiment = Experiment(
        model=dataclasses.replace(model, remat=one["remat"], attention=one["attention"]),
        phases=[PhaseConfig({"random": 1.0}, steps=100_000)],
        vocabulary="none",
        cache_dir="none",
        sequence_length=model.max_length,
        batch_size=one["rows"],
        **LOSSES[one["loss"]],
    )
    return Programs(experiment.resolve(open_stores=False, num_devices=1), devices=jax.devices()[:1])


def step_seconds(made: Programs, step: jax.stages.Compiled, model: PolyLMConfig, rows: int):
    """Of the timed steps, each with its metrics fetched."""
    state, by_row, seconds = made.fresh_state(), batch_sharding(made.mesh), []
    drawn = np.random.default_rng(0).integers(0, model.vocab_size, (rows, model.max_length + 1))
    rate = jax.device_put(jnp.float32(1e-3), replicated(made.mesh))
    batch = jax.device_put((drawn.astype(np.int32), np.zeros(rows, np.int32)), by_row)
    for _ in range(WARM + STEPS):
        began = time.perf_counter()
        state, told = step(state, rate, *batch)
        assert np.isfinite(metrics.fetch(told)["loss"])
        seconds.append(time.perf_counter() - began)
    return seconds[WARM:]


def measure(one: Try, model: PolyLMConfig) -> dict:
    """The line of a try, measured in this process."""
    made, began = programs(one, model), time.perf_counter()
    plain = mock.patch.object(train_step, "cross_entropy", full_logits)
    with plain if one["loss"] == "full logits" else contextlib.nullcontext():
        step = made.compile_step()
    compile_s = time.perf_counter() - began
    seconds = statistics.median(step_seconds(made, step, model, one["rows"]))
    device, tokens = jax.devices()[0], one["rows"] * model.max_length
    flops = cost.flops_per_token(model, model.max_length) * tokens
    peak = metrics.peak_flops(device.device_kind)
    memory, planned = device.memory_stats() or {}, step.memory_analysis()
    return {
        "tokens_per_s": round(tokens / seconds),
        "mfu": round(flops / seconds / peak, 4) if peak else None,
        "step_ms": round(1e3 * seconds, 2),
        "peak_GiB": round(memory.get("peak_bytes_in_use", 0) / 2**30, 2) or None,
        "temporaries_GiB": round(planned.temp_size_in_bytes / 2**30, 2),
        "compile_s": round(compile_s, 1),
        "device": device.device_kind,
        "jax": jax.__version__,
    }


def in_a_process(one: Try, toy: bool) -> dict:
    """The line of a try; of one that fails, the error that it raised."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {one['flags']}".strip()
    command = [sys.executable, "-m", "benchmarks.gpu_train_step", f"--one={json.dumps(one)}"]
    done = subprocess.run(
        command + ["--toy"] * toy, check=False, capture_output=True, text=True,
        env=os.environ | {"XLA_FLAGS": flags},
    )  # fmt: skip
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "RESOURCE_EXHAUSTED" in done.stderr or "Out of memory" in done.stderr:
        return {"error": "out of memory"}
    raised = re.findall(r"^[\w.]*(?:Error|Exception): .*$", done.stderr, re.MULTILINE)
    return {"error": raised[-1][:200] if raised else f"exit code {done.returncode}"}


def check_gpu() -> None:
    """InputError without one. A process asks that ends: the tries need the memory."""
    command = [sys.executable, "-c", "import jax; jax.devices('gpu')"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise InputError(
            "benchmarks.gpu_train_step finds no GPU: run it on a machine that has one, after pip "
            "install -r requirements-gpu.txt, or give --toy to try the script on the CPU."
        )


def search(run: Callable[[Try], dict | None], start: Try, axes=AXES) -> Try:
    """The fastest setting found, axis after axis; `run` gives a try's line, None to stop here."""
    best, rate = start, None
    for axis in axes:
        settings = [best]
        for field, values in axis.items():
            settings = [one | {field: value} for one in settings for value in values]
        for one in [best, *settings]:
            line = run(one)
            if line is None:
                return best
            if line.get("tokens_per_s", 0) > (rate or 0):
                best, rate = one, line["tokens_per_s"]
    return best


def table(lines: list[dict]) -> str:
    """Markdown, fastest first; what failed comes last."""
    names = ("attention", "loss", "remat", "rows", "flags")
    rows = ["| attention | loss | remat | rows | XLA flags | tokens/s | MFU | peak GiB |",
            "| --- " * 8 + "|"]  # fmt: skip
    for line in sorted(lines, key=lambda line: -line.get("tokens_per_s", 0)):
        mfu = f"{line['mfu']:.1%}" if line.get("mfu") else ""
        told = [line.get("error") or f"{line['tokens_per_s']:,}", mfu, line.get("peak_GiB") or ""]
        rows.append(
            "| " + " | ".join(str(cell) for cell in [*(line[n] for n in names), *told]) + " |"
        )
    return "\n".join(rows)


def main() -> int:
    """All tries; or with --one, a single one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("tries.jsonl"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no try after")
    parser.add_argument("--toy", action="store_true", help="a toy shape on the CPU")
    parser.add_argument("--one", type=json.loads, help="one try, as JSON, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, TOY if options.toy else SHAPE)))
        return 0
    if not options.toy:
        check_gpu()
    text = options.results.read_text() if options.results.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    known = {json.dumps({name: line[name] for name in START}): line for line in lines}
    until = time.monotonic() + options.seconds

    def run(one: Try) -> dict | None:
        name = json.dumps(one)
        if name not in known:
            if time.monotonic() > until:
                return None
            known[name] = one | in_a_process(one, options.toy)
            print(json.dumps(known[name]), flush=True)
            with options.results.open("a") as file:
                file.write(json.dumps(known[name]) + "\n")
        return known[name]

    search(run, START)
    print(table(list(known.values())))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
