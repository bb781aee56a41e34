"""An average of the parameters: what it is after any number of steps, in either dtype."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.errors import InputError
from polylm_jax.model import averaging
from polylm_jax.model.averaging import AVERAGE, FILLING, Average

VALUES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def kept(average, values=VALUES, seed=0):
    """The average after each step, float32 [steps, ...], from parameters that walk."""
    state = average.begun({"w": jnp.zeros(values[0].shape)})
    step = jax.jit(lambda state, value, n: average.updated(state, {"w": value}, n, seed))
    shown = []
    for number, value in enumerate(values):
        state = step(state, value, jnp.int32(number))
        shown.append(np.asarray(state[AVERAGE]["w"], np.float32))
    return np.stack(shown)


def test_an_exponential_average_begins_as_a_mean():
    shown = kept(Average("exponential", steps=8))
    np.testing.assert_allclose(shown[4], VALUES[:5].mean(axis=0), rtol=1e-5, atol=1e-6)
    mean = VALUES[:8].mean(axis=0)
    for value in VALUES[8:]:
        mean = (1 - 1 / 8) * mean + value / 8
    np.testing.assert_allclose(shown[-1], mean, rtol=1e-4, atol=1e-5)


def test_a_window_averages_the_last_whole_one():
    shown = kept(Average("window", steps=16))
    for steps in (1, 5, 16):
        expected = VALUES[:steps].mean(axis=0)
        np.testing.assert_allclose(shown[steps - 1], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(shown[30], VALUES[:16].mean(axis=0), rtol=1e-4, atol=1e-6)
    for steps in (32, 40):
        expected = VALUES[16:32].mean(axis=0)
        np.testing.assert_allclose(shown[steps - 1], expected, rtol=1e-4, atol=1e-6)


def test_a_bfloat16_average_follows_small_changes():
    """From 1 towards 1.004, each step a thousandth of the way: the nearest would stay at 1."""
    average = Average("exponential", steps=1000, dtype="bfloat16")
    target = jnp.full((512,), 1.004, jnp.float32)
    state = {AVERAGE: jnp.ones(512, jnp.bfloat16)}

    def step(state, number):
        return average.updated(state, target, number, 0), None

    state, _ = jax.lax.scan(step, state, jnp.arange(5000, 8000))
    assert state[AVERAGE].dtype == jnp.bfloat16
    expected = 1.004 - 0.004 * np.exp(-3)
    assert np.asarray(state[AVERAGE], np.float32).mean() == pytest.approx(expected, abs=4e-4)


def test_draws_follow_from_seed_and_step_alone():
    average = Average("window", steps=4, dtype="bfloat16")
    one = kept(average, VALUES[:9])
    np.testing.assert_array_equal(one, kept(average, VALUES[:9]))
    assert not np.array_equal(one, kept(average, VALUES[:9], seed=1))
    np.testing.assert_allclose(
        one, kept(dataclasses.replace(average, dtype="float32"), VALUES[:9]), atol=0.05
    )


def test_in_float32_runs_of_all_seeds_have_one_program():
    def text(average, seed):
        params = {"w": jnp.zeros(3)}
        step = jax.jit(lambda kept, n: average.updated(kept, params, n, seed))
        return step.lower(average.begun(params), jnp.int32(0)).as_text()

    assert text(Average(), 0) == text(Average(), 1)
    rounded = Average(dtype="bfloat16")
    assert text(rounded, 0) != text(rounded, 1)


def test_what_is_kept_is_as_large_as_it_says():
    for kind, dtype, size in (
        ("exponential", "float32", 4),
        ("window", "float32", 8),
        ("window", "bfloat16", 4),
    ):
        average = Average(kind, dtype=dtype)
        state = average.begun({"w": jnp.zeros((5, 2))})
        assert set(state) == ({AVERAGE} if kind == "exponential" else {AVERAGE, FILLING})
        assert sum(x.nbytes for x in jax.tree.leaves(state)) == 10 * size
        assert averaging.bytes_per_parameter(average) == size
    assert averaging.bytes_per_parameter(None) == 0


@pytest.mark.parametrize(
    ("average", "words"),
    [
        (Average("exponentiel"), "Did you mean 'exponential'"),
        (
            Average(dtype="float16"),
            "an average's dtype = 'float16' is not one of float32, bfloat16",
        ),
        (Average(steps=0), "an average's steps = 0: give a whole number, 1 or more"),
        (Average(steps=0.999), "an average's steps = 0.999"),
    ],
)
def test_averages_that_cannot_be_are_refused(average, words):
    with pytest.raises(InputError, match=words):
        average.check()


@pytest.mark.parametrize(
    ("weights", "average", "adapted", "words"),
    [
        ("avarage", Average(), False, "Did you mean 'average'"),
        ("average", None, False, "no average is kept: set AVERAGE"),
        ("plain", Average(), True, "adapters aren't averaged"),
    ],
)
def test_choices_that_cannot_be_are_refused(weights, average, adapted, words):
    with pytest.raises(InputError, match=words):
        averaging.check_choice(weights, average, adapted)


def test_under_t5x_an_average_is_refused():
    averaging.refuse_under_t5x(None)
    with pytest.raises(InputError, match="t5x's trainer keeps no average"):
        averaging.refuse_under_t5x(Average())
