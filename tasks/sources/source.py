"""Sources: where a task's text comes from, for SeqIO and, faster, for plain Python.

A source has the splits `train` and `validation`, told apart by a hash of each document's group
(polylm_jax.text.held_out), and `all`, which has both. It is cut into units that depend on the files
alone, so `get_dataset(split, shard_info=ShardInfo(k, len(list_shards(split))))` is unit k.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from polylm_jax.errors import InputError, Unread, nearest, one_of
from polylm_jax.runtime.paths import under
from polylm_jax.runtime.text_files import suffix
from polylm_jax.text.held_out import HELD_OUT_FRACTION, check_fraction, is_held_out, normalise
from tasks.sources.batches import Batches
from tasks.sources.moses import Moses
from tasks.sources.pages import Pages
from tasks.sources.parquet import Parquet
from tasks.sources.reader import BadLine, Reader
from tasks.sources.text_formats import Jsonl, Text, Tsv
from tasks.sources.tfds import Tfds

SPLITS = ("train", "validation", "all")
FORMATS: dict[str, type[Reader]] = {
    "jsonl": Jsonl,
    "text": Text,
    "tsv": Tsv,
    "parquet": Parquet,
    "moses": Moses,
    "tfds": Tfds,
}
SUFFIXES = {".jsonl": "jsonl", ".json": "jsonl", ".txt": "text", ".tsv": "tsv"}
SUFFIXES |= {".parquet": "parquet"}


class RecordSource(seqio.DataSource):
    """Documents or aligned pairs of a reader, split by the hash of their groups.

    An example has the reader's columns ('text', or one per language of a pair), all strings, with
    `group` (string) and `held_out` (bool).

    Args:
        reader: a Jsonl, Tsv, Text, Parquet, Moses or Tfds.
        held_out: the fraction of groups in `validation`.
        pages: documents with an `id` in which pairs without one are looked up.

    Attributes:
        on_bad_line: called with (path, line number, reason, raw bytes) of each line that isn't
            read; None only counts them.
        bad_lines: how many there were.
        withheld: how many pairs were in neither split; see `_pair_group`.
    """

    def __init__(
        self,
        reader: Reader,
        held_out: float = HELD_OUT_FRACTION,
        pages: Pages | None = None,
    ):
        super().__init__(splits=("train", "validation"))
        self.reader = reader
        self.held_out = check_fraction(held_out)
        self.pages = pages
        self.on_bad_line: BadLine | None = None
        self.bad_lines = 0
        self.withheld = 0
        self._columns = tuple(reader.columns)
        self._pivot = "en" if "en" in self._columns else min(self._columns)

    def __repr__(self) -> str:
        return f"RecordSource({self.reader!r}, held_out={self.held_out})"

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        """The names of the units ('path#start-stop'), the same for every split."""
        one_of("split", split, SPLITS)
        return tuple(self.reader.units)

    def size(self) -> int:
        """Bytes of the files as they lie there (compressed ones count as they are)."""
        return sum(file.size for file in self.reader.inputs)

    def definition(self) -> dict[str, object]:
        """What was asked for: the patterns and options, without a look at any file."""
        return {
            "paths": self.reader.paths,
            **self.reader.options(),
            "held_out": self.held_out,
            "pages": self.pages.definition() if self.pages else None,
        }

    def fingerprint(self) -> dict[str, object]:
        """What a store of this source was made from: its files with sizes, and the options."""
        found = [{"path": file.path, "size": file.size} for file in self.reader.inputs]
        return {"files": found, "options": self.definition()}

    def records(self, split: str, unit: str) -> Iterator[dict[str, str | bool]]:
        """The records of one unit as Python dicts, in order: columns, `group` and `held_out`.

        Raises InputError for an unknown split or unit, and for a missing or broken file.
        """
        one_of("split", split, SPLITS)
        if unit not in self.reader.units:
            raise InputError(
                f"unit {unit!r} isn't in {self.reader.paths!r}."
                f"{nearest(unit, self.reader.units)} Take one from list_shards."
            )
        for record in self.reader.read(self.reader.units[unit], self._bad):
            group = record["group"] or self._group(record)
            if group is None:
                self.withheld += 1
                continue
            held_out = is_held_out(group, self.held_out)
            if split == "all" or held_out == (split == "validation"):
                yield {**record, "group": group, "held_out": held_out}

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Mapping[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """The records of every n-th unit as a tf.data.Dataset; `shuffle` shuffles the units.

        Its iterators can be saved in a checkpoint and restored.
        """
        del sequence_length, use_cached, num_epochs  # SeqIO passes them to every provider
        units = list(self.list_shards(split))
        if shard_info:
            units = units[shard_info.index :: shard_info.num_shards]
        if shuffle:
            random.Random(seed).shuffle(units)
        batches = Batches(lambda unit: self.records(split, unit), (*self._columns, "group"))
        return batches.dataset(units)

    def _bad(self, path: str, line_number: int, reason: str, raw: bytes) -> None:
        self.bad_lines += not isinstance(reason, Unread)
        if self.on_bad_line is not None:
            self.on_bad_line(path, line_number, reason, raw)

    def _group(self, record: Mapping[str, str]) -> str | None:
        if len(self._columns) == 1:
            return normalise(record[self._pivot])
        return self._pair_group(record)

    def _pair_group(self, record: Mapping[str, str]) -> str | None:
        """The group of a pair without an `id`, or None when it may be in neither split.

        A pair that stands on `pages` has the group that they give. Otherwise the English side (or the
        first of the codes by alphabet) decides, as text: both directions, all pairs of that
        sentence and the sentence as a document of its own agree. A pair of which only the other
        side is held out, as a document of its own, would bring it into training: it's left out.
        """
        if self.pages is not None:
            page = self.pages.group([record[name] for name in self._columns], self.held_out)
            if page != "":
                return page
        group = normalise(record[self._pivot])
        if is_held_out(group, self.held_out):
            return group
        others = (normalise(record[name]) for name in self._columns if name != self._pivot)
        return None if any(is_held_out(other, self.held_out) for other in others) else group


def read(
    spec: object,
    columns: Mapping[str, str | int],
    folder: str = "",
    held_out: float = HELD_OUT_FRACTION,
    pages: Pages | None = None,
) -> RecordSource:
    """The source of a spec: a source itself, paths, or a dict of `format`, `paths` and options.

    `read("books/*.txt.xz", {"text": "text"})` takes the format from the ending;
    `read({"format": "jsonl", "paths": "pile/*.jsonl.zst", "where": {"meta.pile_set_name":
    "ArXiv"}}, ...)` says it; `{"name": "wikipedia/20230601.th"}` is a data set of TFDS. `text`
    names the text's field; `paths` are taken under `folder` unless they're absolute.
    Raises InputError for an unknown format or option; files are looked for later.
    """
    if isinstance(spec, RecordSource):
        return spec
    return RecordSource(reader(spec, columns, folder), held_out, pages)


def reader(spec: object, columns: Mapping[str, str | int], folder: str = "") -> Reader:
    """The reader of a spec; see `read`."""
    options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {"paths": spec}
    if "name" in options and "paths" not in options:
        options = {"format": "tfds", "paths": options.pop("name"), **options}
    if "paths" not in options:
        raise InputError(f"source {spec!r} has no 'paths': give a path, a glob or a list of them.")
    name = options.pop("format") if "format" in options else _format_of(options["paths"])
    if one_of("format", name, FORMATS) != "tfds":
        options["paths"] = _under(folder, options["paths"])
    if "text" in options:
        options["columns"] = {next(iter(columns)): options.pop("text")}
    options = {"columns": dict(columns), **options}
    known = ("text", *FORMATS[name].__dataclass_fields__)
    for option in options:
        if option not in known:
            raise InputError(
                f"source option {option!r} isn't known for format {name!r}."
                f"{nearest(option, known)} Known: {', '.join(known)}."
            )
    _check_columns(options["columns"], columns, spec)
    return FORMATS[name](**options)


def _check_columns(given: Mapping, needed: Mapping, spec: object) -> None:
    if set(given) != set(needed):
        raise InputError(
            f"columns of source {spec!r} are {list(given)}, but {list(needed)} are needed: "
            "give the field or column of each."
        )


def _under(folder: str, paths: Any) -> Any:
    if isinstance(paths, str):
        return under(folder, paths)
    if isinstance(paths, Mapping):
        return {name: _under(folder, path) for name, path in paths.items()}
    return tuple(_under(folder, str(path)) for path in paths)


def _format_of(paths: Any) -> str:
    if isinstance(paths, Mapping):
        return "moses"
    first = paths if isinstance(paths, str) else next(iter(paths), "")
    plain = first.removesuffix(suffix(first)) if suffix(first) else first
    for ending, name in SUFFIXES.items():
        if plain.endswith(ending):
            return name
    raise InputError(
        f"the format of {first!r} can't be told from its ending: give a dict such as "
        f"{{'format': 'jsonl', 'paths': {first!r}}} (formats: {', '.join(FORMATS)})."
    )
