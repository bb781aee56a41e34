"""What a model gave for the requests of a task, kept line by line: a cache, and what a kill leaves.

    FOLDER/xcopa.th.jsonl
        {"format": 1, "kind": "rank", "requests": SHA-256 of the token ids, ...}
        {"n": 17, "log_p": -12.5, "tokens": 4, "greedy": false}
        {"n": 3, "text": "Bangkok", "finish": "stop"}

The first line says what the others answer. Where that has changed (the data, the prompt, the
vocabulary), the file is begun anew; metrics are computed again each time and aren't kept here.
"""

import hashlib
import json
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

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
    and then `renewed` is True.
    """

    def __init__(self, folder: Folder, task: str, asked: Mapping):
        self._folder, self._name = folder, f"{task}.jsonl"
        header = {"format": FORMAT} | asked
        content = folder.peek(self._name) or b""
        old, self.done, size = _parsed(content)
        self.renewed = old is not None and old != header
        if old != header:
            self.done, size = {}, 0
        self._path = self._place()
        kept = content[:size] or (json.dumps(header, ensure_ascii=False) + "\n").encode()
        self._path.write_bytes(kept)
        self._file = self._path.open("ab")
        self._flushed = time.monotonic()

    def _place(self) -> pathlib.Path:
        if self._folder.local is None:
            return pathlib.Path(tempfile.mkdtemp(prefix="polylm_")) / self._name
        self._folder.local.mkdir(parents=True, exist_ok=True)
        return self._folder.local / self._name

    def add(self, number: int, line: Mapping) -> None:
        """Keeps the answer to a request; it is in the file at the next `flush`."""
        text = json.dumps({"n": number} | line, ensure_ascii=False) + "\n"
        self._file.write(text.encode("utf-8", "surrogatepass"))

    def flush(self, now: bool = False) -> None:
        """Hands what was added to the disk; to gs:// at most twice a minute unless `now`."""
        self._file.flush()
        due = now or time.monotonic() - self._flushed > FLUSH_SECONDS
        if self._folder.local is None and due:
            self._folder.write(self._name, self._path.read_bytes())
            self._flushed = time.monotonic()

    def close(self) -> None:
        self.flush(now=True)
        self._file.close()


def _parsed(content: bytes) -> tuple[dict | None, dict[int, dict], int]:
    """(header, lines by number, bytes that are whole lines); what a kill cut off is left out."""
    header, done, size = None, {}, 0
    for raw in content.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            break
        try:
            line = json.loads(raw)
        except ValueError:
            break
        size += len(raw)
        if header is None:
            header = line
        else:
            done[line.pop("n")] = line
    return header, done, size
