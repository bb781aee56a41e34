"""Which difference seeds can see, and which of many differences are real: as counted by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from polylm_jax.ablation import power


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_a_difference_is_seen_as_often_as_was_said(seeds):
    effect = power.smallest_difference(0.02, seeds)
    chance = np.random.default_rng(seeds)
    found = effect + 0.02 * chance.normal(size=(20_000, seeds))
    seen = stats.ttest_1samp(found, 0.0, axis=1).pvalue < 0.05
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


def test_one_seed_sees_nothing():
    assert power.smallest_difference(0.02, 1) is None and power.p_value([0.5]) is None
    assert power.detectable({"en": {"a": {0: 1.0, 1: 1.1}}}, seeds=1) == {}
    assert power.noise({"a": {0: 1.0}, "b": {0: 1.1}}) is None


def drawn(chance, variants, seeds, shared, alone):
    """Values of variants over seeds, of which a part is the seed's and the same for all."""
    seed_S = shared * chance.normal(size=seeds)
    return {
        f"v{v}": {s: v + seed_S[s] + alone * chance.normal() for s in range(seeds)}
        for v in range(variants)
    }


@pytest.mark.parametrize("variants", [1, 2, 4])
def test_the_spread_of_a_paired_difference_is_found_again(variants):
    """Of two runs with one seed the seed's own part falls out; of one variant it can't."""
    chance = np.random.default_rng(0)
    found = [power.noise(drawn(chance, variants, 4, 0.3, 0.1)) for _ in range(400)]
    truth = 2 * (0.1**2 + (0.3**2 if variants == 1 else 0))
    assert np.mean([one.deviation**2 for one in found]) == pytest.approx(truth, rel=0.12)
    assert {one.degrees for one in found} == {max(variants - 1, 1) * 3}
    assert {one.paired for one in found} == {variants > 1}
    above = [one.at_most**2 >= truth for one in found]
    assert np.mean(above) == pytest.approx(0.9, abs=0.05)


def test_more_seeds_see_less():
    values = drawn(np.random.default_rng(0), 2, 4, 0.0, 0.1)
    few, many = (power.detectable({"th": values}, seeds)["th"] for seeds in (3, 9))
    assert many.difference < few.difference < few.at_most


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_q_values_are_benjamini_and_hochbergs(p_values):
    found = power.q_values(p_values)
    there = sorted(p for p in p_values if p is not None)
    for p, q in zip(p_values, found):
        if p is None:
            assert q is None
            continue
        rates = [one * len(there) / (rank + 1) for rank, one in enumerate(there) if one >= p]
        assert q == pytest.approx(min(1, *rates))


def test_few_null_differences_are_called_real():
    """And of those that are, most: one in twenty is the price, not one in twenty of all."""
    chance = np.random.default_rng(0)
    false, real = [], []
    for _ in range(30):
        shift = np.repeat([0.0, 3.0], [30, 10])
        differences = shift[:, None] + chance.normal(size=(40, 5))
        q = np.array(power.q_values([power.p_value(row) for row in differences]))
        called = q <= power.RATE
        false.append(called[:30].sum() / max(called.sum(), 1))
        real.append(called[30:].mean())
    assert np.mean(false) < 0.07 and np.mean(real) > 0.8
