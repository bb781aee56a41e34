"""Leaving when told to: SIGTERM becomes a saved checkpoint and exit code 143, within a grace period.

SIGHUP (a terminal that closes), SIGUSR1 (Slurm's --signal) and SIGINT (Ctrl-C, code 130; a second one
doesn't wait for the save) do the same.

The code is 75 where the grace period ends before the checkpoint is whole: what was done since the
newest one is lost, and a new start does it again.

One process: a handler of ours. Python runs handlers between bytecodes of the main thread, which may
be inside XLA's compiler for minutes, so a thread watches the pipe that the interpreter's C handler
writes to (`signal.set_wakeup_fd`). Several processes: JAX's handler stays, its sync point names one
step for all, and the same thread watches the notice that JAX shares between the processes.

What then happens depends on where the run is:

    before the first step    nothing would be lost: leaves at once
    in the loop              `reached()` turns true after the same step on every process, and the
                             loop saves and leaves; a checkpoint in flight is committed first
    grace period over        leaves wherever it is; what isn't committed is never loaded
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import jax
from jax.experimental import multihost_utils

from polylm_jax.errors import LEFT, LEFT_UNSAVED, InputError, exit_code
from polylm_jax.training import shared_keys

T = TypeVar("T")

_NOTICE = "RECEIVED_PREEMPTION_NOTICE"  # JAX's key, set by the process that caught the signal
_LEFT = "polylm_left"  # ours, the code: then no step of the others can end either
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
INTERRUPTED = 128 + signal.SIGINT
# Ours, why process 0 leaves: the store goes with it, and the others' JAX.
_FIRST = "polylm_first_leaves"
_POLL_SECONDS = 0.5
_TELL_SECONDS = 120
_ANSWER_SECONDS = 2.0
_FLUSH_SECONDS = 2.0  # the most that flushing the logs may add to the grace period
_LEADER_SECONDS = 3.0  # process 0 serves the others, and they die with it: it leaves last


at_leave: list[Callable[[], None]] = []  # called by `leave`, whoever calls it
_alone = threading.Lock()  # taken for good by the thread that says why this process leaves
_ALONE_SECONDS = 15.0  # after which another one says so, should that one be stuck


def leave(code: int, flush: Callable[[], None] = lambda: None) -> None:
    """Ends the process now. No barrier, no exit hook and no other thread can hold it up."""
    if jax.process_count() > 1 and jax.process_index() == 0:
        time.sleep(_LEADER_SECONDS)
    for goodbye in at_leave:
        goodbye()
    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    flushing.join(_FLUSH_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def leave_alone(error: Exception, flush: Callable[[], None]) -> None:
    """Ends one of several processes. Python's way out waits for all of them, which may be stuck.

    Of several threads the first one says why: when it goes, collectives break in the others, too.
    So they do where another process was told to leave and has left: then its code is this one's.
    """
    _alone.acquire(timeout=_ALONE_SECONDS)
    code = exit_code(error)
    if code == 1 and (theirs := _code_of_another()):
        code, error = int(theirs), RuntimeError("another process was told to leave, and has left")
    elif code == 1:
        traceback.print_exception(error, file=sys.stdout)
    sentence = " ".join(str(error).split()) or type(error).__name__
    print(f"process {jax.process_index()} leaves: {sentence}", file=sys.stderr, flush=True)
    if jax.process_count() > 1 and jax.process_index() == 0:
        _soon(lambda: shared_keys.client().key_value_set(_FIRST, sentence, allow_overwrite=True))
    leave(code, flush)


def first_leaves() -> str | None:
    """Why process 0 is about to leave; None while it isn't. It may hang where the store does."""
    return _posted(_FIRST)


def tell_all(key: str, text: str, seconds: float = _TELL_SECONDS) -> str:
    """Process 0's `text`, on every process; each key once. seconds: how long the others wait."""
    if jax.process_count() == 1:
        return text
    client = shared_keys.client()
    if jax.process_index() == 0:
        client.key_value_set(f"polylm_{key}", text)
    return client.blocking_key_value_get(f"polylm_{key}", int(seconds * 1000))


def by_the_first(key: str, work: Callable[[], T]) -> T | None:
    """Process 0 does `work`, the others wait; each key once. InputError, on every process, as it is.

    What `work` gives, on process 0 alone.
    """
    done, refusal = None, ""
    if jax.process_index() == 0:
        try:
            done = work()
        except InputError as error:
            refusal = str(error)
    if refusal := tell_all(key, refusal):
        raise InputError(refusal)
    return done


def _posted(key: str) -> str | None:
    """What some process has set a key to; None where none has."""
    try:
        return shared_keys.client().key_value_try_get(key)
    except jax.errors.JaxRuntimeError:  # NOT_FOUND
        return None


def _code_of_another() -> str | None:
    """Of a process that was told to leave and didn't wait for the others; None if none has said so."""
    if jax.process_count() == 1:
        return None
    said: list[str | None] = []
    _soon(lambda: said.append(_posted(_LEFT)))
    return said[0] if said else None


def _say_code(code: int) -> None:
    """Lets the others know with which code this process leaves."""
    _soon(lambda: shared_keys.client().key_value_set(_LEFT, str(code), allow_overwrite=True))


def _soon(ask: Callable[[], Any]) -> None:
    """Asks process 0, which keeps what is shared, and doesn't wait for long: it may itself be stopped."""
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)


class Preemption:
    """Watches for SIGTERM while it is open. `flush` writes what the logs still hold.

    In a thread other than the main one (where Python installs no handlers) it watches nothing.
    """

    flush: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, grace_seconds: float):
        self._grace_seconds = grace_seconds
        self._several = jax.process_count() > 1
        self._noticed = threading.Event()
        self._closed = threading.Event()
        self._leaving = threading.Lock()
        self._in_loop = False
        self._polls = 0
        self._reached = False
        self._signal: int = signal.SIGTERM

    def __enter__(self) -> Self:
        self._handled: dict[int, Any] = {}
        if self._several:
            threading.Thread(target=self._watch_notice, daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            # nohup, and shells in the background, have some of them ignored: they stay so.
            asked = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN]
            self._install([one for one in asked if not self._several or one != signal.SIGTERM])
        return self

    def __exit__(self, *_) -> None:
        # Several processes end in JAX's shutdown barrier, which can hang: the grace period stays.
        if self._several and self._noticed.is_set():
            return
        self._closed.set()
        if self._handled:
            signal.set_wakeup_fd(self._old_fd)
            for number, handler in self._handled.items():
                signal.signal(number, handler)
            os.write(self._pipe[1], b"\0")

    def enter_loop(self) -> None:
        """From here on there is something to save before leaving."""
        with self._leaving:
            self._in_loop = True

    def reached(self) -> bool:
        """Whether to save and leave now; every process calls it after the same pieces of work."""
        self._polls += 1
        if self._several:
            # True once, at the poll that all have agreed on.
            self._reached |= multihost_utils.reached_preemption_sync_point(self._polls)
        else:
            self._reached = self._noticed.is_set()
        return self._reached

    @property
    def exit_code(self) -> int:
        """Of a run that was told to leave and has saved."""
        return INTERRUPTED if self._signal == signal.SIGINT else LEFT

    def _install(self, numbers: Sequence[int]) -> None:
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._old_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._handled = {number: signal.signal(number, lambda *_: None) for number in numbers}
        threading.Thread(target=self._watch_pipe, daemon=True).start()

    def _watch_pipe(self) -> None:
        while (byte := os.read(self._pipe[0], 1)) not in (b"\0", b""):
            number = byte[0]
            if number not in self._handled:
                continue
            if self._noticed.is_set():
                if number == self._signal == signal.SIGINT:
                    self._leave(INTERRUPTED, "told twice")
            elif self._several:
                os.kill(os.getpid(), signal.SIGTERM)  # whose notice all processes hear of
            else:
                self._signal = number
                threading.Thread(target=self._count_down, daemon=True).start()
        for end in self._pipe:
            os.close(end)

    def _watch_notice(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            if _posted(_NOTICE) is not None:
                return self._count_down()

    def _count_down(self) -> None:
        self._noticed.set()
        with self._leaving:
            if not self._in_loop:
                self._leave(self.exit_code, "nothing to save yet")
        name = signal.Signals(self._signal).name
        print(f"{name}: saves after this step, then leaves", file=sys.stderr, flush=True)
        deadline = time.monotonic() + self._grace_seconds
        while not self._closed.wait(min(_POLL_SECONDS, self._grace_seconds)):
            if time.monotonic() >= deadline:
                self._leave(
                    LEFT_UNSAVED,
                    f"{self._grace_seconds:g} s of grace are over, and nothing is saved",
                )
            if self._several and (theirs := _posted(_LEFT)):
                self._leave(int(theirs), "another process has left before this one could save")

    def _leave(self, code: int, why: str) -> None:
        if self._several:
            _say_code(code)
        name = signal.Signals(self._signal).name
        print(f"{name}: leaves with exit code {code}, {why}", file=sys.stderr, flush=True)
        leave(code, self.flush)
