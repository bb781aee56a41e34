"""Throughput of `serve`: 16 clients at once, one at a time, and transformers' own server on the same weights.

    python -m benchmarks.serving [--rounds=3] [--clients=16] [--requests=32] [--new=64]

4 layers of 256, vocabulary 8,192, float32 on the CPU; prompts of some 32 tokens in several scripts,
64 new tokens each, greedy. Both servers are processes of their own and load one checkpoint: ours as
it is, theirs as `export` writes it. Rounds go round the cases in turn; a JSON line per measurement, with the CPU
seconds of the server (which tell more than the clock where others compute too), then the ratios of
the medians. `--only=ours` leaves the other one out.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import openai

from benchmarks import serving_toy

REPO = pathlib.Path(__file__).resolve().parent.parent


def ours(folder: pathlib.Path, rows: int) -> list[str]:
    """The command of `run.py serve`."""
    return [sys.executable, "run.py", *serving_toy.arguments("serve", folder), f"--rows={rows}"]


def theirs(folder: pathlib.Path) -> list[str]:
    """The command of `transformers serve`, on the weights that `export` wrote."""
    tool = pathlib.Path(sys.executable).with_name("transformers")
    return [str(tool), "serve", str(folder / "hf"), "--device=cpu", "--dtype=float32"]


class Started(NamedTuple):
    """A server: where it answers, and its process."""

    address: str
    pid: int


@contextlib.contextmanager
def running(command: Sequence[str], port: int) -> Iterator[Started]:
    """A server of its own, once it answers; its seconds to get there are told."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen([*command, f"--port={port}"], cwd=REPO, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            while not _answers(f"{address}/health"):
                if child.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(log.read().decode()[-2000:])
                time.sleep(0.2)
            print(json.dumps({"port": port, "start_s": round(time.perf_counter() - began, 1)}))
            yield Started(address, child.pid)
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (OSError, urllib.error.URLError):
        return False


async def measure(address: str, model: str, clients: int, requests: int, new: int) -> dict:
    """Tokens a second over so many requests, from so many clients that each ask one after the other."""
    prompts, times, tokens = iter(serving_toy.prompts(requests)), [], 0
    async with openai.AsyncOpenAI(
        base_url=f"{address}/v1", api_key="none", timeout=300, max_retries=0
    ) as client:

        async def one() -> None:
            nonlocal tokens
            for prompt in prompts:
                began = time.perf_counter()
                answer = await client.completions.create(
                    model=model, prompt=prompt, max_tokens=new, temperature=0
                )
                times.append(time.perf_counter() - began)
                tokens += answer.usage.completion_tokens

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        seconds = time.perf_counter() - began
    times.sort()
    return {
        "tokens_per_s": round(tokens / seconds, 1), "requests_per_s": round(requests / seconds, 2),
        "tokens": tokens, "p50_s": round(statistics.median(times), 3), "max_s": round(times[-1], 3),
    }  # fmt: skip


def cpu_seconds(pid: int) -> float:
    """Of a process so far, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(servers: dict[str, tuple[Started, str]], options) -> None:
    """Prints each measurement, and the ratios."""
    cases = [(name, clients) for name in servers for clients in (1, options.clients)]
    rates: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    costs: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for round_number in range(options.rounds + 1):  # the first one warms up
        for name, clients in cases:
            requests = options.requests if clients > 1 else max(4, options.requests // 4)
            (address, pid), model = servers[name]
            before = cpu_seconds(pid)
            found = asyncio.run(measure(address, model, clients, requests, options.new))
            found["cpu_s"] = round(cpu_seconds(pid) - before, 2)
            if round_number:
                rates[name, clients].append(found["tokens_per_s"])
                costs[name, clients].append(found["cpu_s"] / found["tokens"])
                load = round(os.getloadavg()[0], 2)
                print(
                    json.dumps({"server": name, "clients": clients, **found, "load": load}),
                    flush=True,
                )
    medians = {case: statistics.median(found) for case, found in rates.items()}
    told = {f"{name}_{clients}": round(value, 1) for (name, clients), value in medians.items()}
    many = options.clients
    told["ours_many_over_one"] = round(medians["ours", many] / medians["ours", 1], 2)
    for name, clients in cases:
        if name != "ours":
            ratio = medians["ours", clients] / medians[name, clients]
            told[f"ours_over_{name}_{clients}"] = round(ratio, 2)
            paid = statistics.median(costs[name, clients]) / statistics.median(
                costs["ours", clients]
            )
            told[f"tokens_per_cpu_s_ours_over_{name}_{clients}"] = round(paid, 2)
    print(json.dumps(told))


def main() -> int:
    """Starts the servers and measures them in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("rounds", 3),
        ("clients", 16),
        ("requests", 32),
        ("new", 64),
        ("rows", 16),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", choices=["ours"])
    parser.add_argument("--folder", type=pathlib.Path, help="where the checkpoint is or goes")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serving_toy.prepare(folder, export=options.only is None)
        started = stack.enter_context(running(ours(folder, options.rows), 8471))
        servers = {"ours": (started, "run")}
        if options.only is None:
            started = stack.enter_context(running(theirs(folder), 8472))
            servers["transformers"] = (started, str(folder / "hf"))
        compare(servers, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
