"""One process at a time in a MODEL_DIR: a lock that the death of its holder releases.

On a file system: `flock`, which the kernel drops with the process, however it dies. On gs://, where
there is none: a file that its holder rewrites every few seconds; who finds one looks at it for
longer than that, and takes it over when it has stopped changing (no clocks are compared).
"""

import os
import socket
import threading
import time
import uuid

from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder

NAME = "lock"


def _refuse(folder: Folder, holder: str) -> InputError:
    return InputError(
        f"{folder.field} = {folder.path!r} is in use by {holder}: end that process, or give "
        "another folder."
    )


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class FileLock:
    """Held from construction to `close`, or to the end of the process."""

    def __init__(self, folder: Folder):
        import fcntl

        assert folder.local is not None, "a bucket has no flock: see hold"
        self._fd = os.open(folder.local / NAME, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 200).decode()
            os.close(self._fd)
            raise _refuse(folder, holder or "another process") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, _me().encode())

    def close(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


class BeatingLock:
    """The same without `flock`: rewritten every `seconds` by a thread of its holder."""

    def __init__(self, folder: Folder, seconds: float = 10.0):
        self._folder = folder
        self._seconds = seconds
        self._name = f"{_me()} ({uuid.uuid4().hex[:8]})"
        if first := folder.peek(NAME):
            time.sleep(2.5 * seconds)
            if (second := folder.peek(NAME)) and second != first:
                raise _refuse(folder, second.decode().partition("\n")[0])
        self._closed = threading.Event()
        self._beat(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._folder.write(NAME, b"")

    def _beat(self, number: int) -> None:
        self._folder.write(NAME, f"{self._name}\n{number}".encode())

    def _run(self) -> None:
        number = 0
        while not self._closed.wait(self._seconds):
            number += 1
            self._beat(number)


def hold(folder: Folder) -> FileLock | BeatingLock:
    """The lock of a folder, which is made where it isn't there.

    InputError, with who has it, when it is in use, and where it can't be written.
    """
    if folder.local is None:
        return BeatingLock(folder)
    try:
        folder.local.mkdir(parents=True, exist_ok=True)
        return FileLock(folder)
    except OSError as error:
        raise InputError(
            f"{folder.field} = {folder.path!r} can't be written ({error.strerror}): name a folder "
            "that this user may write."
        ) from error
