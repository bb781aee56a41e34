"""Whether the text of a store is still what it was, when names and sizes of its files are the same.

    STORE/text.json   {"files": [{"path": "th.jsonl", "size": 4096, "mtime_ns": ..., "sample": ...}]}

A file whose time is the same is taken as the same, as make and rsync do. Of one with another time (it
was copied, or edited) a sample is compared: all of a file of up to 16 MB, 64 pieces of 64 KB of a
larger one.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder, to_json

NAME = "text.json"
WHOLE = 1 << 24
PIECES, PIECE = 64, 1 << 16


def record(folder: Folder, files: Sequence[Mapping]) -> None:
    """Keeps the state of a store's files beside it; the first process that builds it does.

    files: {'path', 'size'} each, as `task_identity.describe` has them.
    """
    if folder.peek(NAME) is None:
        folder.claim(NAME, to_json({"files": [_state(file["path"]) for file in files]}))


def check(folder: Folder, files: Sequence[Mapping]) -> None:
    """InputError that names the first file which isn't what the store was made from."""
    for old, file in zip(_recorded(folder), files, strict=False):
        path = file["path"]
        if not old or not os.path.isfile(path) or os.stat(path).st_mtime_ns == old["mtime_ns"]:
            continue
        if _sample(path) != old["sample"]:
            raise InputError(
                f"token store {folder.path!r} was made from another text: {path} has changed since, "
                "in the same size; put the text back, or delete the store and run `python run.py "
                "cache` again."
            )
        if old["size"] > WHOLE:
            print(
                f"{path} has another time than when {folder.path} was made, and the same size and "
                f"{PIECES} pieces: taken as the same text",
                file=sys.stderr,
            )


def _recorded(folder: Folder) -> list[dict]:
    """One for each file, {} where nothing is known of it; none of a store of earlier versions."""
    try:
        return json.loads(folder.peek(NAME) or b"{}").get("files", [])
    except (ValueError, AttributeError):
        return []


def _state(path: str) -> dict:
    if not os.path.isfile(path):
        return {}
    found = os.stat(path)
    name = os.path.basename(path)
    return {
        "path": name,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "sample": _sample(path),
    }


def _sample(path: str) -> str:
    size, digest = os.path.getsize(path), hashlib.sha256()
    with open(path, "rb") as file:
        if size <= WHOLE:
            digest.update(file.read())
        else:
            for number in range(PIECES):
                file.seek(number * (size - PIECE) // (PIECES - 1))
                digest.update(file.read(PIECE))
    return digest.hexdigest()
