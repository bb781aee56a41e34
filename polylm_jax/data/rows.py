"""Rows of a run by their numbers.

    row of the run -> schedule: (component, ordinal) -> epoch, position = divmod(ordinal, rows of
    the store) -> permutation keyed by (seed, component, epoch): row of the store -> its tokens

With a `Repetition` an epoch is shorter than the store: the first rows of the first epoch's order,
in an order of their own from the second epoch on. So a run and one that repeats less are the same
until the first of them begins again.

Each arrow is arithmetic on the row's number alone, so the same rows come from any number of hosts,
devices and threads, and a run goes on at any row at once.

Shapes: n rows asked for, L tokens that a row predicts.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from polylm_jax.data import permutation
from polylm_jax.data.mixture.repetition import Repetition
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError

TRAIN, VALIDATION = "train", "validation"
PLANNED_ROWS = 1 << 13  # rows located at a time: one row alone costs 0.1 ms per component, in NumPy
REMOTE_READS = 32  # stores on gs:// read at a time: 20 of them one by one take 0.6 s


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a run. Raises InputError for a component without a store or without one row.

    length: L. seed: decides the order of each store's rows in each epoch. repetition: how much of
    each store is read; all of it by default.
    """

    schedule: Schedule
    stores: Mapping[str, TokenStore]
    length: int
    seed: int
    repetition: Repetition | None = None

    # What `inputs` gives beside tokens and component, each [n, L]: name -> dtype.
    packing: ClassVar[Mapping[str, type]] = {}

    def __post_init__(self):
        for component in self.schedule.trained:
            if component not in self.stores:
                raise InputError(
                    f"component {component!r} has a share and no token store; cache its task or "
                    "set its share to 0."
                )
            if self.stored_rows(component) < 1:
                raise InputError(
                    f"task {component!r} has {self.stores[component].num_tokens(TRAIN)} training "
                    f"tokens, fewer than one row of {self.length} + 1; add text, shorten the rows "
                    "or set its share to 0."
                )
            self.num_rows(component)

    def stored_rows(self, component: str) -> int:
        """Rows of the component's store."""
        return self.stores[component].num_rows(TRAIN, self.length)

    def num_rows(self, component: str) -> int:
        """Rows that an epoch of the component reads."""
        stored = self.stored_rows(component)
        return self.repetition.read(component, stored) if self.repetition else stored

    @property
    def validated(self) -> Mapping[str, TokenStore]:
        """Component -> the store whose held-out text is scored while the run trains."""
        return self.stores

    def held_out(self, component: str, max_rows: int) -> dict[str, np.ndarray]:
        """Held-out text of a component: tokens int32 [R, L+1], counted bool [R, L], and `packing`.

        The whole split if it is short, else `max_rows` rows spread over it, the same every time. Of
        components of one source (both directions of a pair) each has its turn: of two, every second
        row, so that a text is scored once.
        """
        tokens, valid = _held_out_rows(self.validated[component], self.length, max_rows)
        turns = self._of_one_source(component)
        if len(tokens) >= len(turns):
            mine = slice(turns.index(component), None, len(turns))
            tokens, valid = tokens[mine], valid[mine]
        return {"tokens": tokens, "counted": np.arange(self.length) < valid[:, None]}

    def _of_one_source(self, component: str) -> list[str]:
        """The validated components that are made of the same files as this one, itself with them."""
        wanted = _files(self.validated[component])
        same = [name for name, store in self.validated.items() if _files(store) == wanted]
        return sorted(same) if wanted else [component]

    def notes(self) -> Iterator[str]:
        """Sentences about the rows, for the terminal."""
        sources = {tuple(self._of_one_source(name)) for name in self.validated}
        shared = sum(len(names) > 1 for names in sources)
        if shared:
            yield (
                f"validation scores each text once: {shared} of {len(sources)} sources have several "
                "components (both directions of a pair), which take turns at its held-out rows"
            )

    @functools.cached_property
    def _planned(self) -> Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return functools.lru_cache(maxsize=8)(self._plan)

    def _plan(self, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(component, epoch, store row) of the block's rows, PLANNED_ROWS of them or the rest."""
        start = block * PLANNED_ROWS
        stop = min(start + PLANNED_ROWS, self.schedule.total_rows)
        component, ordinal = self.schedule.rows(start, stop)
        epoch, store_row = np.empty_like(ordinal), np.empty_like(ordinal)
        for number in np.unique(component):
            here = component == number
            name = self.schedule.components[number]
            epoch[here], position = np.divmod(ordinal[here], self.num_rows(name))
            store_row[here] = self._store_rows(name, epoch[here], position)
        return component, epoch, store_row

    def _store_rows(self, name: str, epoch: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Rows of a store, int64 [n], at these positions of these epochs."""
        size, stored = self.num_rows(name), self.stored_rows(name)
        if size == stored:
            return self._shuffled(name, epoch, position, size)
        again = epoch > 0
        position[again] = self._shuffled(name, epoch[again], position[again], size)
        return self._shuffled(name, np.zeros_like(epoch), position, stored)

    def _shuffled(
        self, name: str, epoch: np.ndarray, position: np.ndarray, size: int
    ) -> np.ndarray:
        """Positions of [0, size) in the order of their epochs, int64 [n]."""
        if not epoch.size:
            return position
        epochs, which = np.unique(epoch, return_inverse=True)
        keys = [permutation.key(self.seed, name, one) for one in epochs.tolist()]
        key = np.array(keys, np.uint64)[which] if len(keys) > 1 else keys[0]
        return permutation.permute(position, size, key)

    def located(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(component int32, epoch int64, store row int64) of any rows [n]."""
        rows = np.asarray(rows, np.int64)
        found = np.empty(rows.shape, np.int32), np.empty_like(rows), np.empty_like(rows)
        blocks, offsets = np.divmod(rows, PLANNED_ROWS)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            for all_rows, planned in zip(found, self._planned(block)):
                all_rows[here] = planned[offsets[here]]
        return found

    def locate(self, row: int) -> tuple[str, int, int]:
        """(component, epoch, row of its store) of one row of the run."""
        component, epoch, store_row = (values.item() for values in self.located(np.array([row])))
        return self.schedule.components[component], epoch, store_row

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32 [n, L+1], component int32 [n]) of any rows int64 [n] of the run."""
        component, _, store_row = self.located(rows)
        tokens = np.empty((len(component), self.length + 1), np.int32)

        def fill(number: int) -> None:
            here = np.flatnonzero(component == number)
            store = self.stores[self.schedule.components[number]]
            tokens[here] = store.read_rows(TRAIN, store_row[here], self.length)

        list((self._pool.map if self._remote else map)(fill, np.unique(component).tolist()))
        return tokens, component

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What the train step takes of any rows int64 [n]: tokens, component and `packing`."""
        return dict(zip(("tokens", "component"), self.read(rows), strict=True))

    @functools.cached_property
    def _remote(self) -> bool:
        return any(self.stores[name].folder.local is None for name in self.schedule.trained)

    @functools.cached_property
    def _pool(self) -> concurrent.futures.ThreadPoolExecutor:
        return concurrent.futures.ThreadPoolExecutor(REMOTE_READS, thread_name_prefix="rows")


def _held_out_rows(store: TokenStore, length: int, max_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [R, L+1], labels that count [R]); a row that ends a short split is padded."""
    labels = store.num_tokens(VALIDATION) - 1
    if labels < 1:
        return np.zeros((0, length + 1), np.int32), np.zeros(0, np.int64)
    if labels > max_rows * length:
        rows = np.arange(max_rows, dtype=np.int64) * (labels // length) // max_rows
        return store.read_rows(VALIDATION, rows, length), np.full(max_rows, length)
    text = store.read_rows(VALIDATION, np.zeros(1, np.int64), labels)[0]
    starts = np.arange(0, labels, length)
    padded = np.pad(text, (0, int(starts[-1]) + length - labels))
    tokens = np.stack([padded[start : start + length + 1] for start in starts])
    return tokens, np.minimum(length, labels - starts)


def _files(store: TokenStore) -> dict:
    """What tells a store's text from others, whatever was made of it; {} where it isn't of files."""
    source = store.manifest.source
    return {n: source.get(n) for n in ("files", "options")} if source.get("files") else {}
