"""A process that trains runs as they come, each as if it were alone.

What is imported, compiled and opened stays for the next run; what decides numbers does not: gin's
bindings, SeqIO's registrations, the environment and the states of random numbers are as they were.

    stdin     a line of JSON for each run: {"argv": what run.py is given, "said": a file, or "",
              "programs": the folder of all workers' compiled programs, or ""}
    replies   {"step", "total", "numbers"} while one is under way, {"code", "cpu", "memory"} at its end

stdin closes with the process that started this one, however that ends: a run under way then saves and
leaves, as for SIGTERM.
"""

import contextlib
import functools
import gc
import io
import json
import os
import queue
import random
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from polylm_jax.runtime import terminal
from polylm_jax.runtime.processes import Several
from polylm_jax.text import registrations

_STDIN = 0
_PIECE = 1 << 16  # bytes read at once
INTERRUPTED = 128 + signal.SIGINT


def work(call: Callable[[list[str]], int], replies: str, cores: str = "") -> NoReturn:
    """Runs what comes on stdin by `call`, until it closes or a run fails; the process ends then.

    All that a run opens it has closed, so Python's way out, which waits for every thread, isn't taken.

    replies: number of the file that is written to. cores: of the CPU, comma separated, that all
    threads stay on; set before anything that starts threads is imported.
    """
    if cores:
        os.sched_setaffinity(0, set(map(int, cores.split(","))))
    jobs: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(jobs, busy), daemon=True).start()
    say = _Speaker(int(replies))
    terminal.listeners.append(
        lambda step, total, numbers: say(step=step, total=total, numbers=numbers)
    )
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    Several.runs = True
    code = 0
    try:
        # A failure leaves nothing to go on with.
        while not code and (job := jobs.get()) is not None:
            busy.set()
            Several.programs = job["programs"]
            began = time.process_time()
            code = _code(call, job)
            busy.clear()
            memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            say(code=code, cpu=time.process_time() - began, memory=memory)
    except KeyboardInterrupt:
        code = INTERRUPTED
    _flush()
    os._exit(code % 256)


def _listen(jobs: queue.SimpleQueue, busy: threading.Event) -> None:
    rest = b""
    while piece := os.read(_STDIN, _PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            jobs.put(json.loads(line))
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


class _Speaker:
    """Writes replies; the process that reads them may have ended."""

    def __init__(self, file: int):
        self._file = file

    def __call__(self, **message) -> None:
        with contextlib.suppress(OSError):
            os.write(self._file, json.dumps(message).encode() + b"\n")


def _code(call: Callable[[list[str]], int], job: dict) -> int:
    """The exit code of a run, as a process of its own would have had it."""
    with _spoken_into(job["said"]), _as_before():
        try:
            return call(job["argv"])
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(bool(end.code))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BaseException:  # noqa: BLE001 -- whatever it is, the run has failed and is told to have
            traceback.print_exc()
            return 1


@contextlib.contextmanager
def _spoken_into(path: str) -> Iterator[None]:
    """What the run says, and C++ beneath it, goes to the end of a file; '': where it always goes."""
    if not path:
        yield
        return
    before = [os.dup(number) for number in (1, 2)]
    _flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
    try:
        yield
    finally:
        _flush()
        for number, kept in zip((1, 2), before, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """What a run may change of its process is put back after it."""
    from polylm_jax.training import time_account  # after the cores were chosen: it brings threads

    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    states = random.getstate(), _numpy_state()
    time_account.began.append(time.monotonic())
    try:
        with registrations.for_a_time():
            yield
    finally:
        time_account.began.clear()
        for name in [name for name in os.environ if name not in environment]:
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:] = path
        random.setstate(states[0])
        if states[1] is not None:
            sys.modules["numpy"].random.set_state(states[1])
        _forget_compilation_cache()
        gc.collect()  # the arrays of a state lie in circles
        _freeze()


@functools.cache
def _freeze() -> None:
    """What has been imported by the end of the first run is not looked through after each run."""
    gc.freeze()


def _numpy_state():
    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy else None


def _forget_compilation_cache() -> None:
    """The folder of compiled programs is the run's; a setting of JAX's own stays."""
    jax = sys.modules.get("jax")
    if jax and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        from jax.experimental.compilation_cache import compilation_cache

        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()
