"""Workers take turns at compiling: who comes second takes what the first made, whatever becomes of it."""

import contextlib
import threading
import time

import pytest

from polylm_jax.training import compile_turns
from polylm_jax.training.compile_turns import Awaited, in_turn


class Worker:
    """One of several that share a folder; what the first has compiled is there for all."""

    def __init__(self, folder, made):
        self.folder, self.made, self.compiled = str(folder), made, 0
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def compile_here(self, key):
        self.begun.set()
        assert self.go_on.wait(60)
        self.compiled += key not in self.made
        self.made.add(key)
        return lambda x: (key, x)

    def program(self, key="key"):
        return in_turn(self.folder, key, lambda: self.compile_here(key))


@pytest.fixture
def pair(tmp_path):
    made = set()
    return Worker(tmp_path, made), Worker(tmp_path, made)


@contextlib.contextmanager
def compiling(worker):
    """While a worker compiles, until it is let go on."""
    worker.go_on.clear()
    thread = threading.Thread(target=worker.program)
    thread.start()
    assert worker.begun.wait(60)
    yield
    worker.go_on.set()
    thread.join()


def test_what_another_compiles_is_awaited_by_the_first_call(pair):
    first, second = pair
    with compiling(first):
        program = second.program()
        assert isinstance(program, Awaited) and not isinstance(second.program("next"), Awaited)
        threading.Timer(0.3, first.go_on.set).start()
        assert program(1) == ("key", 1) and program(2) == ("key", 2)
    assert (first.compiled, second.compiled) == (1, 1)  # the second one "next"


def test_what_nobody_compiles_is_compiled_at_once(pair):
    for worker in pair:
        assert worker.program()(1) == ("key", 1)
        assert not isinstance(worker.program(), Awaited)
    assert [worker.compiled for worker in pair] == [1, 0]


def test_one_that_hangs_is_not_waited_for_without_end(pair, monkeypatch):
    first, second = pair
    monkeypatch.setattr(compile_turns, "WAIT_SECONDS", 0.3)
    with compiling(first):
        began = time.monotonic()
        assert second.program()(1) == ("key", 1)
        assert time.monotonic() - began >= 0.3 and second.compiled == 1


def test_one_that_fails_leaves_the_program_to_others(pair):
    first, second = pair

    def fails(key):
        first.begun.set()
        raise RuntimeError(key)

    first.compile_here = fails
    with pytest.raises(RuntimeError):
        first.program()
    assert second.program()(1) == ("key", 1) and second.compiled == 1


def test_without_the_folder_each_compiles_for_itself(pair, tmp_path):
    tmp_path.rmdir()
    first, second = pair
    with compiling(first):
        assert second.program()(1) == ("key", 1) and second.compiled == 1
