"""Updates that are no numbers, left out inside the step: nothing changes but the count of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run

from polylm_jax.errors import Diverged, InputError
from polylm_jax.model import partitioning
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, make_optimizer
from polylm_jax.training import metrics, train_state
from polylm_jax.training.skipped import Skipped
from polylm_jax.training.step import make_train_step

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.halves(12)}


@pytest.fixture(scope="module")
def stepping():
    """(a fresh state, the step that skips, the step that doesn't), on one device."""
    mesh = partitioning.make_mesh(partitioning.MeshConfig(1, 1, 1), jax.devices()[:1])
    model, tx = PolyLM(toy_run.model()), make_optimizer(OptimizerConfig(), lambda step: 1e-2)
    state = train_state.create(model, tx, mesh, jax.random.key(0))
    steps = (
        jax.jit(make_train_step(model, tx, lambda step: 1e-2, 2, skip_non_finite=skip))
        for skip in (True, False)
    )
    return state, *steps


def rows(weight=1.0):
    tokens = jax.random.randint(jax.random.key(1), (8, 17), 0, 300)
    weights = jnp.ones((8, 16)).at[3, 5].set(weight)
    return tokens, jnp.arange(8) % 2, weights


@pytest.mark.parametrize("weight", [np.nan, np.inf, 3e38])
def test_an_update_that_is_no_number_is_not_made(stepping, weight):
    """Parameters, moments and the optimizer's own count stay; the next update is the one of before."""
    state, step, _ = stepping
    after, told = step(state, *rows(weight))
    assert bool(told["skipped"]) and int(after.step) == 1
    toy_run.assert_bitwise_equal(
        jax.tree.map(np.asarray, (after.params, after.opt_state)),
        jax.tree.map(np.asarray, (state.params, state.opt_state)),
    )


def test_an_update_of_numbers_is_the_one_without_the_option(stepping):
    state, step, plain = stepping
    (one, told), (other, _) = step(state, *rows()), plain(state, *rows())
    assert not bool(told["skipped"])
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_so_many_in_a_row_end_the_run_and_name_their_rows():
    skipped, bad = Skipped(2), {"skipped": True, "loss": np.nan, "grad_norm": np.inf}
    assert "its update is left out, rows 16 to 23" in skipped.note(3, range(16, 24), bad)
    assert skipped.note(4, range(24, 32), {"skipped": False, "loss": 1.0}) == ""
    assert skipped.note(5, range(32, 40), bad)
    with pytest.raises(Diverged, match=r"rows 40 to 47, the 2\. in a row, and skip_non_finite = 2"):
        skipped.note(6, range(40, 48), bad)


def test_a_run_goes_on_past_a_skipped_update(toy_folder, tmp_path, monkeypatch):
    """An event with its rows, no number of it in the metrics, and the run ends well."""
    real, seen = metrics.fetch, []

    def broken(device_metrics):
        seen.append(1)
        found = real(device_metrics)
        assert not found["skipped"]
        nan = {"skipped": True, "loss": np.float32("nan"), "grad_norm": np.float32("nan")}
        return found | nan if len(seen) == 7 else found

    monkeypatch.setattr(metrics, "fetch", broken)
    toy_run.run(toy_folder, tmp_path, SHORT | {"skip_non_finite": 3}, save_every_steps=6)
    (event,) = toy_run.events(tmp_path, "skipped")
    assert (event["step"], event["rows"]) == (7, [48, 56])
    assert list(toy_run.losses(tmp_path)) == [*range(1, 7), *range(8, 13)]
    with pytest.raises(InputError, match="skip_non_finite = -1"):
        toy_run.run(toy_folder, tmp_path, SHORT | {"skip_non_finite": -1})
