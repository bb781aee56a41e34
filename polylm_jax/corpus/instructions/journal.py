"""The journal of a pool: one line per event, appended and on disk before anything rests on it.

    sent      a request is about to go out, and what it may cost at the most
    paid      what came of it and what it did cost
    seed      a translated seed task, or the reasons why there is none
    answer    an answer as it came
    verdict   what of an answer went into the pool, and why what didn't
    failed    a request that was given up

A process that dies leaves at most half a line at the end, which the next one cuts off.
"""

import pathlib
from collections.abc import Callable, Iterator

from polylm_jax.errors import InputError
from polylm_jax.runtime import json_lines

NAME = "journal.jsonl"


class Journal:
    """The journal in `folder`, open for appending; the caller holds the folder's lock."""

    def __init__(self, folder: pathlib.Path):
        self.path = folder / NAME
        self._file = open(self.path, "ab")  # noqa: SIM115, open until `close`
        content = self.path.read_bytes()
        self._file.truncate(content.rfind(b"\n") + 1)  # what a kill left of a last line goes
        self._lines = json_lines.Appender(self._file)

    def events(self) -> Iterator[dict]:
        """All events so far, in order."""
        yield from (event for _, event in self._numbered())

    def replay(self, use: Callable[[dict], None]) -> None:
        """Hands on all events so far; JSON that is no event is damage too."""
        for number, event in self._numbered():
            try:
                use(event)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise _damaged(number) from error

    def _numbered(self) -> Iterator[tuple[int, dict]]:
        for line in json_lines.lines(self.path.read_bytes()):
            if line.value is None:
                raise _damaged(line.number)
            yield line.number, line.value

    def write(self, event: dict, durable: bool = True) -> None:
        """Appends an event; `durable`: it outlasts the machine's end, not only the process's."""
        try:
            self._lines.write(event)
            if durable:
                self._lines.sync()
        except OSError as error:
            raise InputError(
                f"POOL: {NAME} can't be written ({error.strerror}): make room, then the same command "
                "goes on."
            ) from error

    def close(self) -> None:
        self._file.close()


def _damaged(number: int) -> InputError:
    return InputError(
        f"POOL: line {number} of {NAME} is damaged: restore the file, or begin another pool."
    )
