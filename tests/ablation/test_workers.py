"""Workers of an ablation: where each computes, which run it takes, how it is told to leave, what it leaves clean."""

import os
import random
import sys
import types

import pytest

from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.variants import Run
from polylm_jax.ablation.workers import places, sweep, worker
from polylm_jax.ablation.workers.order import Order, by_seed
from polylm_jax.ablation.workers.places import (
    GPU,
    TPU,
    Machine,
    Need,
    Place,
    chosen,
    environment,
    machine,
)
from polylm_jax.errors import InputError
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime import huge_pages
from polylm_jax.runtime.processes import ALONE

TINY, LARGE, SHARDED = Need(1_000_000), Need(125_000_000), Need(1_000_000, 4)
LAPTOP, POD_HOST = Machine((0, 1)), Machine(tuple(range(96)), TPU, tuple("01234567"))


def test_a_tpu_worker_finds_its_chip_and_asks_no_cluster():
    base = {
        "PATH": "/bin",
        "TPU_PROCESS_ADDRESSES": "10.0.0.1:8476,10.0.0.2:8476",
        "TPU_WORKER_HOSTNAMES": "a,b",
        "TPU_WORKER_ID": "1",
        "MEGASCALE_NUM_SLICES": "2",
        "TPU_TOPOLOGY": "4x4",
    }
    found = environment(base, Place((), TPU, "3"))
    assert found["TPU_VISIBLE_CHIPS"] == found["TPU_VISIBLE_DEVICES"] == "3"
    bounds = ("CHIPS_PER_PROCESS", "PROCESS", "CHIPS_PER_HOST", "HOST")
    assert {found[f"TPU_{name}_BOUNDS"] for name in bounds} == {"1,1,1"}
    assert (found["TPU_WORKER_ID"], found["TPU_WORKER_HOSTNAMES"]) == ("0", "localhost")
    assert found[ALONE] == "1" and found["PATH"] == "/bin"
    gone = {"TPU_PROCESS_ADDRESSES", "MEGASCALE_NUM_SLICES", "TPU_TOPOLOGY"}
    assert not gone & set(found) and gone <= set(base)
    ports = {environment({}, Place((), TPU, str(n)))["TPU_PROCESS_PORT"] for n in range(8)}
    assert len(ports) == 8


def test_a_gpu_worker_sees_its_gpu_alone():
    base = {"CUDA_VISIBLE_DEVICES": "2,5"}
    assert environment(base, Place((), GPU, "5")) == {"CUDA_VISIBLE_DEVICES": "5", ALONE: "1"}
    assert environment(base, Place()) == base


def test_a_worker_on_a_core_keeps_its_memory():
    base = {"PATH": "/bin"}
    found = environment(base, Place((1,)))
    assert found == huge_pages.keeping(base) != base


def test_a_process_that_has_a_part_of_its_host_joins_nobody(monkeypatch):
    monkeypatch.setenv(ALONE, "1")
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1:1")
    assert not partitioning.initialize_distributed()


@pytest.mark.parametrize(
    ("here", "need", "runs", "workers", "expected"),
    [
        (LAPTOP, TINY, 9, None, [Place((0,)), Place((1,))]),
        (LAPTOP, TINY, 1, None, [Place((0,))]),  # the bits don't follow from the number of workers
        (LAPTOP, TINY, 9, 1, [Place((0,))]),
        (LAPTOP, TINY, 9, 3, [Place((0,)), Place((1,)), Place((0,))]),
        (LAPTOP, LARGE, 9, None, [Place()]),
        (LAPTOP, SHARDED, 9, None, [Place()]),
        (Machine((0, 1, 2, 3)), LARGE, 9, 2, [Place((0, 1)), Place((2, 3))]),
        (Machine((0, 1), memory=2e9), TINY, 9, None, [Place((0,))]),
        (POD_HOST, TINY, 99, None, [Place((), TPU, str(n)) for n in range(8)]),
        (POD_HOST, TINY, 99, 2, [Place((), TPU, "0"), Place((), TPU, "1")]),
        (POD_HOST, LARGE, 99, None, [Place()]),
        (POD_HOST, TINY, 99, 1, [Place()]),
    ],
)
def test_there_is_a_worker_for_each_core_or_chip(here, need, runs, workers, expected):
    assert chosen(here, need, runs, workers) == expected


@pytest.mark.parametrize(
    ("here", "need", "workers", "sentence"),
    [
        (LAPTOP, TINY, 0, "workers = 0: give 1 or more"),
        (POD_HOST, TINY, 9, "this machine has 8 TPU chips, one for each worker: give 8 at most"),
        (POD_HOST, SHARDED, 8, "the recipe's mesh names 4 devices"),
    ],
)
def test_more_workers_than_there_is_room_for_are_refused(here, need, workers, sentence):
    with pytest.raises(InputError, match=sentence):
        chosen(here, need, 9, workers)


def test_a_growing_batch_needs_room_for_its_largest_step():
    def need(*sizes):
        steps = types.SimpleNamespace(sizes=sizes, pieces=())
        experiment = types.SimpleNamespace(
            model=PolyLMConfig(1, 8, 2, 16, vocab_size=64),
            num_chunks=1,
            vocab_blocks=1,
            sequence_length=16,
            planned_devices=lambda: 1,
        )
        resolved = types.SimpleNamespace(experiment=experiment, steps=steps)
        run = Run("v", 0)
        return sweep.need({run: Plan(run, "train", resolved, "")}).bytes

    assert need(2, 4, 8) == need(8) > need(4)


def test_cores_are_those_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine({"JAX_PLATFORMS": "cpu"}).cores == (min(before),)
    finally:
        os.sched_setaffinity(0, before)


def test_a_container_has_no_more_than_its_limits(tmp_path):
    assert places._quota(64, tmp_path) == 64
    for text, cores in (("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text + "\n")
        assert places._quota(64, tmp_path) == cores
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert places._free(tmp_path) == 2e6
    (tmp_path / "memory.max").write_text("max\n")
    assert places._free(tmp_path) != 2e6


A, B, C, OTHER = Run("a", 0), Run("b", 0), Run("c", 0), Run("a", 1)


def order(saved):
    made = Order({})
    made.saved = lambda one, run: saved.get((one, run), 0)
    return made


@pytest.mark.parametrize(
    ("saved", "pending", "under_way", "done", "taken"),
    [
        ({}, [A, B], {}, [], A),
        ({(A, B): 90}, [B, OTHER], {A: 50}, [], OTHER),  # what gains by waiting comes last
        ({(A, B): 90}, [B], {A: 50}, [], None),  # waits 50 steps to be spared 90
        ({(A, B): 90}, [B], {A: 95}, [], B),  # sooner alone
        ({(A, B): 90}, [B], {}, [A], B),
        ({(A, B): 90, (C, B): 95}, [B], {C: 50}, [A], B),  # 5 more aren't worth it
        ({(A, B): 90}, [A, B], {OTHER: 50}, [], A),
        ({(A, C): 90, (B, A): 90}, [A, C], {B: 50}, [], None),  # c by way of a, a by way of b
    ],
)
def test_a_run_waits_for_a_beginning_that_saves_more(saved, pending, under_way, done, taken):
    assert order(saved).next(pending, under_way, done, under_way.__getitem__) == taken


def test_saved_steps_follow_from_the_kept_checkpoints(monkeypatch):
    def plan(text, total):
        return types.SimpleNamespace(text=text, resolved=types.SimpleNamespace(total_steps=total))

    texts = ["", "N = 30\ntraining.train.keep_every = %N\n", "training.train.keep_at = (44,)\n"]
    monkeypatch.setattr("polylm_jax.ablation.reuse.shared_steps", lambda a, b: 50)
    found = [
        Order({A: plan(text, total), B: plan("", 200)}).saved(A, B)
        for text, total in [(texts[0], 50), *((text, 100) for text in texts)]
    ]
    assert found == [50, 0, 30, 44]
    assert Order({A: plan("", 50), B: plan("", 200)}, share=False).saved(A, B) == 0
    leaving = Order({A: plan("", 100), B: plan("", 200)}, True, "a", {"b": 40, "c": 45})
    assert (leaving.saved(A, B), leaving.saved(B, A)) == (40, 0)
    assert Order({A: plan("", 50), OTHER: plan("", 200)}).saved(A, OTHER) == 0  # another seed


def test_what_a_run_changes_of_its_process_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    random.seed(5)
    before = dict(os.environ), os.getcwd(), list(sys.path), random.getstate()
    with worker._as_before():
        os.environ.pop("KEPT")
        os.environ["NEW"] = "2"
        os.chdir(tmp_path)
        sys.path.append("/nowhere")
        random.random()
    assert (dict(os.environ), os.getcwd(), list(sys.path), random.getstate()) == before


def test_a_worker_keeps_to_its_seeds():
    pending = [Run(variant, seed) for seed in range(4) for variant in "ab"]
    found = by_seed(pending, own={1}, others={0, 2})
    assert [run.seed for run in found] == [1, 1, 3, 3, 0, 0, 2, 2]
    assert [run.variant for run in found] == list("abababab")
