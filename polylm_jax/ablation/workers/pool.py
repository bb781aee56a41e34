"""The processes of an ablation: started when there are runs for them, their replies read, asked to leave.

A worker that failed, or died, is replaced when the next run needs it. All are in the process group
of the terminal, so Ctrl-C reaches each by itself.
"""

import io
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from polylm_jax.ablation.workers.fork_server import ForkServer, Process
from polylm_jax.ablation.workers.places import Place, environment
from polylm_jax.runtime.home import home
from polylm_jax.runtime.processes import WORKER

_PIECE = 1 << 16  # bytes read at once


class Heard(NamedTuple):
    """What the worker of a slot says, see `worker`; of one that died, its exit code as 'code'."""

    slot: int
    message: dict


class _Worker:
    """A process at a place. quiet: its own words are for the files that its runs name."""

    def __init__(self, place: Place, quiet: bool, server: ForkServer | None):
        jobs, stdin = os.pipe()
        self.replies, theirs = os.pipe()
        self.stdin = io.FileIO(stdin, "w")
        self._rest = b""
        stdout = os.open(os.devnull, os.O_WRONLY) if quiet else os.dup(1)
        try:
            self.process = _process(place, server, jobs, stdout, theirs)
        finally:
            for file in (jobs, stdout, theirs):
                os.close(file)

    def give(self, job: dict) -> None:
        """A process that is dead takes nothing; its end is read as one of its replies."""
        try:
            self.stdin.write(json.dumps(job).encode() + b"\n")
        except BrokenPipeError:
            pass

    def said(self) -> list[dict] | None:
        """The messages that are there; None where no more will come."""
        piece = os.read(self.replies, _PIECE)
        if not piece:
            return None
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> int:
        """Lets it go and waits for it: a run that is under way saves first. Its exit code."""
        self.stdin.close()
        code = self.process.wait()
        os.close(self.replies)
        return code


def _process(
    place: Place, server: ForkServer | None, stdin: int, stdout: int, replies: int
) -> Process:
    """Forked where a worker has one core, else a program of its own."""
    alone = server if len(place.cores) == 1 else None
    if alone and (forked := alone.fork(place.cores[0], (stdin, stdout, replies))):
        return forked
    cores = ",".join(map(str, place.cores))
    return subprocess.Popen(
        [sys.executable, str(home() / "run.py"), WORKER, str(replies), cores],
        stdin=stdin,
        stdout=stdout,
        env=environment(os.environ, place),
        pass_fds=[replies],
    )


class Pool:
    """A slot for each place, in which a worker trains one run at a time.

    server: forks workers that have one core; None: each is a program that imports all anew.
    Several have a folder for what they compile, which `close` removes.
    """

    def __init__(self, places: Sequence[Place], quiet: bool, server: ForkServer | None = None):
        self._places, self._quiet, self._server = list(places), quiet, server
        several = len(self._places) > 1
        self._programs = tempfile.mkdtemp(prefix="polylm_programs_") if several else ""
        self._workers: dict[int, _Worker] = {}
        self._busy: set[int] = set()
        self._selector = selectors.DefaultSelector()

    @property
    def idle(self) -> list[int]:
        """Slots that have nothing to do."""
        return [slot for slot in range(len(self._places)) if slot not in self._busy]

    def give(self, slot: int, argv: Sequence[str], said: str = "") -> None:
        """A run for an idle slot. said: the file that its words go to, '' for this one's terminal."""
        if slot not in self._workers:
            worker = self._workers[slot] = _Worker(self._places[slot], self._quiet, self._server)
            self._selector.register(worker.replies, selectors.EVENT_READ, slot)
        self._busy.add(slot)
        job = {"argv": [*map(str, argv)], "said": said, "programs": self._programs}
        self._workers[slot].give(job)

    def wait(self, seconds: float) -> Iterator[Heard]:
        """What workers say; nothing where all are silent for so long."""
        for key, _ in self._selector.select(seconds):
            slot = key.data
            messages = self._workers[slot].said()
            for message in messages or ():
                if "code" in message:
                    self._busy.discard(slot)
                    if message["code"]:
                        self._let_go(slot)
                yield Heard(slot, message)
            if messages is None and slot in self._workers:
                code = self._let_go(slot)
                if slot in self._busy:
                    self._busy.discard(slot)
                    yield Heard(slot, {"code": code or 1})

    def _let_go(self, slot: int) -> int:
        worker = self._workers.pop(slot)
        self._selector.unregister(worker.replies)
        return worker.end()

    def leave(self) -> None:
        """Tells all to save and leave; telling one twice does nothing."""
        for worker in self._running():
            worker.process.terminate()

    def leave_after(self, seconds: float) -> None:
        """Tells those to leave that don't by themselves, as Ctrl-C makes them; waits for all."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(w.process.poll() is None for w in self._running()):
            time.sleep(0.05)
        self.leave()
        self.close()

    def _running(self) -> list[_Worker]:
        return list(self._workers.values())

    def close(self) -> None:
        """Lets all go: those that train save first."""
        for worker in self._running():
            worker.stdin.close()
        for slot in list(self._workers):
            self._let_go(slot)
        self._busy.clear()
        if self._programs:
            shutil.rmtree(self._programs, ignore_errors=True)
