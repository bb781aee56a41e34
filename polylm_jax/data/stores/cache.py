"""`run.py cache`: tasks to token stores, once; and the stores that a run reads, made where small."""

import pathlib
import re
import shlex
import sys
from collections.abc import Sequence

import seqio

from polylm_jax.data.stores import remarks, text_state
from polylm_jax.data.stores.build import build_store
from polylm_jax.data.stores.cache_view import BuildProgress, show_summary
from polylm_jax.data.stores.identity import readable, refuse_other
from polylm_jax.data.stores.manifest import MANIFEST, read_manifest
from polylm_jax.data.stores.store import PLAN, TokenStore, store_path
from polylm_jax.data.stores.task_identity import identify, source_bytes
from polylm_jax.errors import InputError
from polylm_jax.runtime.ranges import Count, Share
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import mixtures, task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer

MAX_BAD = 0.01  # of a task's lines
SMALL_BYTES = 256 << 20  # `train` itself caches a task of no more text: some 20 s on 2 cores


def cache(
    tasks: str | Sequence[str],
    cache_dir: str,
    vocabulary: str,
    shard: str = "0/1",
    max_bad: Share = MAX_BAD,
    num_threads: Count | None = None,
    recipe: str = "",
    verify: bool = True,
) -> None:
    """Tokenizes tasks into token stores, once; a killed one goes on where it stopped.

    Sources are files (JSONL, text, TSV, Parquet, Moses; local or gs://) and what TFDS has prepared.
    TFDS can't prepare the Pile, CC-100 and WMT20, for which it has no builder: read their files
    (docs/data.md). Its `c4/multilingual` isn't ready-made, you build it yourself, with Apache Beam;
    mC4 is also read from its published .json.gz files, which needs no TFDS.

    Every task's text is cut into units of work that any number of processes, on one machine or
    many, share: `--shard=0/3`, `--shard=1/3` and `--shard=2/3` do a third each, and the last to
    finish completes the store.

    tasks: names of tasks or mixtures, as registering them returned.
    cache_dir: the folder of the stores, local or gs://; a task's store is CACHE_DIR/TASK.
    vocabulary: the SentencePiece model that the tasks were registered with.
    shard: 'i/n', this process does every n-th unit beginning with the i-th.
    max_bad: the share of a task's lines that may be unreadable.
    num_threads: of the tokenizer, by default one per core.
    recipe: the resolved config, which is written to CACHE_DIR/cache.gin.
    verify: stores that are complete are read whole, and every part compared with its SHA-256.

    Raises InputError for what doesn't fit, before anything is built, and for bad lines.
    """
    index, count = parse_shard(shard)
    if not 0 <= max_bad <= 1:
        raise InputError(f"max_bad = {max_bad}: give the share of bad lines to bear, 0 to 1.")
    tokenizer = Tokenizer.load(vocabulary)
    found = [task_text.find(name) for name in mixtures.tasks_of(tasks)]
    if not found:
        raise InputError("tasks is empty: name one task at least.")
    for task in found:
        _check(task, store_path(cache_dir, task.name), tokenizer)
    if recipe:
        Folder(cache_dir).write("cache.gin", recipe.encode())
    manifests = []
    with BuildProgress(len(found)) as progress:
        for task in found:
            path = store_path(cache_dir, task.name)
            manifest = build_store(
                task, path, tokenizer, (index, count), max_bad, progress, num_threads, verify
            )
            progress.done(task.name, manifest)
            manifests.append(manifest)
    show_summary([manifest for manifest in manifests if manifest])


def ensure_stores(
    tasks: Sequence[str],
    cache_dir: str,
    vocabulary: Tokenizer | str,
    max_bytes: int = SMALL_BYTES,
    max_bad: float = MAX_BAD,
) -> dict[str, TokenStore]:
    """The stores of tasks, open; those of small tasks are built here when they're missing.

    Args:
      tasks: names of tasks. One whose store is complete need not be registered.
      cache_dir: the folder of the stores, local or gs://.
      vocabulary: what they must have been made with, loaded or its path.
      max_bytes: a missing store of a task with more text than this is refused.
      max_bad: the share of a task's lines that may be unreadable.

    Raises:
      InputError: a store is missing and large, or was made from something else, naming what.
    """
    tokenizer = vocabulary if isinstance(vocabulary, Tokenizer) else Tokenizer.load(vocabulary)
    missing = [name for name in tasks if not _is_there(name, cache_dir, tokenizer)]
    found = [task_text.find(name) for name in missing]
    for task in found:
        _refuse_large(task, store_path(cache_dir, task.name), tokenizer, max_bytes)
    if found:
        with BuildProgress(len(found)) as progress:
            for task in found:
                path = store_path(cache_dir, task.name)
                manifest = build_store(task, path, tokenizer, max_bad=max_bad, progress=progress)
                progress.done(task.name, manifest)
    stores = {n: TokenStore.open(store_path(cache_dir, n), tokenizer.fingerprint) for n in tasks}
    for name in set(stores) & set(seqio.TaskRegistry.names()):
        remarks.of_splits(task_text.find(name), stores[name].manifest)
    return stores


def parse_shard(shard: str) -> tuple[int, int]:
    """'1/3' as (1, 3)."""
    parts = re.fullmatch(r"(\d+)/(\d+)", str(shard).strip())
    if not parts or int(parts[1]) >= int(parts[2]):
        raise InputError(
            f"shard = {shard!r}: give 'i/n' with i from 0 to n - 1, such as '0/3', '1/3' and '2/3' "
            "for three processes."
        )
    return int(parts[1]), int(parts[2])


def _check(task: seqio.Task, path: str, tokenizer: Tokenizer) -> bytes | None:
    """Refuses a task that can't be cached at `path`; returns the plan of the store there, if any."""
    wanted = identify(task, task_text.units(task), tokenizer)
    plan = Folder(path).peek(PLAN)
    if plan is not None and readable(plan):
        refuse_other(path, plan, wanted)
    return plan


def _is_there(name: str, cache_dir: str, tokenizer: Tokenizer) -> bool:
    """Whether a task's store is complete; refuses one made from something else.

    Where a run trains, the text often isn't: then all but the files is compared.
    """
    path = store_path(cache_dir, name)
    made = Folder(path).peek(MANIFEST)
    if made is not None:
        read_manifest(Folder(path), made)
    if made is not None and name in seqio.TaskRegistry.names():
        task = task_text.find(name)
        try:
            units = task_text.units(task)
        except InputError:
            units = None
        identity = identify(task, units, tokenizer)
        refuse_other(path, made, identity)
        text_state.check(Folder(path), identity.source.get("files", []))
    return made is not None


def stale(name: str, cache_dir: str, vocabulary: str) -> str:
    """Why a task's store isn't of its text as it lies there, '' where it is or nothing is known."""
    try:
        _is_there(name, cache_dir, Tokenizer.load(vocabulary))
    except InputError as error:
        return str(error)
    return ""


def _refuse_large(task: seqio.Task, path: str, tokenizer: Tokenizer, max_bytes: int) -> None:
    units = task_text.units(task)
    _check(task, path, tokenizer)
    size = source_bytes(task, units)
    if size is None or size > max_bytes:
        amount = "text of unknown size" if size is None else f"{size / 1e6:,.0f} MB of text"
        raise InputError(
            f"task {task.name!r} has {amount} and no complete store at {path!r}: make it first with "
            f"`{_command()}`."
        )


def _command() -> str:
    """The command that caches what this process would read."""
    given = [argument for argument in sys.argv[1:] if argument.startswith("--gin")]
    known = pathlib.Path(sys.argv[0]).name == "run.py" and given
    rest = shlex.join(given) if known else "--gin_file=YOUR_RECIPE.gin"
    return f"python run.py cache {rest}"
