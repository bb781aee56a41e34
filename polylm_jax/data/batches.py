"""Rows of a run by their numbers, and batches of them that wait on the devices before a step asks.

    row of the run -> schedule: (component, ordinal) -> epoch, position = divmod(ordinal, rows of
    the store) -> permutation keyed by (seed, component, epoch): row of the store -> its tokens

Each arrow is arithmetic on the row's number alone, so the same rows come from any number of hosts,
devices and threads, and a run goes on at any row at once.

Shapes: n rows asked for, B rows of a batch over all hosts, L tokens that a row predicts.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import jax
import numpy as np
from jax.sharding import Mesh

from polylm_jax.data import permutation
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError
from polylm_jax.model.partitioning import batch_sharding

TRAIN, VALIDATION = "train", "validation"
PLANNED_ROWS = 1 << 13  # rows located at a time: one row alone costs 0.1 ms per component, in NumPy
REMOTE_READS = 32  # stores on gs:// read at a time: 20 of them one by one take 0.6 s
CLOSE_SECONDS = 1.0  # that closing waits for reads under way


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows [start_row, start_row + B) of a run.

    tokens int32 [B, L+1]: labels are all but the first. component int32 [B]: which of the
    schedule's components each row is from. packing: what else the train step takes of packed rows.
    The arrays are sharded over the mesh's batch axes.
    """

    tokens: jax.Array
    component: jax.Array
    start_row: int
    packing: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a run. Raises InputError for a component without a store or without one row.

    length: L. seed: decides the order of each store's rows in each epoch.
    """

    schedule: Schedule
    stores: Mapping[str, TokenStore]
    length: int
    seed: int

    # What `inputs` gives beside tokens and component, each [n, L]: name -> dtype.
    packing: ClassVar[Mapping[str, type]] = {}

    def __post_init__(self):
        for component in self.schedule.trained:
            if component not in self.stores:
                raise InputError(
                    f"component {component!r} has a share and no token store; cache its task or "
                    "set its share to 0."
                )
            if self.num_rows(component) < 1:
                raise InputError(
                    f"task {component!r} has {self.stores[component].num_tokens(TRAIN)} training "
                    f"tokens, fewer than one row of {self.length} + 1; add text, shorten the rows "
                    "or set its share to 0."
                )

    def num_rows(self, component: str) -> int:
        """Rows of the component's store: an epoch."""
        return self.stores[component].num_rows(TRAIN, self.length)

    @property
    def validated(self) -> Mapping[str, TokenStore]:
        """Component -> the store whose held-out text is scored while the run trains."""
        return self.stores

    def held_out(self, component: str, max_rows: int) -> dict[str, np.ndarray]:
        """Held-out text of a component: tokens int32 [R, L+1], counted bool [R, L], and `packing`.

        The whole split if it is short, else `max_rows` rows spread over it, the same every time.
        """
        tokens, valid = _held_out_rows(self.validated[component], self.length, max_rows)
        return {"tokens": tokens, "counted": np.arange(self.length) < valid[:, None]}

    def told(self) -> Iterator[str]:
        """Sentences about the rows, for the terminal."""
        return iter(())

    @functools.cached_property
    def _planned(self) -> Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return functools.lru_cache(maxsize=8)(self._plan)

    def _plan(self, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(component, epoch, store row) of the block's rows, PLANNED_ROWS of them or the rest."""
        start = block * PLANNED_ROWS
        stop = min(start + PLANNED_ROWS, self.schedule.total_rows)
        component, ordinal = self.schedule.rows(start, stop)
        epoch, store_row = np.empty_like(ordinal), np.empty_like(ordinal)
        for number in np.unique(component):
            here = component == number
            name = self.schedule.components[number]
            size = self.num_rows(name)
            epoch[here], position = np.divmod(ordinal[here], size)
            epochs, which = np.unique(epoch[here], return_inverse=True)
            keys = [permutation.key(self.seed, name, one) for one in epochs.tolist()]
            key = np.array(keys, np.uint64)[which] if len(keys) > 1 else keys[0]
            store_row[here] = permutation.permute(position, size, key)
        return component, epoch, store_row

    def located(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(component int32, epoch int64, store row int64) of any rows [n]."""
        rows = np.asarray(rows, np.int64)
        found = np.empty(rows.shape, np.int32), np.empty_like(rows), np.empty_like(rows)
        blocks, offsets = np.divmod(rows, PLANNED_ROWS)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            for all_rows, planned in zip(found, self._planned(block)):
                all_rows[here] = planned[offsets[here]]
        return found

    def locate(self, row: int) -> tuple[str, int, int]:
        """(component, epoch, row of its store) of one row of the run."""
        component, epoch, store_row = (values.item() for values in self.located(np.array([row])))
        return self.schedule.components[component], epoch, store_row

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32 [n, L+1], component int32 [n]) of any rows int64 [n] of the run."""
        component, _, store_row = self.located(rows)
        tokens = np.empty((len(component), self.length + 1), np.int32)

        def fill(number: int) -> None:
            here = np.flatnonzero(component == number)
            store = self.stores[self.schedule.components[number]]
            tokens[here] = store.read_rows(TRAIN, store_row[here], self.length)

        list((self._pool.map if self._remote else map)(fill, np.unique(component).tolist()))
        return tokens, component

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What the train step takes of any rows int64 [n]: tokens, component and `packing`."""
        return dict(zip(("tokens", "component"), self.read(rows), strict=True))

    @functools.cached_property
    def _remote(self) -> bool:
        return any(self.stores[name].folder.local is None for name in self.schedule.trained)

    @functools.cached_property
    def _pool(self) -> concurrent.futures.ThreadPoolExecutor:
        return concurrent.futures.ThreadPoolExecutor(REMOTE_READS, thread_name_prefix="rows")


def _held_out_rows(store: TokenStore, length: int, max_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [R, L+1], labels that count [R]); a row that ends a short split is padded."""
    labels = store.num_tokens(VALIDATION) - 1
    if labels < 1:
        return np.zeros((0, length + 1), np.int32), np.zeros(0, np.int64)
    if labels > max_rows * length:
        rows = np.arange(max_rows, dtype=np.int64) * (labels // length) // max_rows
        return store.read_rows(VALIDATION, rows, length), np.full(max_rows, length)
    text = store.read_rows(VALIDATION, np.zeros(1, np.int64), labels)[0]
    starts = np.arange(0, labels, length)
    padded = np.pad(text, (0, int(starts[-1]) + length - labels))
    tokens = np.stack([padded[start : start + length + 1] for start in starts])
    return tokens, np.minimum(length, labels - starts)


class HostShards:
    """Which rows of a batch this host's devices hold, and the way onto them.

    offsets int64: those rows, ascending; each is read once, however many devices hold it.
    """

    def __init__(self, mesh: Mesh, batch_size: int):
        self.batch_size = batch_size
        self._sharding = batch_sharding(mesh)
        parts = mesh.size // mesh.shape["tensor"]
        if batch_size < 1 or batch_size % parts:
            raise InputError(
                f"batch_size = {batch_size} does not divide over the {parts} parts of the mesh's "
                f"data x fsdp; make it a multiple of {parts}."
            )
        places = self._sharding.addressable_devices_indices_map((batch_size,))
        self._devices = list(places)
        spans = [index[0].indices(batch_size)[:2] for index in places.values()]
        self.offsets = np.unique(np.concatenate([np.arange(*span) for span in spans]))
        self._local = [slice(*np.searchsorted(self.offsets, span)) for span in spans]

    def place(self, rows: np.ndarray) -> jax.Array:
        """This host's rows [len(offsets), ...] -> the global array [B, ...]."""
        shards = jax.device_put([rows[local] for local in self._local], self._devices)
        shape = (self.batch_size, *rows.shape[1:])
        return jax.make_array_from_single_device_arrays(shape, self._sharding, shards)


class BatchIterator(Iterator[Batch]):
    """Batches in order, loaded by background threads `prefetch` batches ahead.

    An error in a thread is raised by the `next` under way or the following one, even when batches
    before it are ready. `next` takes one thing from a queue and puts one into another, for what
    the trainer's thread waits here is lost to a small step (docs/log.md).
    """

    def __init__(self, load: Callable[[int], Batch], starts: range, prefetch: int, workers: int):
        if prefetch < 1 or workers < 1:
            raise InputError(f"prefetch = {prefetch} and workers = {workers}; give 1 or more.")
        self._load, self._starts = load, starts
        self._taken = 0
        self._error: BaseException | None = None
        self._wanted = queue.SimpleQueue()  # numbers of batches to load; None ends a thread
        self._places = [queue.SimpleQueue() for _ in range(prefetch)]  # of batch n: n % prefetch
        for number in range(min(prefetch, len(starts))):
            self._wanted.put(number)
        self._threads = [
            threading.Thread(target=self._work, name=f"batches_{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        if hasattr(os, "SCHED_BATCH"):  # Linux: a thread that wakes doesn't take the trainer's core
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        while (number := self._wanted.get()) is not None:
            try:
                self._places[number % len(self._places)].put(self._load(self._starts[number]))
            except BaseException as error:  # noqa: BLE001 -- `next` raises it
                self._error = self._error or error
                for place in self._places:  # whichever is waited for
                    place.put(None)

    def __next__(self) -> Batch:
        if self._taken == len(self._starts):
            self.close()
            raise StopIteration
        batch = self._places[self._taken % len(self._places)].get()
        if self._error:
            self.close()
            raise self._error
        self._taken += 1
        ahead = self._taken + len(self._places) - 1
        if ahead < len(self._starts):
            self._wanted.put(ahead)
        return batch

    def close(self) -> None:
        """Drops what is prefetched and ends the threads; a read that hangs ends by itself later."""
        self._starts = self._starts[: self._taken]
        with contextlib.suppress(queue.Empty):
            while True:
                self._wanted.get_nowait()
        for _ in self._threads:
            self._wanted.put(None)
        end = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._places = [queue.SimpleQueue() for _ in self._places]


def batches(
    rows: Rows,
    mesh: Mesh,
    batch_size: int,
    start_row: int,
    stop_row: int,
    prefetch: int = 2,
    workers: int = 2,
) -> BatchIterator:
    """The batches of rows [start_row, stop_row), which must be whole ones.

    Raises InputError for a batch that doesn't divide over the mesh, ValueError for other rows.
    """
    total = rows.schedule.total_rows
    if not 0 <= start_row <= stop_row <= total or (stop_row - start_row) % batch_size:
        raise ValueError(
            f"rows {start_row} to {stop_row} of {total} are not whole batches of {batch_size}"
        )
    shards = HostShards(mesh, batch_size)

    def load(start: int) -> Batch:
        inputs = rows.inputs(start + shards.offsets)
        placed = {name: shards.place(values) for name, values in inputs.items()}
        return Batch(placed.pop("tokens"), placed.pop("component"), start, placed)

    return BatchIterator(load, range(start_row, stop_row, batch_size), prefetch, workers)
