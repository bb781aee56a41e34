"""Pages on which sentences stand: gives a pair without an `id` the group of its page.

Where pages and sentence pairs of the same text are trained on together, a pair that doesn't say
which page it comes from could hold out what the page trains on, or the other way round. Here
it's looked up: its sentences are the lines of pages, apart from case, white space and the
punctuation around them ("- Show help:" has the sentence "Show help").
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from polylm_jax.errors import InputError
from polylm_jax.text.held_out import is_held_out, normalise
from tasks.sources.reader import Reader

MAX_BYTES = 2 << 30  # of pages: the index is held in memory, at a few times their size


@dataclass(frozen=True)
class Pages:
    """Documents with an `id`, by the lines that they hold."""

    readers: tuple[Reader, ...]

    def definition(self) -> list[dict[str, object]]:
        """What the pages are, without a look at any file."""
        return [{"paths": reader.paths, **reader.options()} for reader in self.readers]

    def group(self, sentences: Sequence[str], held_out: float) -> str | None:
        """The `id` of a page on which the sentences stand, '' when they stand on none.

        A sentence that any page trains on can't be held out, and one that only held-out pages
        have can't be trained on: None when that pulls the two sides of a pair apart. Among
        several pages one that has all the sentences goes first.
        """
        found = [self._ids[bare] for bare in map(_bare, sentences) if bare in self._ids]
        if not found:
            return ""
        unseen = [all(is_held_out(page, held_out) for page in ids) for ids in found]
        if any(unseen) != all(unseen):
            return None
        on_all, on_any = frozenset.intersection(*found), frozenset.union(*found)
        agreeing = [page for page in on_any if is_held_out(page, held_out) == unseen[0]]
        return min(agreeing, key=lambda page: (page not in on_all, page))

    @functools.cached_property
    def _ids(self) -> dict[str, frozenset[str]]:
        size = sum(file.size for reader in self.readers for file in reader.inputs)
        if size > MAX_BYTES:
            raise InputError(
                f"pages of {size >> 20} MiB are too many to look pairs up in: "
                "give each pair the id of its page."
            )
        ids: dict[str, set[str]] = defaultdict(set)
        for reader in self.readers:
            (column,) = reader.columns
            for unit in reader.units.values():
                for record in reader.read(unit, _ignore):
                    if record["group"]:
                        for line in record[column].splitlines():
                            ids[_bare(line)].add(record["group"])
        ids.pop("", None)
        return {line: frozenset(found) for line, found in ids.items()}


def _bare(line: str) -> str:
    """A line without the punctuation around it: "- Show help:" -> "show help"."""
    line = normalise(line)
    ends = [i for i, character in enumerate(line) if character.isalnum()]
    return line[ends[0] : ends[-1] + 1] if ends else ""


def _ignore(path: str, line_number: int, reason: str, raw: bytes) -> None:
    """Bad lines of pages are reported where the pages themselves are read."""
