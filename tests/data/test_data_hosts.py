"""Two processes over loopback, four devices each, read together what one process reads alone.

Run by itself (`python test_data_hosts.py STORES OUT`), this file is one of the two processes.
"""

import os
import pathlib
import socket
import subprocess
import sys

import devices
import jax
import numpy as np
from toy_stores import Watched, numbered

from polylm_jax.data.batches import batches
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.data.rows import Rows
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.model import partitioning
from polylm_jax.model.partitioning import MeshConfig, batch_sharding

LENGTH, START = 6, 32
SIZES = {"ar": 60, "en": 241, "th": 1000}
MESHES = [MeshConfig(8, 1, 1), MeshConfig(2, 2, 2), MeshConfig(1, 8, 1), MeshConfig(1, 1, 8)]
SCHEDULE = Schedule(
    [
        Phase("1", {"en": 0.6, "th": 0.4}, 70),
        Phase("2", {"en": 0.2, "th": 0.5, "ar": 0.3}, 90, 40),
    ]
)
# Batches of 16 and of 8 in the second phase, and rows that are left out within one of them.
STEPS = Steps(SCHEDULE.boundaries, (16, 8), RowRanges(((50, 61),)), row=START)


def collect(folder: str) -> dict[str, np.ndarray]:
    """For each mesh what this process's shards hold, the rows they are of, and what it read."""
    found = {}
    for number, config in enumerate(MESHES):
        mesh = partitioning.make_mesh(config)
        stores = {name: Watched(TokenStore.open(f"{folder}/{name}")) for name in SIZES}
        train = batches(Rows(SCHEDULE, stores, LENGTH, 5), batch_sharding(mesh), STEPS, 0)
        rows = _held(train, str(number), found)
        reads = sum(len(store.read) for store in stores.values())
        found[f"{number}/reads"] = np.array([len(rows), reads])
    return found


def _held(iterator, name: str, found: dict[str, np.ndarray]) -> np.ndarray:
    """Puts the addressable shards' rows into `found`; returns their numbers, each once."""
    held: dict[int, tuple] = {}
    for step, batch in enumerate(iterator):
        rows_B = STEPS.rows(step)
        assert batch.tokens.shape == (len(rows_B), LENGTH + 1)
        arrays = (batch.tokens, batch.component)
        for shards in zip(*(array.addressable_shards for array in arrays), strict=True):
            first = shards[0].index[0].indices(len(rows_B))[0]
            for offset, values in enumerate(zip(*(np.asarray(shard.data) for shard in shards))):
                held[int(rows_B[first + offset])] = values
    rows = sorted(held)
    found[f"{name}/rows"] = np.array(rows)
    for place, field in enumerate(("tokens", "component")):
        found[f"{name}/{field}"] = np.array([held[row][place] for row in rows])
    return found[f"{name}/rows"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _spawn(stores: pathlib.Path, out: list[pathlib.Path]) -> list[subprocess.Popen]:
    here = pathlib.Path(__file__).resolve()
    environment = (
        os.environ
        | devices.flags(4)
        | {
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{_free_port()}",
            "JAX_NUM_PROCESSES": str(len(out)),
            "PYTHONPATH": os.pathsep.join([str(here.parents[2]), str(here.parents[1] / "toys")]),
        }
    )
    return [
        subprocess.Popen(
            [sys.executable, str(here), str(stores), str(path)],
            env=environment | {"JAX_PROCESS_ID": str(process)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process, path in enumerate(out)
    ]


def test_two_processes_read_what_one_reads(tmp_path):
    numbered(tmp_path / "stores", SIZES)
    out = [tmp_path / f"{process}.npz" for process in range(2)]
    processes = _spawn(tmp_path / "stores", out)
    alone = collect(str(tmp_path / "stores"))
    try:
        for process in processes:
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said
    finally:
        for process in processes:
            process.kill()
    first, second = (dict(np.load(path)) for path in out)
    assert first.keys() == second.keys() == alone.keys()
    for number, config in enumerate(MESHES):
        for one in (first, second, alone):
            held, read = one[f"{number}/reads"]
            assert held == read  # each of its own rows once, and no other
        rows = [one[f"{number}/rows"] for one in (first, second)]
        apart = config.tensor < 8  # a mesh all of `tensor` holds every row everywhere
        assert bool(set(rows[0]) & set(rows[1])) != apart
        wanted = {row for row in range(START, 160) if not 50 <= row < 61}
        every = alone[f"{number}/rows"]
        assert set(rows[0]) | set(rows[1]) == set(every) == wanted - set(range(155, 160))
        for field in ("tokens", "component"):
            whole = alone[f"{number}/{field}"]
            for one, own in zip((first, second), rows):
                assert (
                    one[f"{number}/{field}"].tobytes()
                    == whole[np.searchsorted(every, own)].tobytes()
                )


if __name__ == "__main__":
    assert partitioning.initialize_distributed()
    assert (jax.device_count(), jax.local_device_count()) == (8, 4)
    np.savez(sys.argv[2], **collect(sys.argv[1]))
