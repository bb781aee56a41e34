"""OPUS's Moses layout: two text files of which line n of one translates line n of the other."""

import functools
import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from polylm_jax.errors import InputError
from polylm_jax.runtime.text_files import MARK, suffix
from tasks.sources import files
from tasks.sources.reader import BadLine, Reader, Reason, Record, plain_text

UNIT_LINES = 200_000


class Lines(NamedTuple):
    """Lines [start, stop) of aligned files; `offsets`: the byte at which line `start` of each begins."""

    paths: tuple[str, ...]
    start: int
    stop: int
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Moses(Reader):
    """Aligned files: {"en": "a.en-th.en", "th": "a.en-th.th"} -> {"en": line n, "th": line n}.

    `paths` maps each language to its file, or to a glob: the globs' files are taken in the order
    of their names and must be as many. Files of unequal line counts are refused when the units
    are listed, before anything is read. `columns` only names the languages.
    """

    paths: Mapping[str, str]
    id: None = None
    unit_lines: int = UNIT_LINES

    def __post_init__(self):
        self.refuse_filters()
        if not isinstance(self.paths, Mapping) or set(self.paths) != set(self.columns):
            raise InputError(
                f"paths is {self.paths!r}: give one file for each of {', '.join(self.columns)}, "
                "such as {'en': 'opus/a.en-th.en', 'th': 'opus/a.en-th.th'}."
            )

    @functools.cached_property
    def aligned(self) -> list[tuple[files.File, ...]]:
        """The files, those that translate each other together, in the order of `columns`."""
        sides = [
            files.expand(self.paths[name], f"paths[{name!r}]", once=False) for name in self.columns
        ]
        if len({len(side) for side in sides}) > 1:
            counts = ", ".join(f"{self.paths[n]!r} {len(s)}" for n, s in zip(self.columns, sides))
            raise InputError(
                f"paths match unequal numbers of files ({counts}): each needs its translation."
            )
        return list(zip(*sides))

    @functools.cached_property
    def inputs(self) -> tuple[files.File, ...]:
        return tuple(itertools.chain.from_iterable(self.aligned))

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        units = [unit for together in self.aligned for unit in self._cut(together)]
        if not units:
            raise InputError(f"paths: {self.paths!r} holds empty files only; give files with text.")
        return {f"{unit.paths[0]}#{unit.start}-{unit.stop}": unit for unit in units}

    def read(self, unit: Lines, bad: BadLine) -> Iterator[Record]:
        sides = [_lines_from(path, at) for path, at in zip(unit.paths, unit.offsets)]
        for number in range(unit.start, unit.stop):
            raws = [next(side).replace(MARK, b"") for side in sides]
            texts = [plain_text(raw).strip() for raw in raws]
            if reason := next(
                (text for text in map(plain_text, raws) if isinstance(text, Reason)), ""
            ):
                bad(unit.paths[0], number + 1, reason, b"\t".join(raws))
                continue
            if all(texts):
                yield {**dict(zip(self.columns, texts)), "group": ""}
            elif any(texts):
                name = next(n for n, text in zip(self.columns, texts) if not text)
                bad(unit.paths[0], number + 1, f"no text in language {name!r}", b"\t".join(raws))

    def _cut(self, together: tuple[files.File, ...]) -> Iterator[Lines]:
        compressed = any(suffix(file.path) for file in together)
        every = sys.maxsize if compressed else self.unit_lines  # one unit: there's no seeking in it
        starts, counts = zip(*(_index(file.path, every) for file in together))
        if len(set(counts)) > 1:
            said = " and ".join(f"{f.path!r} has {n}" for f, n in zip(together, counts))
            raise InputError(
                f"aligned files have unequal line counts ({said}): get them again from one release."
            )
        paths = tuple(file.path for file in together)
        for index, offsets in enumerate(zip(*starts)):
            start = index * every
            yield Lines(paths, start, min(start + every, counts[0]), offsets)


def _index(path: str, every: int) -> tuple[list[int], int]:
    """The byte at which every `every`-th line of a file begins, and how many lines there are."""
    starts, count, offset = [], 0, 0
    with files.open_text(path) as file:
        for line in file:
            if count % every == 0:
                starts.append(offset)
            count += 1
            offset += len(line)
    return starts, count


def _lines_from(path: str, offset: int) -> Iterator[bytes]:
    with files.open_bytes(path) as file:
        if offset:  # a compressed file is one unit
            file.seek(offset)
        yield from file
