"""Items: the records of a benchmark, checked, as a SeqIO source that keeps their order."""

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from polylm_jax.errors import InputError, nearest
from tasks.benchmarks.records import Published, Record

Item = Mapping[str, Any]  # field -> str, int or a list of str
_DTYPES = {str: tf.string, int: tf.int32, list: tf.string}


class BadRecord(ValueError):
    """Why a record is no item of its benchmark; the source says where it stands."""


def text(record: Record, field: str) -> str:
    """The text of a field. Raises BadRecord where there is none."""
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"there is no text in {field!r}")
    return value


def one_of(record: Record, field: str, values: Sequence[str]) -> int:
    """Which of `values` a field has, by number. Raises BadRecord for another."""
    value = record.get(field)
    if isinstance(value, bool) or str(value) not in values:
        raise BadRecord(f"{field!r} is {value!r}, not one of {', '.join(values)}")
    return values.index(str(value))


class ItemSource(seqio.DataSource):
    """The items of a benchmark in one language.

    An example has the benchmark's fields and `number` (int32), its place in the split, from 0.

    Args:
        splits: name of a split -> what was published of it.
        convert: of each split, record -> item, None for a record of another language; raises
            BadRecord.
        fields: the fields of an item: str, int or list (of str).
    """

    def __init__(
        self,
        splits: Mapping[str, Published],
        convert: Mapping[str, Callable[[Record], Item | None]],
        fields: Mapping[str, type],
    ):
        super().__init__(splits=tuple(splits))
        self.published = dict(splits)
        self._convert = dict(convert)
        self._fields = dict(fields)
        self.items = functools.cache(self._items)

    def __repr__(self) -> str:
        return f"ItemSource({self.published!r})"

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return True

    def list_shards(self, split: str) -> Sequence[str]:
        """One shard: a benchmark is read whole."""
        return (str(self._published(split).path),)

    def num_input_examples(self, split: str) -> int:
        """How many items the split has."""
        return len(self.items(split))

    def definition(self) -> dict[str, object]:
        """What was asked for, without a look at any file."""
        return {"splits": {name: list(one) for name, one in self.published.items()}}

    def fingerprint(self, splits: Sequence[str] | None = None) -> dict[str, object]:
        """The files with their sizes, and what was asked for."""
        found = [f for s in splits or self.published for f in self._published(s).files()]
        return {"files": found, "options": self.definition()}

    def get_dataset(
        self,
        split: str = "test",
        shuffle: bool = False,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Mapping[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """The items in the order of the file, or shuffled; a shard has every n-th of them."""
        del sequence_length, use_cached, num_epochs  # SeqIO passes them to every provider
        numbers = list(range(len(self.items(split))))
        if shuffle:
            random.Random(seed).shuffle(numbers)
        if shard_info:
            numbers = numbers[shard_info.index :: shard_info.num_shards]

        def examples() -> Iterator[dict[str, object]]:
            for number in numbers:
                yield {**_arrays(self.items(split)[number]), "number": np.int32(number)}

        return tf.data.Dataset.from_generator(examples, output_signature=self._signature())

    def _signature(self) -> dict[str, tf.TensorSpec]:
        fields = {**self._fields, "number": int}
        return {
            name: tf.TensorSpec([None] if kind is list else [], _DTYPES[kind])
            for name, kind in fields.items()
        }

    def _published(self, split: str) -> Published:
        if split not in self.published:
            raise InputError(
                f"split is {split!r}.{nearest(split, self.published)} "
                f"Give one of {', '.join(self.published)}, or a file for it."
            )
        return self.published[split]

    def _items(self, split: str) -> tuple[Item, ...]:
        found = []
        for where, record in self._published(split).records():
            try:
                item = self._convert[split](record)
            except BadRecord as reason:
                raise InputError(
                    f"{where}, is malformed: {reason}; give the file as it was published."
                ) from reason
            if item is not None:
                found.append(item)
        if not found:
            raise InputError(
                f"{self._published(split).path!r} has no item for this task: give the file of its "
                "language."
            )
        return tuple(found)


def _arrays(item: Item) -> dict[str, object]:
    return {
        name: np.array([one.encode() for one in value], object)
        if isinstance(value, list)
        else value
        for name, value in item.items()
    }


@dataclass(frozen=True)
class Demonstrations:
    """Which items stand before an item as examples of how it's answered.

    Attributes:
        source: where they're from.
        split: the split they're drawn from.
        scored: the split that is scored; where it's the same, an item is never its own example.
        count: how many.
        seed: with the item's number it decides them, so they're the same in every run.
    """

    source: ItemSource = field(compare=False)  # a task's source is compared by its definition
    split: str
    scored: str
    count: int
    seed: int

    def of(self, number: int) -> list[Item]:
        """The demonstrations of an item, by its number."""
        pool = self.source.items(self.split)
        same = self.split == self.scored
        others = len(pool) - same
        if others < self.count:
            raise InputError(
                f"shots is {self.count}, but split {self.split!r} has {others} other items: ask "
                "for fewer."
            )
        chosen = random.Random(f"{self.seed} {number}").sample(range(others), self.count)
        return [pool[place + (same and place >= number)] for place in chosen]
