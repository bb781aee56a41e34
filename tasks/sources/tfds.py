"""TFDS: data sets that TensorFlow Datasets has prepared, its shards as units.

Of the paper's sources TFDS can prepare Wikipedia ('wikipedia/20230601.th') and several
translation sets ('wmt19_translate/de-en', 'para_crawl/ende', 'opus' with a config of one's own).
It can't prepare the Pile, CC-100 and WMT20, which have no builder. mC4 ('c4/multilingual', a
split per language) nobody has prepared for download: it's built from Common Crawl with Beam, or
read from its published .json.gz files instead.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from polylm_jax.errors import InputError, nearest
from tasks.sources.files import File
from tasks.sources.reader import BadLine, Reader, Record, lookup

_BATCH = 512
NO_BUILDER = "TFDS has no builder for the Pile, CC-100 and WMT20: read their files instead"


class Shard(NamedTuple):
    """Shard `number` of a split of a data set."""

    name: str
    split: str
    number: int


@dataclass(frozen=True)
class Tfds(Reader):
    """Examples of a TFDS data set: {"title": "ก", "text": "..."} -> {"text": "...", "group": "ก"}.

    `paths` is the data set's name with its config, `columns` name features, nested ones by dots.
    The project's own held-out split is made from `split`.

    Attributes:
        split: the split of TFDS that is read: 'train', or 'th' of 'c4/multilingual'.
        data_dir: where it was prepared; None for TFDS's own place.
    """

    paths: str
    id: str | None = None
    split: str = "train"
    data_dir: str | None = None

    @functools.cached_property
    def builder(self) -> tfds.core.DatasetBuilder:
        """The data set's builder. Raises InputError when TFDS doesn't know it."""
        try:
            return tfds.builder(self.paths, data_dir=self.data_dir)
        except tfds.core.DatasetNotFoundError as error:
            name = self.paths.split("/")[0]
            raise InputError(
                f"TFDS doesn't know {self.paths!r}.{nearest(name, tfds.list_builders())} "
                f"({NO_BUILDER}.)"
            ) from error
        except ValueError as error:
            raise InputError(
                f"TFDS can't open {self.paths!r} ({' '.join(str(error).split())[:300]}); "
                "give the name of a data set with one of its configs."
            ) from error

    @functools.cached_property
    def inputs(self) -> tuple[File, ...]:
        """The split as one file: its full name with the version, and its bytes."""
        info = self.builder.info
        if not info.splits:
            raise InputError(
                f"{self.paths!r} isn't prepared in {self.builder.data_dir!r}: run "
                f"`tfds build {self.paths}`, or set data_dir to where it was ({NO_BUILDER})."
            )
        if self.split not in info.splits:
            raise InputError(
                f"{self.paths!r} has no split {self.split!r}.{nearest(self.split, info.splits)} "
                f"It has {', '.join(info.splits)}."
            )
        return (File(f"{info.full_name}:{self.split}", info.splits[self.split].num_bytes),)

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        name = self.inputs[0].path
        features = _as_dict(self.builder.info.features)
        for feature in self._names():
            if lookup(features, feature) is None:
                raise InputError(
                    f"feature {feature!r} isn't in {name}.{nearest(feature, features)} "
                    f"It has {', '.join(features)}: say which with 'text', 'columns' or 'id'."
                )
        count = self.builder.info.splits[self.split].num_shards
        return {f"{name}#{i}-{i + 1}": Shard(name, self.split, i) for i in range(count)}

    def read(self, unit: Shard, bad: BadLine) -> Iterator[Record]:
        part = tfds.core.ReadInstruction(
            unit.split, from_=unit.number, to=unit.number + 1, unit="shard"
        )
        examples = self.builder.as_dataset(split=part, shuffle_files=False).map(self._fields)
        for start, batch in enumerate(examples.batch(_BATCH).as_numpy_iterator()):
            for index, values in enumerate(zip(*batch.values())):
                row = dict(zip(batch, map(_text, values)))
                if not self.wanted(row):
                    continue
                record = self.record(row)
                if isinstance(record, str):
                    number = start * _BATCH + index + 1
                    bad(f"{unit.name}#{unit.number}", number, record, repr(values).encode())
                else:
                    yield record

    def _fields(self, example: dict) -> dict[str, object]:
        """Only what is read, nested features under their dotted names: these can be batched."""
        return {name: lookup(example, name) for name in self._names()}

    def _names(self) -> list[str]:
        filters = (*(self.where or {}), *(self.where_not or {}))
        names: list[Any] = [*self.columns.values(), *filters, *([self.id] if self.id else [])]
        return list(dict.fromkeys(names))


def _as_dict(features: tfds.features.FeaturesDict) -> dict[str, object]:
    nested = tfds.features.FeaturesDict
    return {k: _as_dict(v) if isinstance(v, nested) else v for k, v in features.items()}


def _text(value: object) -> object:
    """Bytes as str; what isn't UTF-8 reads as missing."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return None
