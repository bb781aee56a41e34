"""Shuffled rows of 2,049 tokens through the full mixing path, beside a memory map of the same files.

    python benchmarks/rows.py FOLDER --gigabytes=32

FOLDER gets stores of random tokens, three components of unequal size, larger together than the page
cache if the number does not hold what is measured. Then, in turn, each with the caches dropped where
the user may do that:

  rows            data.Rows.read over a Schedule of two phases with a ramp: from row numbers of the
                  run to tokens, 256 rows a call
  memmap          np.memmap rows at random places of the same files
  memmap_random   the same, the kernel told not to read ahead (MADV_RANDOM)

Prints a JSON line per run, then the medians of the ratios within a round.
"""

import argparse
import json
import mmap
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import Rows
from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity
from polylm_jax.data.stores.store import MANIFEST, TokenStore
from polylm_jax.data.stores.writer import StoreWriter

LENGTH = 2048
BATCH = 256  # rows a call
UNIT = 1 << 25  # tokens: 64 MB, what a unit of text gives at most
SIZES = {"en": 0.6, "zh": 0.3, "pairs": 0.1}  # of the whole
SHARES = [{"en": 0.7, "zh": 0.25, "pairs": 0.05}, {"en": 0.4, "zh": 0.45, "pairs": 0.15}]


def make(folder: pathlib.Path, name: str, units: int) -> TokenStore:
    """A store of so many units of random tokens, unless it is there."""
    path = folder / name
    if not (path / MANIFEST).exists():
        identity = Identity(
            format_version=FORMAT_VERSION, task=name, task_version="", vocabulary="",
            vocabulary_sha256="", vocab_size=2**16, eos_id=2, dtype="uint16", source={},
            units=tuple(map(str, range(units))),
        )  # fmt: skip
        writer = StoreWriter(str(path), identity)
        tokens = np.random.default_rng(0).integers(0, 2**16, UNIT, np.uint16)
        for number in writer.missing():
            unit = writer.unit(number)
            unit.add("train", np.roll(tokens, number), {name}, {"documents": 1})
            unit.commit()
        writer.finish(0.0)
    return TokenStore.open(str(path))


def mixed(stores: dict[str, TokenStore], calls: int) -> Callable[[int], np.ndarray]:
    """Batches of a run, one after the other, by number."""
    rows = max(calls * BATCH, 1000)
    phases = [Phase("1", SHARES[0], rows // 2), Phase("2", SHARES[1], rows - rows // 2, rows // 4)]
    source = Rows(Schedule(phases), stores, LENGTH, seed=0)
    return lambda number: source.read(np.arange(number * BATCH, (number + 1) * BATCH))[0]


def mapped(stores: dict[str, TokenStore], random: bool) -> Callable[[int], np.ndarray]:
    """Batches of rows at random places of the stores' files."""
    maps = []
    for store in stores.values():
        for part in store.manifest.splits["train"].parts:
            tokens = np.memmap(store.folder.local / part, np.uint16, "r")
            if random:
                tokens._mmap.madvise(mmap.MADV_RANDOM)
            maps.append(tokens)

    def read(number: int) -> np.ndarray:
        draw = np.random.default_rng([number, random])
        files = draw.integers(0, len(maps), BATCH).tolist()
        starts = (draw.integers(0, UNIT // LENGTH - 1, BATCH) * LENGTH).tolist()
        rows = [maps[f][start : start + LENGTH + 1] for f, start in zip(files, starts)]
        return np.stack(rows).astype(np.int32)

    return read


def drop_caches(stores: dict[str, TokenStore]) -> bool:
    """Empties the page cache of the stores' files; whether all of the kernel's could be."""
    for store in stores.values():
        for path in (store.folder.local / "parts").iterdir():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def measure(name: str, read: Callable[[int], np.ndarray], calls: range, cold: bool) -> float:
    """Rows a second, and the line that says so."""
    began = time.perf_counter()
    for number in calls:
        assert read(number).shape == (BATCH, LENGTH + 1)
    rate = len(calls) * BATCH / (time.perf_counter() - began)
    told = {"name": name, "rows_per_s": round(rate), "tokens_per_s": round(rate * (LENGTH + 1)),
            "rows": len(calls) * BATCH, "caches_dropped": cold, "load": os.getloadavg()[0]}  # fmt: skip
    print(json.dumps(told), flush=True)
    return rate


def main() -> None:
    """Makes the stores and measures in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=32)
    parser.add_argument("--rows", type=int, default=20_000, help="of each run")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    total = options.gigabytes * 1e9 / (2 * UNIT)
    stores = {n: make(options.folder, n, max(round(total * s), 2)) for n, s in SIZES.items()}
    calls = options.rows // BATCH
    source = mixed(stores, calls * options.repeats)
    readers = {  # made anew for each run: what is mapped stays in memory when caches are dropped
        "rows": lambda: source,
        "memmap": lambda: mapped(stores, random=False),
        "memmap_random": lambda: mapped(stores, random=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for repeat in range(options.repeats):
        for name, make_reader in readers.items():
            cold = drop_caches(stores)
            numbers = range(repeat * calls, (repeat + 1) * calls)
            rates[name].append(measure(name, make_reader(), numbers, cold))
    ratios = {
        f"rows_to_{name}": round(statistics.median(np.divide(rates["rows"], rates[name])), 2)
        for name in ("memmap", "memmap_random")
    }
    print(json.dumps({"name": "ratios", **ratios, "gigabytes": options.gigabytes}), flush=True)


if __name__ == "__main__":
    main()
