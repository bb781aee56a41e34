"""Test sets of benchmarks as files: JSONL, TSV or Parquet, compressed or not, and the texts of their items."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from polylm_jax.corpus.sources import Source, files_of
from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry
from polylm_jax.runtime import text_files, text_lines
from polylm_jax.runtime.paths import under

_OPTIONS = ("files", "fields", "language")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's files: JSONL, Parquet, or TSV without a header.

    Attributes:
        name: what reports call it.
        files: paths or globs.
        fields: whose texts are looked for: names of a record ('meta.question'), column numbers from 0
            of a TSV. A list of texts counts as so many fields.
        language: what the items are in; '' where they are in several.
    """

    name: str
    files: tuple[str, ...]
    fields: tuple[str | int, ...]
    language: str = ""

    @property
    def field(self) -> str:
        return f"BENCHMARKS[{self.name!r}]"

    def items(self) -> Iterator[list[str]]:
        """The texts of each record, in the order of `fields`. InputError names what is wrong."""
        for path, _ in files_of(Source(self.name, self.files), self.field):
            for number, record in self._records(path):
                where = f"{self.field}: record {number} of {os.path.basename(path)}"
                yield [text for name in self.fields for text in self._texts(record, name, where)]

    def _records(self, path: str) -> Iterable[tuple[int, Mapping | list[str]]]:
        if path.endswith(".parquet"):
            return self._parquet(path)
        if os.path.splitext(path.removesuffix(text_files.suffix(path)))[1] == ".tsv":
            lines = text_lines.read_lines(path, field=self.field)
            cells = (
                line.decode("utf-8", "replace").rstrip("\r\n").split("\t") for _, line in lines
            )
            return enumerate(cells, 1)
        return text_lines.json_lines(path, self.field, array=True)

    def _parquet(self, path: str) -> Iterator[tuple[int, Mapping]]:
        import pyarrow.parquet

        with text_files.naming(path, self.field, pyarrow.ArrowException):
            yield from enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1)

    def _texts(self, record: Mapping | list[str], name: str | int, where: str) -> list[str]:
        found: Any = record
        has = record if isinstance(record, Mapping) else range(len(record))
        try:
            for part in [name] if isinstance(name, int) or name in has else name.split("."):
                found = found[part]
        except (KeyError, IndexError, TypeError) as error:
            hint = nearest(str(name), list(map(str, has)))
            raise InputError(
                f"{where} lacks a field of {self.fields} ({name!r}).{hint} It has "
                f"{', '.join(map(repr, has))}."
            ) from error
        return list(_flat(found))


def _flat(found: object) -> Iterator[str]:
    """The texts of a field: a text, a list of them, or a table of lists as in {'text': [...]}."""
    if isinstance(found, Mapping):
        found = [part for part in found.values() if isinstance(part, list)]
    if isinstance(found, list | tuple):
        for part in found:
            yield from _flat(part)
    elif found is not None:
        yield str(found)


def benchmarks_of(given: Mapping[str, Mapping], data_dir: str) -> list[Benchmark]:
    """{'xcopa': {'files': glob, 'fields': [...]}} -> the benchmarks."""
    found = []
    for name, what in given.items():
        wrong = [option for option in what if option not in _OPTIONS]
        if wrong or "files" not in what or not what.get("fields"):
            hint = nearest(wrong[0], _OPTIONS) if wrong else ""
            raise InputError(
                f"BENCHMARKS[{name!r}] needs 'files' and 'fields', and takes 'language'.{hint}"
            )
        files, fields = (
            (what[k],) if isinstance(what[k], str | int) else tuple(what[k])
            for k in ("files", "fields")
        )
        language = registry.find(what["language"]).code if what.get("language") else ""
        paths = tuple(under(data_dir, path) for path in files)
        found.append(Benchmark(name, paths, fields, language))
    return found
