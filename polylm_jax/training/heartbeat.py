"""The other processes of a run: where one dies or stops, the others end within a minute and say so.

JAX's own watch waits 100 s and aborts with a trace of C++. Here every process counts aloud in the
key-value store that process 0 serves and looks at the others' counts: one thread does that and may
hang with the store, another one judges by the clock. Without process 0 there is no store, and JAX
aborts at once; a witness, a process of a few lines, then says what happened.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Self

import jax

from polylm_jax.training import preemption, shared_keys

AGAIN = "start all of them again, and the run goes on from its newest checkpoint."
_LOOK_SECONDS = 0.5  # process 0 waits some seconds for the others before it leaves
_BEAT_SECONDS = 2.0
_FOLDER = "polylm_alive"
_DONE = "done"
_WITNESS = "import sys\nif sys.stdin.read() != 'done': print(sys.argv[1], file=sys.stderr)"


class Peers:
    """Watches the other processes while it is open.

    flush: writes what the logs still hold. silent_seconds: how long a process may say
    nothing, a few counts at least.
    """

    def __init__(self, flush: Callable[[], None], silent_seconds: int):
        self._flush, self._silent_seconds = flush, silent_seconds
        self._me, self._several = jax.process_index(), jax.process_count() > 1
        self._closed, self._saying = threading.Event(), threading.Lock()
        # Seconds in which this process ran: those in which it was itself stopped (SIGSTOP) accuse nobody.
        self._seconds = 0
        self._heard = {number: ("", 0) for number in range(jax.process_count())}

    def __enter__(self) -> Self:
        if self._several:
            self._start_witness()
            for work in (self._count, self._judge):
                threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, kind, *_) -> None:
        self._closed.set()
        if self._several:
            self._end_witness()
            if kind is None and self._saying.acquire(timeout=self._silent_seconds):
                self._say(_DONE)

    def _start_witness(self) -> None:
        sentence = (
            f"process {self._me} ended without a word, most likely because process 0 or its machine "
            f"is gone: {AGAIN}"
        )
        self._witness = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WITNESS, sentence],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is not for it
        )
        preemption.at_leave.append(self._end_witness)

    def _end_witness(self) -> None:
        stdin = self._witness.stdin
        assert stdin is not None  # a pipe
        if not stdin.closed:
            stdin.write("done")
            stdin.close()
            self._witness.wait()

    def _say(self, text: str) -> None:
        shared_keys.client().key_value_set(f"{_FOLDER}/{self._me}", text, allow_overwrite=True)

    def _count(self) -> None:
        looks = 0
        while not self._closed.wait(_LOOK_SECONDS):
            looks += 1
            self._follow()
            beat, between = divmod(looks, round(_BEAT_SECONDS / _LOOK_SECONDS))
            if between:
                continue
            try:
                with self._saying:
                    if self._closed.is_set():
                        return
                    self._say(str(beat))
                said = shared_keys.client().key_value_dir_get(_FOLDER)
            except jax.errors.JaxRuntimeError:
                continue  # process 0 doesn't answer: its time runs
            self._hear({int(key.rpartition("/")[2]): text for key, text in said})

    def _follow(self) -> None:
        """Leaves where process 0 does, which may have noticed first: without it JAX would abort."""
        if self._me and (why := preemption.first_leaves()):
            preemption.leave_alone(RuntimeError(f"process 0 leaves: {why}"), self._flush)

    def _hear(self, said: dict[int, str]) -> None:
        for number, text in said.items():
            if text != self._heard[number][0] or text == _DONE:
                self._heard[number] = (text, self._seconds)

    def _judge(self) -> None:
        while not self._closed.wait(1.0):
            self._seconds += 1
            if (number := self.silent()) is not None:
                error = RuntimeError(
                    f"process {number} has been silent for {self._silent_seconds} s: {AGAIN}"
                )
                preemption.leave_alone(error, self._flush)

    def silent(self) -> int | None:
        """The process that hasn't counted on for too long, process 0 first; None if all have."""
        late = self._seconds - self._silent_seconds
        quiet = [n for n, (text, when) in self._heard.items() if when < late and text != _DONE]
        return min((n for n in quiet if n != self._me), default=None)
