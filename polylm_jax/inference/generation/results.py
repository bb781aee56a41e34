"""Texts in a JSON-lines file, written as they come; a file that was cut off by a kill is continued.

{"id": "q7", "sample": 0, "prompt": "...", "text": "...", "finish": "eos", "tokens": 31, "key": "..."}
"""

import os
from collections.abc import Sequence
from typing import BinaryIO, Self

from polylm_jax.errors import InputError
from polylm_jax.inference.generation.prompts import Item
from polylm_jax.inference.generation.text_generator import Text
from polylm_jax.runtime import json_lines, paths


class Results:
    """The results of `items` by a model; `missing` are those that the file lacks.

    path: the file, local; it is locked as long as this is open. model: what names the weights.
    InputError for a file that is in use, or that holds other prompts' or settings' results.
    """

    def __init__(self, path: str, items: Sequence[Item], model: str, write: bool = True):
        self._keys = {item.key(model): item for item in items}
        self._path = paths.local(path, "TEXTS")
        self._file = self._open() if write else None
        self._lines = json_lines.Appender(self._file) if self._file else None
        done = self._read()
        self.missing = [item for key, item in self._keys.items() if key not in done]
        self._key_of = {id(item): key for key, item in self._keys.items()}

    def _open(self) -> BinaryIO:
        import fcntl

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self._path, "ab+")  # noqa: SIM115 (held until __exit__)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"TEXTS = {str(self._path)!r} is in use by another process: end it, or give "
                "another file."
            ) from None
        except OSError as error:
            raise InputError(
                f"TEXTS = {str(self._path)!r} can't be written ({error.strerror}): give a file "
                "that this user may write."
            ) from error
        return file

    def _read(self) -> set[str]:
        """Keys of the whole lines; what a kill left of a last one is cut off."""
        content = self._path.read_bytes() if self._path.exists() else b""
        if self._file and (torn := len(content) - content.rfind(b"\n") - 1):
            os.truncate(self._path, len(content) - torn)
        found = set()
        for line in json_lines.lines(content):
            key = (line.value or {}).get("key")
            if key not in self._keys:
                raise InputError(
                    f"TEXTS = {str(self._path)!r}, line {line.number}, is not of these prompts and "
                    "settings with this checkpoint: give another file, or delete it."
                )
            found.add(key)
        return found

    def add(self, item: Item, text: Text) -> None:
        """Appends one line, on disk when this returns."""
        if self._lines is None:
            return
        line: dict[str, object] = {
            "id": item.id,
            "sample": item.prompt.sample,
            "prompt": item.prompt.text,
        }
        line |= {"text": text.text, "finish": text.finish, "tokens": text.tokens}
        if text.score is not None:
            line["score"] = text.score
        line["key"] = self._key_of[id(item)]
        self._lines.write(line)
        self._lines.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file:
            self._file.close()
