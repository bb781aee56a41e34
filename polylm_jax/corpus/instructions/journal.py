"""The journal of a pool: one line per event, appended and on disk before anything rests on it.

    sent      a request is about to go out, and what it may cost at the most
    paid      what came of it and what it did cost
    seed      a translated seed task, or the reasons why there is none
    answer    an answer as it came
    verdict   what of an answer went into the pool, and why what didn't
    failed    a request that was given up

A process that dies leaves at most half a line at the end, which the next one cuts off.
"""

import os
import pathlib
from collections.abc import Iterator

import orjson

from polylm_jax.errors import InputError

NAME = "journal.jsonl"


class Journal:
    """The journal in `folder`, open for appending; the caller holds the folder's lock."""

    def __init__(self, folder: pathlib.Path):
        self.path = folder / NAME
        self._file = open(self.path, "ab+")  # noqa: SIM115, open until `close`
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        end = 0
        for line in self._file:
            if line.endswith(b"\n"):
                end += len(line)
        self._file.truncate(end)
        self._file.seek(0, os.SEEK_END)

    def events(self) -> Iterator[dict]:
        """All events so far, in order."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise InputError(
                        f"POOL: line {number} of {NAME} is damaged ({error}): restore the file, or "
                        "begin another pool."
                    ) from error

    def write(self, event: dict, durable: bool = True) -> None:
        """Appends an event; `durable`: it outlasts the machine's end, not only the process's."""
        try:
            self._file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(
                f"POOL: {NAME} can't be written ({error.strerror}): make room, then the same command "
                "goes on."
            ) from error

    def close(self) -> None:
        self._file.close()
