"""Batches of a run's rows that wait on the devices before a step asks for them.

Shapes: B rows of a batch over all hosts, L tokens that a row predicts.
"""

import contextlib
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from jax.sharding import NamedSharding

from polylm_jax.data.mixture.steps import Steps
from polylm_jax.data.rows import Rows
from polylm_jax.errors import InputError

CLOSE_SECONDS = 1.0  # that closing waits for reads under way


@dataclasses.dataclass(frozen=True)
class Batch:
    """The rows of one step of a run, of which `start_row` is the first.

    tokens int32 [B, L+1]: labels are all but the first. component int32 [B]: which of the
    schedule's components each row is from. packing: what else the train step takes of packed rows.
    The arrays are sharded over the mesh's batch axes.
    """

    tokens: jax.Array
    component: jax.Array
    start_row: int
    packing: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)


class HostShards:
    """Which rows of a batch this host's devices hold, and the way onto them.

    offsets int64: those rows, ascending; each is read once, however many devices hold it.
    """

    def __init__(self, sharding: NamedSharding, batch_size: int):
        self.batch_size = batch_size
        self._sharding = sharding
        one_each = sharding.devices_indices_map((sharding.mesh.size,))
        parts = len({index[0].start for index in one_each.values()})
        if batch_size < 1 or batch_size % parts:
            raise InputError(
                f"batch_size = {batch_size} does not divide over the {parts} parts of the mesh's "
                f"data x fsdp; make it a multiple of {parts}."
            )
        places = self._sharding.addressable_devices_indices_map((batch_size,))
        self._devices = list(places)
        spans = []
        for index in places.values():
            assert index is not None  # a device of this process
            spans.append(index[0].indices(batch_size)[:2])
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
        # Numbers of batches to load; None ends a thread.
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        # Batch n comes by queue n % prefetch; None after an error.
        self._places: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(prefetch)]
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
    sharding: NamedSharding,
    steps: Steps,
    first: int,
    prefetch: int = 2,
    workers: int = 2,
) -> BatchIterator:
    """The batches of a run's steps from the one numbered `first` on.

    sharding: of a batch's rows, over the mesh's data x fsdp.
    Raises InputError for a batch that doesn't divide over the mesh.
    """
    shards = {size: HostShards(sharding, size) for size in steps.sizes_from(first)}

    def load(step: int) -> Batch:
        numbers, here = steps.rows(step), shards[steps.size(step)]
        inputs = rows.inputs(numbers[here.offsets])
        placed = {name: here.place(values) for name, values in inputs.items()}
        return Batch(placed.pop("tokens"), placed.pop("component"), int(numbers[0]), placed)

    return BatchIterator(load, range(first, steps.total), prefetch, workers)
