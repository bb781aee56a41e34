"""One process at a time in a MODEL_DIR: a lock that the death of its holder releases.

On a file system: `flock`, which the kernel drops with the process, however it dies. On gs://, where
there is none: a file that its holder rewrites every few seconds; who finds one looks at it for
longer than that, and takes it over when it has stopped changing (no clocks are compared).
"""

import json
import os
import socket
import threading
import time
import uuid

from etils import epath

from polylm_jax.errors import InputError

NAME = "lock"


def _refuse(model_dir: str, holder: str) -> InputError:
    return InputError(
        f"MODEL_DIR = {model_dir!r} is in use by {holder}: end that process, or give another folder."
    )


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class FileLock:
    """Held from construction to `close`, or to the end of the process."""

    def __init__(self, model_dir: str):
        import fcntl

        path = epath.Path(model_dir) / NAME
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            raise _refuse(model_dir, self._file.read() or "another process") from None
        self._file.truncate(0)
        self._file.write(_me())
        self._file.flush()

    def close(self) -> None:
        self._file.truncate(0)
        self._file.close()


class BeatingLock:
    """The same without `flock`: rewritten every `seconds` by a thread of its holder."""

    def __init__(self, model_dir: str, seconds: float = 10.0):
        self._path = epath.Path(model_dir) / NAME
        self._seconds = seconds
        self._name = f"{_me()} ({uuid.uuid4().hex[:8]})"
        if first := self._read():
            time.sleep(2.5 * seconds)
            if (second := self._read()) and second != first:
                raise _refuse(model_dir, json.loads(second)["holder"])
        self._closed = threading.Event()
        self._beat(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _read(self) -> str:
        return self._path.read_text() if self._path.exists() else ""

    def _beat(self, number: int) -> None:
        self._path.write_text(json.dumps({"holder": self._name, "beat": number}))

    def _run(self) -> None:
        number = 0
        while not self._closed.wait(self._seconds):
            number += 1
            self._beat(number)


def hold(model_dir: str) -> FileLock | BeatingLock:
    """The lock of a MODEL_DIR, taken; InputError, with who has it, when it is in use."""
    return BeatingLock(model_dir) if "://" in model_dir else FileLock(model_dir)
