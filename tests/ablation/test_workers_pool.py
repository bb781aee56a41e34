"""The processes of an ablation: programs or forked, given runs, killed, told to leave, left alone."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from polylm_jax.ablation.workers import fork_server, pool
from polylm_jax.ablation.workers.places import Place
from polylm_jax.ablation.workers.pool import Pool
from polylm_jax.errors import LEFT
from polylm_jax.runtime import modes, names
from polylm_jax.runtime.home import home

PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, {repo!r})
from polylm_jax.ablation.workers.fork_server import serve
from polylm_jax.ablation.workers.worker import work
from polylm_jax.runtime.processes import Several

def call(argv):
    if argv[0] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if argv[0] == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        open(argv[1], "w").close()
        time.sleep(60)
    if argv[0] == "say":
        os.environ["SAID"] = "yes"
        print("said", flush=True)
    if argv[0] == "raise":
        raise ValueError("no")
    if argv[0] == "place":
        there = os.path.isdir(Several.programs)
        modules = {{"jax", "tensorflow"}} <= set(sys.modules)
        found = os.sched_getaffinity(0), os.getppid(), modules, there and Several.programs
        open(argv[1], "w").write(repr(found))
    return 0 if "SAID" not in os.environ or argv[0] == "say" else 9

sys.exit((serve if sys.argv[1] == "fork_server" else work)(call, *sys.argv[2:]))
"""
CORE = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The folder of a run.py whose runs are what PROGRAM makes of their arguments."""
    repo = str(home())
    folder = tmp_path_factory.mktemp("program")
    (folder / "run.py").write_text(PROGRAM.format(repo=repo))
    with pytest.MonkeyPatch.context() as patch:
        for module in (pool, fork_server):
            patch.setattr(module, "home", lambda: folder)
        yield folder


@pytest.fixture(scope="module")
def server(program):
    found = fork_server.ForkServer()
    yield found
    found.end()


@pytest.fixture(params=["programs", "forked"])
def workers(request, program):
    """A pool of two, which are programs of their own, or forked."""
    if request.param == "programs":
        made = Pool([Place((CORE,)), Place()], quiet=True)
    else:
        made = Pool([Place((CORE,))] * 2, True, request.getfixturevalue("server"))
    yield made
    made.close()


def codes(workers, count):
    """Slot -> exit code, of the next so many runs that end."""
    found = {}
    end = time.monotonic() + 60
    while len(found) < count and time.monotonic() < end:
        found |= {one.slot: one.message["code"] for one in workers.wait(1.0)}
    return found


def until(path):
    while not path.exists():
        time.sleep(0.01)


def test_a_workers_environment_is_clean(workers, tmp_path):
    for _ in range(2):
        workers.give(0, ["say"], str(tmp_path / "said.txt"))
        assert codes(workers, 1) == {0: 0}
    workers.give(0, ["is it clean?"])
    assert codes(workers, 1) == {0: 0}
    assert (tmp_path / "said.txt").read_text() == "said\nsaid\n"
    workers.give(0, ["raise"], str(tmp_path / "said.txt"))
    assert codes(workers, 1) == {0: 1}
    assert "ValueError: no" in (tmp_path / "said.txt").read_text()


def test_a_killed_worker_is_replaced(workers):
    workers.give(0, ["die"])
    workers.give(1, ["live"])
    assert codes(workers, 2) == {0: -signal.SIGKILL, 1: 0}
    workers.give(0, ["live"])
    assert codes(workers, 1) == {0: 0}


def test_a_sigterm_goes_on_to_the_runs(workers, tmp_path):
    for slot in range(2):
        workers.give(slot, ["wait", str(tmp_path / f"ready{slot}")])
        until(tmp_path / f"ready{slot}")
    workers.leave()
    assert codes(workers, 2) == {0: LEFT, 1: LEFT}


def test_a_run_is_told_when_its_work_is_wanted_no_more(workers, tmp_path):
    for slot in range(2):
        workers.give(slot, ["wait", str(tmp_path / f"ready{slot}")])
        until(tmp_path / f"ready{slot}")
    workers._workers[1].stdin.close()
    assert codes(workers, 1) == {1: LEFT}
    workers._workers[0].stdin.close()
    assert codes(workers, 1) == {0: LEFT}


def test_what_is_forked_has_its_core_and_all_imports(program, server, tmp_path):
    workers = Pool([Place((CORE,)), Place((CORE,))], True, server)
    for slot in range(2):
        workers.give(slot, ["place", str(tmp_path / f"said{slot}")])
    assert codes(workers, 2) == {0: 0, 1: 0}
    workers.close()
    found = {(tmp_path / f"said{slot}").read_text() for slot in range(2)}
    assert found == {repr(({CORE}, server._process.pid, True, workers._programs))}
    assert workers._programs and not os.path.exists(workers._programs)


def test_a_worker_with_several_cores_is_a_program(program, server, tmp_path):
    workers = Pool([Place()], True, server)
    workers.give(0, ["place", str(tmp_path / "said")])
    assert codes(workers, 1) == {0: 0}
    workers.close()
    assert (tmp_path / "said").read_text().endswith(f"{os.getpid()}, False, False)")


def test_a_signal_to_all_leaves_the_server_to_tell_of_them(program, server):
    workers = Pool([Place((CORE,))], True, server)
    for told in (signal.SIGINT, signal.SIGTERM):
        os.kill(server._process.pid, told)
        workers.give(0, ["die"])
        assert codes(workers, 1) == {0: -signal.SIGKILL}
    workers.close()


def test_workers_outlive_the_server(program, tmp_path):
    server = fork_server.ForkServer()
    workers = Pool([Place((CORE,))] * 2, True, server)
    workers.give(0, ["wait", str(tmp_path / "ready")])
    until(tmp_path / "ready")
    server.end()
    server.end()  # once more, as at the exit of who began it
    workers.give(1, ["live"])
    assert codes(workers, 1) == {1: 0}
    assert workers._workers[0].process.poll() is None
    workers.leave()
    assert codes(workers, 1) == {0: LEFT}
    workers.close()


def test_a_run_ends_when_its_workers_parent_is_gone(program, tmp_path):
    ready, read, write = tmp_path / "ready", *os.pipe()
    command = [sys.executable, str(program / "run.py"), "worker", str(write)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[write])
    job = {"argv": ["wait", str(ready)], "said": "", "programs": ""}
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    until(ready)
    os.close(read)  # as a death closes it
    process.stdin.close()
    assert process.wait(timeout=30) == LEFT
    os.close(write)


def test_modes_with_workers_begin_a_server(monkeypatch):
    assert {mode for mode in modes.MODES if modes.BEFORE.get(mode, "").endswith(".begin")} == {
        "ablate",
        "mix",
    }
    assert names.find(modes.BEFORE["ablate"]) is fork_server.begin
    monkeypatch.setattr(fork_server, "_begun", [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {CORE})
    fork_server.begin()
    assert fork_server.begun() is None
