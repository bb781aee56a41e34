"""Near-duplicates put together: which text stays for which, from the pairs that share a band.

datatrove's own step joins whatever is connected: in a chain of texts of which each is like the next
one alone is left, though its ends have nothing in common. Here a text goes only if one that stays is
its near-duplicate; `chains` gives datatrove's and FineWeb's way.
"""

import os
import pathlib
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from datatrove.pipeline.base import PipelineStep

from polylm_jax.corpus.tally import written

Place = tuple[int, int]  # shard, number of the document in it


class Cluster(PipelineStep):
    """From datatrove's pairs to its files of removals and sizes.

    Attributes:
        pairs: the folder of `.dups`, a file per band.
        about: the folder of what `duplicates.SignNear` left per shard: words' hash, exact copies.
        output: the folder for `.remove` and `.sizes`, as `MinhashDedupFilter` reads them.
        numbers: whether texts whose words are the same differ by their numbers and signs.
        chains: whether all that is connected is one cluster.
    """

    type, name = "DEDUP", "clusters"

    def __init__(self, pairs: str, about: str, output: str, numbers: bool, chains: bool):
        super().__init__()
        self.pairs, self.about, self.output = pairs, about, output
        self.numbers, self.chains = numbers, chains

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        texts = _Texts(self.about)
        groups = list(bands(pathlib.Path(self.pairs)))
        ours = texts.words if self.numbers else None
        stands = (connected if self.chains else nearest)(groups, ours)
        self._write(stands, texts)

    def _write(self, stands: Mapping[Place, Place], texts: "_Texts") -> None:
        sizes: Counter[Place] = Counter()
        for place, first in stands.items():
            sizes[first] += 1 + texts.copies(place)
        removed, kept = defaultdict(list), defaultdict(list)
        for (shard, number), first in sorted(stands.items()):
            if (shard, number) == first:
                kept[shard].append((number, sizes[first]))
            else:
                removed[shard].append(number)
        os.makedirs(self.output, exist_ok=True)
        for shard in sorted({*removed, *kept}):
            path = pathlib.Path(self.output) / f"{shard:06d}"
            numbers = removed[shard]
            written(path.with_suffix(".remove"), struct.pack(f"<{len(numbers)}I", *numbers))
            flat = [value for pair in kept[shard] for value in pair]
            written(path.with_suffix(".sizes"), struct.pack(f"<{len(flat)}I", *flat))


class _Texts:
    """What is known of each text, opened shard by shard."""

    def __init__(self, folder: str):
        self.folder = folder
        self.opened: dict[int, np.ndarray] = {}

    def _of(self, shard: int) -> np.ndarray:
        if shard not in self.opened:
            self.opened[shard] = np.load(os.path.join(self.folder, f"{shard:05d}.npy"), "r")
        return self.opened[shard]

    def words(self, place: Place) -> int:
        """The hash of its words without numbers and signs."""
        return int(self._of(place[0])[place[1], 0])

    def copies(self, place: Place) -> int:
        """How many exact copies of it went."""
        return int(self._of(place[0])[place[1], 1])


def bands(folder: pathlib.Path) -> Iterator[list[Place]]:
    """The texts that share a band, in their order: a pair of a file joins the pair before it."""
    for path in sorted(folder.glob("*.dups")):
        rows = np.fromfile(path, "<u4").reshape(-1, 4)
        if not len(rows):
            continue
        joined = (rows[1:, :2] == rows[:-1, 2:]).all(axis=1)
        for part in np.split(rows, np.flatnonzero(~joined) + 1):
            places = [tuple(part[0, :2].tolist()), *map(tuple, part[:, 2:].tolist())]
            yield sorted(places)


def nearest(groups: list[list[Place]], words) -> dict[Place, Place]:
    """Each text -> the first text that stays and shares a band with it, itself if it stays.

    words: a text's hash; texts of equal hashes are no duplicates. None where all are.
    """
    member = defaultdict(list)
    for number, group in enumerate(groups):
        for place in group:
            member[place].append(number)
    kept: list[dict[int, Place]] = [{} for _ in groups]  # of each group: words -> its first text
    stands = {}
    for place in sorted(member):
        own = words(place) if words else 0
        near = [
            first
            for n in member[place]
            for said, first in kept[n].items()
            if not words or said != own
        ]
        stands[place] = min(near, default=place)
        if stands[place] == place:
            for n in member[place]:
                kept[n].setdefault(own, place)
    return stands


def connected(groups: list[list[Place]], words) -> dict[Place, Place]:
    """Each text -> the first text of all that are connected with it."""
    parent: dict[Place, Place] = {}

    def root(place: Place) -> Place:
        while parent.setdefault(place, place) != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for group in groups:
        alike = len({words(place) if words else place for place in group}) == 1
        for place in group:
            one, other = sorted((root(place), root(place if alike else group[0])))
            parent[other] = one
    return {place: root(place) for place in list(parent)}
