"""A process that has imported what a run needs, and is forked for each worker on a core.

Python, JAX, SeqIO and TensorFlow take seconds of a core to import. Here that is done once, beside the
process that plans the runs, and what is imported is in memory once.

    requests  from who began this: a message with the core of a worker, and its files, see `_FILES`
    status    of each worker: its process id, then its exit code, four bytes each

Nothing of JAX or TensorFlow is called before the fork, so neither has threads yet. A worker with a
chip, or with several cores, is a program of its own: what is imported sees its environment first.
"""

import atexit
import contextlib
import importlib
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from polylm_jax.runtime import huge_pages, names
from polylm_jax.runtime.home import home
from polylm_jax.runtime.imports import importing
from polylm_jax.runtime.processes import SERVER

_FILES = ("stdin", "stdout", "replies", "status")
_CORE_BYTES = 64  # of a message, at most
_SIZE = 4  # bytes of a number in `status`
_WORKERS = (signal.SIGINT, signal.SIGTERM)  # are for workers, whose exit codes are still to be told


class Process(Protocol):
    """A worker's process, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def terminate(self) -> None: ...


class Forked:
    """A worker's process that the server has forked. status: see the module.

    The worker holds its end of `status` too: that ends without a code only when both are gone.
    """

    def __init__(self, pid: int, status: int):
        self.pid, self._status = pid, status
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = _number(self._status, otherwise=1)
            os.close(self._status)
        return self._code

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


class ForkServer:
    """Started before anything is imported; ends with the process that began it."""

    def __init__(self):
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(home() / "run.py"), SERVER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=huge_pages.keeping(os.environ),
                pass_fds=[theirs.fileno()],
            )

    def fork(self, core: int, files: Sequence[int]) -> Forked | None:
        """A worker on a core, with stdin, stdout and replies; None where the server is gone."""
        status, theirs = os.pipe()
        try:
            socket.send_fds(self._requests, [str(core).encode()], [*files, theirs])
        except OSError:
            os.close(status)
            return None
        finally:
            os.close(theirs)
        if pid := _number(status, otherwise=0):
            return Forked(pid, status)
        os.close(status)
        return None

    def end(self) -> None:
        """Its workers live on until their stdin closes."""
        self._requests.close()
        self._process.kill()
        self._process.wait()


def _number(file: int, otherwise: int) -> int:
    read = os.read(file, _SIZE)
    return int.from_bytes(read, "little", signed=True) if read else otherwise


_begun: list[ForkServer] = []


def begin() -> None:
    """Starts this process's server, where it can have workers with a core each."""
    if hasattr(os, "pidfd_open") and len(os.sched_getaffinity(0)) > 1 and not _begun:
        _begun.append(ForkServer())
        atexit.register(_begun[0].end)


def begun() -> ForkServer | None:
    """This process's server, if it has one."""
    return _begun[0] if _begun else None


def serve(call: Callable[[list[str]], int], requests: str) -> NoReturn:
    """Forks a worker for each message, which runs what comes by `call`; ends as `requests` does."""
    before = {told: signal.signal(told, signal.SIG_IGN) for told in _WORKERS}
    with socket.socket(fileno=int(requests)) as asked:
        _import()
        forked = _forked_for_each(asked)
    if forked is None:
        os._exit(0)
    for told, handler in before.items():
        signal.signal(told, handler)
    core, (stdin, stdout, replies, _) = forked
    for file, number in ((stdin, 0), (stdout, 1)):
        os.dup2(file, number)
        os.close(file)
    from polylm_jax.ablation.workers.worker import work  # not before `begin`, which is to be quick

    work(call, str(replies), core)


def _import() -> None:
    """On one core: Numpy's threads are as many as there are, and wouldn't outlive a fork.

    `importing` freezes what it brings, so no worker's collector writes to the pages that all share.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with importing():
        for room, handed_on in names.rooms().items():
            for name in handed_on:  # as a recipe does that has all modes
                with contextlib.suppress(ImportError):  # of an extra that isn't installed
                    getattr(importlib.import_module(room), name)


def _forked_for_each(requests: socket.socket) -> tuple[str, list[int]] | None:
    """In a new worker: its core and files. In the server, once nobody asks any more: None."""
    workers: dict[int, tuple[int, int]] = {}  # a file that tells of its end -> process, status
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in workers:
                    selector.unregister(key.fd)
                    _tell_end(key.fd, *workers.pop(key.fd))
                    continue
                message, files, *_ = socket.recv_fds(requests, _CORE_BYTES, len(_FILES))
                if not message:
                    return None
                if not (pid := os.fork()):
                    for end, (_, status) in workers.items():
                        os.close(end)
                        os.close(status)
                    return message.decode(), files
                ended, status = os.pidfd_open(pid), files.pop()
                for file in files:
                    os.close(file)
                _tell(status, pid)
                workers[ended] = pid, status
                selector.register(ended, selectors.EVENT_READ)


def _tell_end(ended: int, pid: int, status: int) -> None:
    _, code = os.waitpid(pid, 0)
    _tell(status, os.waitstatus_to_exitcode(code))
    os.close(status)
    os.close(ended)


def _tell(status: int, number: int) -> None:
    try:
        os.write(status, number.to_bytes(_SIZE, "little", signed=True))
    except BrokenPipeError:
        pass  # nobody waits for it
