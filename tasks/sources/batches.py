"""Batches of a unit's records by their number: a function of it, so that tf.data can save its place.

A dataset of a Python generator has no state that TensorFlow can write into a checkpoint. One of
numbers does; batch n + 1 goes on in the file where batch n ended, and a batch out of turn (after a
restore) begins the unit again and skips to it.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

SIZE = 512  # records handed to tf.data at once: one by one costs 100 microseconds each
KEPT = 64  # places of readers that may come back: one per iterator that is alive
END = 1 << 62


class Batches:
    """`records(unit)` by batches of SIZE; `names` are the fields of a record, `held_out` a bool."""

    def __init__(self, records: Callable[[str], Iterator[Mapping]], names: Sequence[str]):
        self._records, self._names = records, tuple(names)
        self._places: list[tuple[tuple[str, int], Iterator[Mapping]]] = []
        self._lock = threading.Lock()

    def read(self, unit: str, number: int) -> list[np.ndarray]:
        """The columns of one batch of a unit, `held_out` last; empty after its end."""
        records = self._at(unit, number)
        batch = list(itertools.islice(records, SIZE))
        if batch:
            with self._lock:
                self._places = [*self._places[-KEPT + 1 :], ((unit, number + 1), records)]
        columns = [np.array([r[n].encode() for r in batch], object) for n in self._names]
        return [*columns, np.array([record["held_out"] for record in batch], bool)]

    def _at(self, unit: str, number: int) -> Iterator[Mapping]:
        """The records from a batch on; a reader that stands there is taken away from the others."""
        with self._lock:
            for place, (where, records) in enumerate(self._places):
                if where == (unit, number):
                    del self._places[place]
                    return records
        return itertools.islice(self._records(unit), number * SIZE, None)

    def dataset(self, units: Sequence[str]) -> tf.data.Dataset:
        """The records of the units, in order, a dict of scalars each."""
        types = [tf.string] * len(self._names) + [tf.bool]

        def columns(unit: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
            def read(unit: bytes, number: int) -> list[np.ndarray]:
                return self.read(unit.decode(), int(number))

            values = tf.numpy_function(read, [unit, number], types, stateful=False)
            names = (*self._names, "held_out")
            return {n: tf.ensure_shape(v, [None]) for n, v in zip(names, values, strict=True)}

        def of_unit(unit: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.data.Dataset.range(END)
            batches = numbers.map(lambda number: columns(unit, number))
            return batches.take_while(lambda batch: tf.size(batch["held_out"]) > 0).unbatch()

        return tf.data.Dataset.from_tensor_slices(tf.constant(units, tf.string)).flat_map(of_unit)
