"""A program is compiled once for all runs whose steps are the same, and each run has its own rates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run

from polylm_jax.checkpoints import digests
from polylm_jax.model import partitioning
from polylm_jax.runtime.processes import Several
from polylm_jax.training import compile_turns, executables
from polylm_jax.training import programs as programs_room
from polylm_jax.training.programs import Programs

pytest_plugins = ["toy_fixture"]


@pytest.fixture(autouse=True)
def several(monkeypatch):
    monkeypatch.setattr(Several, "runs", True)


@pytest.fixture
def programs(toy_folder):
    def of(**changes):
        return Programs(toy_run.experiment(toy_folder, **changes).resolve())

    return of


def faster(phases):
    return [dataclasses.replace(phases[0], peak_learning_rate=2e-2), *phases[1:]]


def test_runs_of_other_seeds_shares_and_rates_have_one_step(programs):
    step = programs().compile_step()
    assert programs(seed=7, phases=faster(toy_run.phases())).compile_step() is step
    more = [dataclasses.replace(toy_run.phases()[0], mixture={"toy.en": 0.5, "toy.th": 0.5})]
    assert programs(phases=[*more, *toy_run.phases()[1:]]).compile_step() is step


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 16},
        {"z_loss": 1e-4},
        {"phases": toy_run.phases()[:1]},  # without the pairs: another number of components
        {"mesh": partitioning.MeshConfig()},
        {"model": toy_run.model(mlp_dim=64)},
        {"compiler_options": {"xla_cpu_enable_fast_math": False}},
    ],
)
def test_what_is_another_step_is_compiled_for_itself(programs, changes):
    assert programs(**changes).compile_step() is not programs().compile_step()


def test_each_step_has_the_learning_rate_of_its_run(programs):
    for phases in (toy_run.phases(), faster(toy_run.phases())):
        made = programs(phases=phases)
        step, state = made.train_steps(0)[8], made.fresh_state()
        rows = made.resolved.rows.inputs(np.arange(8))
        by_row = partitioning.batch_sharding(made.mesh)
        tokens, component = (jax.device_put(rows[n], by_row) for n in ("tokens", "component"))
        for number in range(3):
            with jax.transfer_guard("disallow"):
                state, told = step(state, tokens, component)
            expected = float(made.resolved.learning_rate()(jnp.int32(number)))
            assert float(told["learning_rate"]) == pytest.approx(expected, rel=1e-6)
        assert int(state.step) == 3


def test_first_states_of_all_seeds_have_one_program(programs, monkeypatch):
    monkeypatch.setattr(executables, "_made", type(executables._made)())
    seeds = (0, 7)
    found = [digests.of(programs(seed=seed).fresh_state().params) for seed in seeds]
    assert len(executables._made) == 1 and found[0] != found[1]
    monkeypatch.setattr(Several, "runs", False)
    assert [digests.of(programs(seed=seed).fresh_state().params) for seed in seeds] == found


def test_states_from_a_checkpoint_have_one_program(programs, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Several, "runs", False)
    toy_run.run(toy_folder, tmp_path, {"phases": toy_run.halves(2)}, save_every_steps=2)
    alone = digests.of(programs().state_from(str(tmp_path), None))
    monkeypatch.setattr(Several, "runs", True)
    monkeypatch.setattr(executables, "_made", type(executables._made)())
    assert [digests.of(programs(seed=n).state_from(str(tmp_path), None)) for n in (0, 7)] == [
        alone
    ] * 2
    assert len(executables._made) == 1


def test_of_two_workers_the_second_finds_what_is_compiled(programs, monkeypatch, tmp_path):
    """A lock held elsewhere; what is awaited is the same step, and so are its numbers."""
    monkeypatch.setattr(executables, "_made", type(executables._made)())
    made = programs()
    expected = digests.of(made.fresh_state().params)
    executables._made.clear()
    monkeypatch.setattr(Several, "programs", str(tmp_path))
    lowered = made.lower_step()
    key = executables._key(lowered, made.options, made.mesh)
    turn = compile_turns._turn(tmp_path / key)
    assert turn is not None
    with turn:
        step = made.compile_step()
        assert isinstance(step, compile_turns.Awaited)
        state = made.fresh_state()
    assert digests.of(state.params) == expected
    rows = made.resolved.rows.inputs(np.arange(8))
    by_row = partitioning.batch_sharding(made.mesh)
    batch = [jax.device_put(rows[name], by_row) for name in ("tokens", "component")]
    rate = jax.device_put(jnp.float32(0.1), partitioning.replicated(made.mesh))
    state, told = step(state, rate, *batch)
    monkeypatch.setattr(Several, "runs", False)
    again, also = made.compile_step()(made.fresh_state(), rate, *batch)
    assert digests.of(state.params) == digests.of(again.params) and told["loss"] == also["loss"]


def test_what_runs_have_in_common_is_traced_once(programs, monkeypatch):
    traced, real = [], programs_room.make_train_step
    executables._kept.cache_clear()
    monkeypatch.setattr(
        programs_room, "make_train_step", lambda *a, **k: traced.append(1) or real(*a, **k)
    )
    texts = [programs(seed=seed).lower_step().as_text() for seed in (0, 7)]
    assert texts[0] == texts[1] and len(traced) == 1
    changed = programs(z_loss=1e-4).lower_step().as_text()
    assert changed != texts[0] and len(traced) == 2
    monkeypatch.setattr(Several, "runs", False)
    assert programs(z_loss=1e-4).lower_step().as_text() == changed and len(traced) == 3


def test_parts_that_only_look_equal_are_made_apart():
    assert [executables.made_of(repr, part) for part in (1, 1.0, True)] == ["1", "1.0", "True"]
    assert executables.made_of(repr, [1]) == "[1]"  # has no hash
