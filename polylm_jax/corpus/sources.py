"""Sources of raw text: which files, in what format, and how they are cut into shards of equal work."""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from polylm_jax.corpus.limits import Range, range_of
from polylm_jax.corpus.pages import EXTRACTORS
from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry
from polylm_jax.runtime import paths, text_files

FORMATS = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
           ".wet": "wet", ".warc": "warc", ".txt": "txt"}  # fmt: skip
DOCUMENTS = ("file", "line", "blank_lines")
UNKNOWN = "und"
STEM = "stem"  # pair='stem': the file's name says which languages, as en-de.jsonl does
_COMPRESSED = 4  # bytes of text per byte of a compressed file, to cut shards of about equal work


@dataclass(frozen=True)
class Source:
    """One source of text.

    Attributes:
        name: what reports call it.
        files: a path or glob, or several; local, or any scheme that fsspec knows.
        format: 'jsonl', 'parquet', 'wet' (a crawl's extracted text), 'warc' (its pages) or 'txt'; ''
            goes by the ending.
        text: the field that holds the text.
        id: the field that names a document; made from the file's name where there is none.
        keep: more fields to hand on ('url').
        language: what it says it is in; '' leaves that to the identification.
        html: what extracts the text of a crawl's pages, 'trafilatura' or 'resiliparse'.
        documents: of a txt file: 'file', 'line' or 'blank_lines'.
        pair: 'en-de' for aligned sentences with a field per language; 'stem': the files' names say.
        limits: (rule, (lowest, highest)): ranges of its own, over those of its language.
    """

    name: str
    files: str | Sequence[str]
    format: str = ""
    text: str = "text"
    id: str = "id"
    keep: tuple[str, ...] = ()
    language: str = ""
    html: str = "trafilatura"
    documents: str = "line"
    pair: str = ""
    limits: tuple[tuple[str, Range], ...] = ()


@dataclass(frozen=True)
class Unit:
    """A piece of one file: bytes [start, end) of lines, or row groups [start, end) of Parquet."""

    source: Source
    path: str
    format: str
    start: int
    end: int
    size: int  # bytes of text, about

    @property
    def pair(self) -> tuple[str, str] | None:
        """('en', 'de') where the source is aligned sentences."""
        name = stem(self.path) if self.source.pair == STEM else self.source.pair
        return pair_of(name, self.source.name) if name else None


def stem(path: str) -> str:
    """'a/en-de.jsonl.gz' -> 'en-de'."""
    return os.path.basename(path).partition(".")[0]


def pair_of(name: str, source: str) -> tuple[str, str]:
    """'en-de' -> ('en', 'de'); InputError for anything else."""
    first, _, second = name.partition("-")
    if not second:
        raise InputError(
            f"SOURCES[{source!r}]: pair is {name!r}: two languages, as in 'en-de', "
            "or 'stem' where the files are named so."
        )
    return registry.find(first).code, registry.find(second).code


def sources_of(given: Mapping[str, object], data_dir: str = "") -> list[Source]:
    """{'name': glob or {'files': glob, field: value}} -> the sources; InputError for what is wrong."""
    if not given:
        raise InputError("SOURCES is empty: give {'name': 'folder/*.jsonl'}.")
    known = [f.name for f in fields(Source)]
    found = []
    for name, what in given.items():
        options: dict[str, Any] = dict(what) if isinstance(what, Mapping) else {"files": what}
        for option in options:
            if option not in known:
                raise InputError(
                    f"SOURCES[{name!r}] has no option {option!r}.{nearest(option, known)}"
                )
        if "files" not in options:
            raise InputError(f"SOURCES[{name!r}] needs 'files': a path or a glob.")
        if options.get("documents", "line") not in DOCUMENTS:
            raise InputError(
                f"SOURCES[{name!r}]: documents is {options['documents']!r}: give one of {DOCUMENTS}."
            )
        if options.get("html", EXTRACTORS[0]) not in EXTRACTORS:
            raise InputError(
                f"SOURCES[{name!r}]: html is {options['html']!r}: give one of {EXTRACTORS}."
            )
        if options.get("language"):
            options["language"] = registry.find(options["language"]).code
        own = dict(options.get("limits", {}))
        where = f"SOURCES[{name!r}]['limits']"
        options["limits"] = tuple((rule, range_of(rule, own[rule], where)) for rule in own)
        patterns = options["files"]
        patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        options["files"] = tuple(paths.under(data_dir, pattern) for pattern in patterns)
        kept = options.get("keep", ())
        options["keep"] = (kept,) if isinstance(kept, str) else tuple(kept)
        found.append(Source(**{"name": name, **options}))
    return found


def files_of(source: Source, field: str = "") -> list[tuple[str, int]]:
    """(path, bytes) of a source's files, each once. InputError for none, or only empty ones."""
    found: dict[str, tuple[str, int]] = {}
    field = field or f"SOURCES[{source.name!r}]"
    for pattern in source.files:
        with text_files.naming(pattern, field):
            if text_files.is_remote(pattern):
                there = _remote_files(pattern) or paths.refuse_missing(pattern, field)
            else:
                names = [os.path.abspath(name) for name in paths.files(pattern, field)]
                there = [(name, os.path.getsize(name)) for name in names]
        for path, size in there:
            found.setdefault(paths.identity(path), (path, size))
    if not any(size for _, size in found.values()):
        raise InputError(f"{field} is empty: its files hold no bytes.")
    return [*found.values()]


def _remote_files(pattern: str) -> list[tuple[str, int]]:
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(pattern)
    matches = sorted(fs.glob(path)) if any(c in path for c in "*?[") else [path]
    return [(fs.unstrip_protocol(n), fs.size(n)) for n in matches if fs.isfile(n)]


def endings(path: str) -> tuple[str, str]:
    """('jsonl', '.gz') of 'x.jsonl.gz'; '' where the ending says nothing."""
    compression = text_files.suffix(path)
    ending = os.path.splitext(path[: len(path) - len(compression)])[1]
    return FORMATS.get(ending.lower(), ""), compression


def units_of(source: Source, shard_bytes: int) -> list[Unit]:
    """The pieces of a source that can be read apart, in the order of its files."""
    units = []
    for path, size in files_of(source):
        kind, compression = endings(path)
        kind = source.format or kind
        if kind not in set(FORMATS.values()):
            raise InputError(
                f"SOURCES[{source.name!r}]: the format of {path!r} isn't known; "
                "say 'format': 'jsonl', 'parquet', 'wet', 'warc' or 'txt'."
            )
        if kind == "parquet":
            pieces = _row_groups(path) or [(0, -1, size)]
        elif (
            compression or kind in ("wet", "warc") or (kind == "txt" and source.documents != "line")
        ):
            pieces = [(0, -1, size * (_COMPRESSED if compression else 1))]
        else:
            cuts = [*range(0, size, shard_bytes), size]
            pieces = [(start, end, end - start) for start, end in itertools.pairwise(cuts)]
        units += [Unit(source, path, kind, *piece) for piece in pieces]
    if source.pair:
        for unit in units:
            pair_of(stem(unit.path) if source.pair == STEM else source.pair, source.name)
    return units


def _row_groups(path: str) -> list[tuple[int, int, int]]:
    """(first, behind the last, bytes) of each row group; none of a broken file, which is set aside."""
    import fsspec
    import pyarrow
    import pyarrow.parquet

    try:
        with fsspec.open(path, "rb") as file:
            about = pyarrow.parquet.ParquetFile(file).metadata
            sizes = [about.row_group(n).total_byte_size for n in range(about.num_row_groups)]
    except (pyarrow.ArrowException, OSError):
        return []
    return [(n, n + 1, size) for n, size in enumerate(sizes)]


def shards_of(sources: Sequence[Source], shard_bytes: int) -> list[list[Unit]]:
    """Units in shards of about `shard_bytes`: what one worker reads at a time, and what is resumed."""
    shards: list[list[Unit]] = []
    room = 0
    for unit in (unit for source in sources for unit in units_of(source, shard_bytes)):
        if not shards or room < unit.size:
            shards.append([])
            room = shard_bytes
        shards[-1].append(unit)
        room -= unit.size
    return shards
