"""Room on the disk for checkpoints, compared before it is used; on gs:// there is always some.

A checkpoint takes what its arrays take. The newest one stays until the next is committed, so a run
needs room for two.
"""

import contextlib
import functools
import logging
import math
import os
import pathlib
import sys
import threading
from collections.abc import Iterator

import jax
import numpy as np
from etils import epath

from polylm_jax.errors import InputError
from polylm_jax.runtime.output_folder import free_bytes, is_full
from polylm_jax.runtime.paths import is_remote

BESIDE = 1 << 20  # what lists and small files take beside the arrays


def size_of(tree) -> int:
    """Bytes that a tree's arrays take in a checkpoint, all devices' together."""
    arrays = (math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))
    return sum(arrays) + BESIDE


def shown(size: int) -> str:
    """'56.2 GB', '1.3 MB'."""
    return f"{size / 1e9:,.3g} GB" if size >= 1e9 else f"{size / 1e6:,.3g} MB"


def free(folder: epath.PathLike) -> int | None:
    """Bytes that the disk of a folder has free, which need not exist; None on gs://."""
    path = os.fspath(folder)
    return None if is_remote(path) else free_bytes(pathlib.Path(path))


def check(folder: epath.PathLike, needed: int, what: str) -> None:
    """InputError where a disk has less room than a checkpoint takes. what: begins the sentence."""
    there = free(folder)
    if there is not None and there < needed:
        raise InputError(
            f"{what}: a checkpoint takes {shown(needed)} and the disk of {folder} has "
            f"{shown(there)} free; free {shown(needed - there)}, or move MODEL_DIR, "
            "then the same command goes on from the newest checkpoint."
        )


def warning(folder: epath.PathLike, needed: int) -> str:
    """A sentence where there is no room for `needed` bytes; '' where there is."""
    there = free(folder)
    if there is None or there >= needed:
        return ""
    return (
        f"the disk of {folder} has {shown(there)} free, and the run's checkpoints will take "
        f"{shown(needed)} more: free some before it ends"
    )


@functools.cache
def quiet_about_it() -> None:
    """Orbax's threads would tell of each write in a traceback; one sentence is told by `told`."""
    logging.getLogger("absl").addFilter(
        lambda record: not (record.exc_info and is_full(record.exc_info[1]))
    )
    before = threading.excepthook
    threading.excepthook = lambda args: is_full(args.exc_value) or before(args)


@contextlib.contextmanager
def refusing_when_full(folder: epath.PathLike, needed: int) -> Iterator[None]:
    """The error of a save that found the disk full becomes one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        # Python would tell of each write that Orbax leaves unfinished, some 500 lines, at its end.
        sys.unraisablehook = lambda unraisable: None
        raise InputError(
            f"the disk of {folder} became full during a save: free {shown(needed)}, then the "
            "same command goes on from the newest checkpoint, which is whole."
        ) from error
