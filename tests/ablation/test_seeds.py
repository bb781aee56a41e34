"""What `inspect` says of an ablation's seeds: by the spread of finished runs, or that there is none."""

import numpy as np
import pytest

from polylm_jax.ablation import seeds


def values(deviation, number, variants=4):
    """A language's values of variants with so many seeds each."""
    chance = np.random.default_rng(0)
    return {
        "bits_per_byte/th": {
            f"variant {v}": {seed: 2.0 + v + chance.normal(0, deviation) for seed in range(number)}
            for v in range(variants)
        }
    }


def test_more_seeds_see_smaller_differences():
    def seen(deviation, number):
        (_, line) = seeds.notes(values(deviation, 5), number)
        return float(line.split()[1])

    assert seen(0.01, 3) > seen(0.01, 5) > 0
    assert seen(0.02, 3) == pytest.approx(2 * seen(0.01, 3), rel=0.02)


@pytest.mark.parametrize(
    ("found", "number", "sentence"),
    [
        (values(0.01, 1), 3, "no finished run has a second seed. 3 seeds of one variant say it"),
        ({}, 3, "isn't known"),
        (values(0.01, 3), 1, "One seed sees no difference"),
    ],
)
def test_what_is_not_known_is_said(found, number, sentence):
    assert sentence in seeds.notes(found, number)[0]


def test_runs_of_other_settings_are_other_variants():
    record = {"mixture": [], "settings": {"batch_size": 8}, "numbers": {"bits_per_byte/th": 1.0}}
    other = {**record, "settings": {"batch_size": 16}}
    found = seeds.measured([{**record, "seed": 0}, {**record, "seed": 1}, {**other, "seed": 0}])
    assert sorted(map(len, found["bits_per_byte/th"].values())) == [1, 2]


def test_a_recipe_of_no_ablation_has_nothing_said():
    assert seeds.Seeds().notes() == []
