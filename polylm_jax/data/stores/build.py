"""From a SeqIO task to its token store, unit by unit, shared by any number of processes.

The text of a unit is read on one thread, tokenized on several (SentencePiece lets go of Python's lock)
and counted and written on the caller's, so that Python's part hides behind the tokenizer's.
"""

import collections
import concurrent.futures
import contextlib
import functools
import gc
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

import seqio

from polylm_jax.data.stores import remarks, text_state
from polylm_jax.data.stores import tokens as task_tokens
from polylm_jax.data.stores.manifest import MANIFEST, Manifest
from polylm_jax.data.stores.store import MARKS, TokenStore
from polylm_jax.data.stores.task_identity import identify
from polylm_jax.data.stores.tokens import Tokens
from polylm_jax.data.stores.verify import verify
from polylm_jax.data.stores.writer import StoreWriter, check_bad
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import task_text
from polylm_jax.text.task_text import BadLine, Unit
from polylm_jax.tokenizer.tokenizer import Tokenizer

BATCH = 4096  # documents; of 1,024 short ones a batch is too little work for a thread: 0.75 of the speed
AHEAD = 4  # batches that wait for the next thread
T = TypeVar("T")
U = TypeVar("U")


class Progress:
    """Called by a build as it goes; these methods do nothing."""

    def start(self, name: str, units: int, left: int) -> None:
        """A store of so many units begins, of which this process will do `left`."""

    def batch(self, documents: int, tokens: int) -> None:
        """So much more is tokenized."""

    def unit(self) -> None:
        """One more unit is committed."""

    def remark(self, sentence: str) -> None:
        """Something about the task's documents that must not pass unsaid."""


def build_store(
    task: seqio.Task,
    store_dir: str,
    tokenizer: Tokenizer,
    shard: tuple[int, int] = (0, 1),
    max_bad: float = 0.01,
    progress: Progress | None = None,
    num_threads: int | None = None,
    verified: bool = False,
) -> Manifest | None:
    """Builds the store of a task, or goes on with it; finished units are kept.

    Args:
      task: what gives the tokens.
      store_dir: the store's folder, local or gs://.
      tokenizer: the task's vocabulary.
      shard: (i, n): this process does every n-th unit of work, beginning with the i-th.
      max_bad: the share of lines that may be bad before the build fails.
      progress: is told how it goes.
      num_threads: of the tokenizer, by default one per core.
      verified: the tokens of a store that is complete are read and compared with what was written.

    Returns:
      The manifest of the complete store, None while units are left to other processes.

    Raises:
      InputError: the folder holds another store, lines are bad, or the task doesn't fit.
    """
    units = task_text.units(task)
    identity = identify(task, units, tokenizer)
    writer, files = StoreWriter(store_dir, identity), identity.source.get("files", [])
    text_state.check(writer.folder, files)
    if (finished := _finished(writer.folder)) is not None:
        if verified:
            verify(TokenStore(writer.folder, finished), shard)
        return finished
    text_state.record(writer.folder, files)
    index, count = shard
    progress = progress or Progress()
    num_threads = num_threads or os.cpu_count() or 1
    mine = [number for number in writer.missing() if number % count == index]
    progress.start(task.name, len(units), len(mine))
    for sentence in remarks.of_filters(task):
        progress.remark(sentence)
    records, groups = [], remarks.Groups()
    with _imports_frozen():
        for number in mine:
            unit = writer.unit(number)
            at = task, units[number]
            for tokens in _tokens(*at, tokenizer, unit.add_bad, num_threads, groups):
                unit.add(tokens.split, tokens.tokens, tokens.languages, tokens.counts)
                if not tokens.split.endswith(MARKS):
                    progress.batch(tokens.counts["documents"], len(tokens.tokens))
            records.append(unit.commit())
            progress.unit()
            check_bad(store_dir, task.name, records, max_bad, of=len(units))
    if task_text.is_text(task) and not groups.documents and len(mine) == len(units):
        remarks.refuse_filtered(task, store_dir)
    manifest = writer.finish(max_bad)
    of_splits = remarks.of_splits(task, manifest)
    for sentence in [*groups.remarks(task.name)] or of_splits:  # a large group is why
        progress.remark(sentence)
    return manifest


def _finished(folder: Folder) -> Manifest | None:
    """The manifest of a complete store; a damaged one is written again."""
    text = folder.read(MANIFEST)
    try:
        return None if text is None else Manifest.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@contextlib.contextmanager
def _imports_frozen() -> Iterator[None]:
    """Spares the garbage collector TensorFlow's million objects: a tenth of a build's time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _tokens(
    task: seqio.Task,
    unit: Unit,
    tokenizer: Tokenizer,
    on_bad_line: BadLine,
    num_threads: int,
    groups: remarks.Groups,
) -> Iterator[Tokens]:
    if not task_text.is_text(task):
        return task_tokens.whole_batches(task, unit, tokenizer, BATCH // 4, on_bad_line)
    batches = task_text.text_batches(task, unit, "all", BATCH, on_bad_line)
    text = _ahead(groups.watch(batches))
    encode = functools.partial(task_tokens.encoded, tokenizer=tokenizer)
    return task_tokens.token_batches(_mapped(encode, text, num_threads), tokenizer)


def _ahead(source: Iterator[T]) -> Iterator[T]:
    """The same items, made on a thread, `AHEAD` of them before their use."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    for item in _in_order(pool, iter(lambda: pool.submit(next, source, None), None), AHEAD):
        if item is None:
            return
        yield item


def _mapped(function: Callable[[T], U], source: Iterator[T], num_threads: int) -> Iterator[U]:
    """function(item) of each item, in order, made on `num_threads`."""
    pool = concurrent.futures.ThreadPoolExecutor(num_threads)
    return _in_order(pool, (pool.submit(function, item) for item in source), num_threads + AHEAD)


def _in_order(pool: Executor, futures: Iterator[Future[T]], window: int) -> Iterator[T]:
    """The results of futures, `window` of them on their way."""
    try:
        waiting = collections.deque(itertools.islice(futures, window))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(itertools.islice(futures, 1))
    finally:
        pool.shutdown(cancel_futures=True)
