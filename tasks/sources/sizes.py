"""How much text a source has: its files', or once they are gone what its complete store was made from.

A run needs its text no more once its stores are complete, but shares that follow from sizes are
worked out at every start. A store records the size of every file, so they come out bit by bit the same.
"""

import sys

from polylm_jax.data.stores.manifest import MANIFEST, read_manifest
from polylm_jax.data.stores.store import store_path
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder
from tasks.sources.source import RecordSource

_TOLD: set[str] = set()  # cache_dirs of which it was said, each once a process


def size(source: RecordSource, task: str, cache_dir: str) -> int:
    """Bytes of the source's files as they lie there (compressed ones count as they are).

    Args:
        source: of `task`.
        task: the task's name; its store is CACHE_DIR/TASK.
        cache_dir: the folder of the stores, '' where none is known.

    Raises InputError when the files are gone and no complete store has recorded them.
    """
    try:
        return source.size()
    except InputError as gone:
        recorded = _recorded(task, cache_dir)
        if recorded is None and cache_dir:
            raise
        if recorded is None:
            raise InputError(
                f"{str(gone).rstrip('.')}, or where {task}'s token store is complete say cache_dir = "
                "%CACHE_DIR beside data_dir: it has the size."
            ) from gone
        if cache_dir not in _TOLD:
            _TOLD.add(cache_dir)
            print(
                f"{str(gone).partition(';')[0]}: {task} counts with the {recorded:,} bytes that its "
                f"store in {cache_dir} was made from, and so does all text that is gone",
                file=sys.stderr,
            )
        return recorded


def _recorded(task: str, cache_dir: str) -> int | None:
    """Bytes of the files that a complete store was made from; None where there is no such store."""
    if not cache_dir:
        return None
    folder = Folder(store_path(cache_dir, task))
    made = folder.peek(MANIFEST)
    if made is None:
        return None
    files = read_manifest(folder, made).source.get("files", [])
    return sum(file["size"] for file in files) if files else None
