"""What it costs to check what is on disk: a checkpoint by its digests, rows by their ids.

    python -m benchmarks.digests FOLDER [--gigabytes=0.5] [--rounds=5]

FOLDER gets a checkpoint of random float32 parameters and a token store, in the page cache once they
are written. CPU seconds of all threads, since they count however busy the machine is; in turn within
a round:

  read       the bytes of the parameters' files read once, and nothing made of them
  unchecked  the parameters restored onto a CPU device as an earlier version did, without digests
  checked    the same with digests, as every mode does
  rows_unchecked, rows   ten times 30,000 shuffled rows of 2,049 tokens, without a look at their ids,
             and with it

Prints a JSON line per run, then the medians of the ratios within a round.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time
import types
from collections.abc import Callable
from unittest import mock

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from benchmarks import rows
from polylm_jax.checkpoints import items
from polylm_jax.checkpoints.checkpoint import PARAMS, Checkpoints
from polylm_jax.checkpoints.progress import Progress
from polylm_jax.data.stores.store import TokenStore

ARRAYS = 8
ROWS, CALL, PASSES = 30_000, 250, 10
RATIOS = (("unchecked", "read"), ("checked", "read"), ("checked", "unchecked"))


def make(folder: pathlib.Path, gigabytes: float) -> Checkpoints:
    """A run's folder with a checkpoint of so many random bytes, unless it is there."""
    checkpoints = Checkpoints(str(folder))
    if checkpoints.newest() is None:
        draw = np.random.default_rng(0)
        shape = (max(int(gigabytes * 1e9 / 4 / ARRAYS / 1024), 1), 1024)
        params = {
            f"a{n}": jax.numpy.asarray(draw.standard_normal(shape, np.float32))
            for n in range(ARRAYS)
        }
        state = types.SimpleNamespace(
            params=params, opt_state={"count": jax.numpy.zeros(2)}, average=None
        )
        checkpoints.save(state, Progress(1, 1, 1, "made", {}))
        checkpoints.wait()
    return checkpoints


def read_all(folder: pathlib.Path) -> int:
    """Bytes of all files below a folder, each read once."""
    buffer, total = bytearray(1 << 24), 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total


def restored(place, digests: dict[str, str]) -> int:
    """The parameters on a device; their bytes."""
    on = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=on),
        items.stored(place, PARAMS, digests),
        is_leaf=lambda x: hasattr(x, "shape"),
    )
    params = jax.block_until_ready(items.restored(place, PARAMS, digests, wanted))
    return sum(x.nbytes for x in jax.tree.leaves(params))


def read_rows(store: TokenStore) -> int:
    """Bytes of shuffled rows."""
    available = store.num_rows("train", rows.LENGTH)
    order = np.random.default_rng(0).permutation(available)[:ROWS]
    calls = [order[first : first + CALL] for first in range(0, len(order), CALL)] * PASSES
    return sum(store.read_rows("train", call, rows.LENGTH).nbytes for call in calls)


def unchecked_rows(store: TokenStore) -> int:
    """The same without a look at their ids."""
    with mock.patch.object(TokenStore, "_check_ids", lambda *_: None):
        return read_rows(store)


def measure(name: str, run: Callable[[], int]) -> float:
    """CPU seconds, and the line that says so."""
    clock, began = time.monotonic(), time.process_time()
    size = run()
    seconds = time.process_time() - began
    told = {"name": name, "cpu_s": round(seconds, 3), "wall_s": round(time.monotonic() - clock, 3),
            "gigabytes": round(size / 1e9, 3), "load": round(os.getloadavg()[0], 1)}  # fmt: skip
    print(json.dumps(told), flush=True)
    return seconds


def main() -> int:
    """Makes the files and measures in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=0.5, help="of parameters")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    checkpoints = make(options.folder / "run", options.gigabytes)
    place = items.epath.Path(options.folder / "run" / "checkpoints" / str(checkpoints.newest()))
    digests = checkpoints.progress(checkpoints.newest()).digests[PARAMS]
    store = rows.make(options.folder, "store", 2)
    runs = {
        "read": lambda: read_all(pathlib.Path(place) / PARAMS),
        "unchecked": lambda: restored(place, {}),
        "checked": lambda: restored(place, digests),
        "rows_unchecked": lambda: unchecked_rows(store),
        "rows": lambda: read_rows(store),
    }
    for run in runs.values():  # imports, programs and the page cache
        run()
    seconds = {name: [] for name in runs}
    for number in range(options.rounds):
        turn = [*runs.items()]
        for name, run in turn if number % 2 else turn[::-1]:
            seconds[name].append(measure(name, run))
    ratios = {
        f"{one} / {other}": round(statistics.median(np.divide(seconds[one], seconds[other])), 3)
        for one, other in (*RATIOS, ("rows", "rows_unchecked"))
    }
    print(json.dumps({"name": "ratios", **ratios, "jax": jax.__version__}), flush=True)
    checkpoints.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
