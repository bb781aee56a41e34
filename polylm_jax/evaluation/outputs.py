"""What a model gave for the requests of a task, kept line by line: a cache, and what a kill leaves.

    FOLDER/xcopa.th.jsonl
        {"format": 1, "kind": "rank", "requests": SHA-256 of the token ids, ...}
        {"n": 17, "log_p": -12.5, "tokens": 4, "greedy": false}
        {"n": 3, "text": "Bangkok", "finish": "stop"}

The first line says what the others answer. Where that has changed (the data, the prompt, the
vocabulary), the file is begun anew; metrics are computed again each time and aren't kept here.
"""

import functools
import hashlib
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polylm_jax.runtime import json_lines
from polylm_jax.runtime.storage import Folder

FORMAT = 1
FLUSH_SECONDS = 30.0  # how often a file on gs:// is copied there, which can't append


def hash_ids(requests: Iterable[Sequence[Sequence[int]]]) -> str:
    """SHA-256 of the token ids of requests, in order, borders included."""
    digest = hashlib.sha256()
    for request in requests:
        for ids in request:
            digest.update(len(ids).to_bytes(4, "little"))
            digest.update(np.asarray(ids, "<i4").tobytes())
    return digest.hexdigest()


class Outputs:
    """The outputs of one task by one checkpoint: `done` maps numbers of requests to known lines.

    asked: what the lines answer, plain JSON values; lines that answer something else are dropped,
    and then `renewed` is True. Nothing is written before the first answer.
    """

    def __init__(self, folder: Folder, task: str, asked: Mapping):
        self._folder, self._name = folder, f"{task}.jsonl"
        self._header = {"format": FORMAT, **asked}
        self._old = folder.peek(self._name) or b""
        old, done = _parsed(self._old)
        self.renewed = old is not None and old != self._header
        self._goes_on = old == self._header
        self.done = done if self._goes_on else {}
        self._path: pathlib.Path | None = None
        self._flushed = time.monotonic()

    @functools.cached_property
    def _lines(self) -> json_lines.Appender:
        """The file, begun or gone on with."""
        self._path = path = self._place()
        if not self._goes_on:
            path.write_bytes(json_lines.encoded(self._header))
        else:
            if self._folder.local is None:
                path.write_bytes(self._old)
            json_lines.mend(path)
        return json_lines.Appender(path.open("ab"))

    def _place(self) -> pathlib.Path:
        if self._folder.local is None:
            return pathlib.Path(tempfile.mkdtemp(prefix="polylm_")) / self._name
        self._folder.local.mkdir(parents=True, exist_ok=True)
        return self._folder.local / self._name

    def add(self, number: int, line: Mapping) -> None:
        """Keeps the answer to a request."""
        self._lines.write({"n": number, **line})

    def flush(self, now: bool = False) -> None:
        """Brings what was added to the disk; to gs:// at most twice a minute unless `now`."""
        if self._path is None:
            return
        self._lines.sync()
        due = now or time.monotonic() - self._flushed > FLUSH_SECONDS
        if self._folder.local is None and due:
            self._folder.write(self._name, self._path.read_bytes())
            self._flushed = time.monotonic()

    def close(self) -> None:
        if self._path is not None:
            self.flush(now=True)
            self._lines.close()


def _parsed(content: bytes) -> tuple[dict | None, dict[int, dict]]:
    """(header, lines by number); what is damaged is left out and asked again."""
    first = next(json_lines.lines(content), None)
    header = first.value if first else None
    lines = json_lines.objects(content)[1:] if header else []
    return header, {line.pop("n"): line for line in lines if "n" in line}
