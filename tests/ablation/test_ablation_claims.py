"""Verdicts and their intervals: calibrated, and told as they were settled before."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from polylm_jax.ablation import claims
from polylm_jax.ablation.claims import Claim, Interval

CLAIM = Claim("it helps", "a", "b", smallest_effect=0.01)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=6))
def test_the_interval_is_students(differences):
    found = claims.paired(differences)
    test = stats.ttest_1samp(differences, 0.0)
    if np.std(differences) > 1e-6:
        low, high = test.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.beyond_noise == (test.pvalue < 0.05)


def test_one_pair_has_no_interval_and_no_verdict():
    one = claims.paired([-0.5])
    assert one == Interval(-0.5, None, None, 1) and not one.beyond_noise
    assert claims.verdict(CLAIM, one) == claims.verdict(CLAIM, None) == claims.OPEN


@pytest.mark.parametrize(
    ("mean", "low", "high", "verdict"),
    [
        (-0.02, -0.03, -0.01, "seen"),
        (-0.02, -0.05, 0.01, "not seen"),
        (-0.009, -0.01, -0.008, "not seen"),  # real, and too small to matter
        (0.02, 0.01, 0.03, "reversed"),
        (0.009, 0.008, 0.01, "not seen"),
        (0.0, -0.1, 0.1, "not seen"),
    ],
)
def test_verdicts(mean, low, high, verdict):
    assert claims.verdict(CLAIM, Interval(mean, low, high, 3)) == verdict
    turned = dataclasses.replace(CLAIM, larger_is_better=True)
    assert claims.verdict(turned, Interval(-mean, -high, -low, 3)) == verdict


def test_the_bootstrap_draws_units_and_seeds():
    chance = np.random.default_rng(1)
    units = chance.normal(0.3, 0.2, 16)
    same = np.tile(units, (5, 1))  # seeds that agree: what is left is the units' spread
    found = claims.bootstrapped(same)
    reach = 1.96 * units.std() / 4
    assert found.mean == pytest.approx(units.mean())
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.1)
    seeds = np.tile(chance.normal(0.3, 0.2, 5)[:, None], (1, 16))  # and the seeds' alone
    found = claims.bootstrapped(seeds)
    reach = 1.96 * seeds[:, 0].std() / np.sqrt(5)
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.15)
    assert claims.bootstrapped(same[:, :1]).low is None


def test_units_are_what_follows_their_path():
    numbers = {"evaluation/t/unit_e1": 1.0, "evaluation/t/unit_e2": 0.0, "evaluation/t/all": 0.5}
    assert claims.units_of(numbers, "evaluation/t/unit_") == {"e1": 1.0, "e2": 0.0}
