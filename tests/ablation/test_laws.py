"""Laws of mixtures: what a known law made is found again, and intervals hold what they promise."""

import dataclasses

import known_laws
import numpy as np
import pytest

from polylm_jax.ablation.laws import conformal, fitted, folds, forms, own_share
from polylm_jax.ablation.laws.runs import Runs
from polylm_jax.errors import InputError

ONES = np.ones(200)


def coverage(
    law: str, repetitions: int, mixtures: int, seeds: int = 1, cross: float = 0.0
) -> float:
    """How many new runs lie in their 90 % intervals, over worlds drawn anew."""
    inside = []
    for seed in range(repetitions):
        law_of_one = fitted.fit(known_laws.runs(seed, mixtures, seeds, 1, cross), law)
        new = known_laws.runs(10_000 + seed, 20, measures=1, cross=cross)
        asked = law_of_one.predict(new.shares_RK)
        held = (asked.low_QM <= new.measured_RM) & (new.measured_RM <= asked.high_QM)
        inside.append(held.mean())
    return float(np.mean(inside))


def test_intervals_cover_what_they_promise():
    assert 0.86 <= coverage(forms.OWN_SHARE, 200, 29) <= 0.94


def test_folds_keep_the_seeds_of_a_mixture_together(monkeypatch):
    asked = (forms.EXPONENTIAL_LINEAR, 20, 9, 4, 0.1)  # as many numbers as mixtures: it knows them
    assert coverage(*asked) > 0.86
    right = folds.of_mixtures
    monkeypatch.setattr(
        folds, "of_mixtures", lambda names, n: right([*map(str, range(len(names)))], n)
    )
    assert coverage(*asked) < 0.75


def test_a_known_curve_is_found_again():
    runs = known_laws.runs(0, 200)
    curve = own_share.fit(runs.shares_RK, runs.measured_RM[:, 0], ONES, (0,))
    share_Q = np.linspace(0, 0.9, 50)
    shares_QK = np.column_stack([share_Q, *[(1 - share_Q) / 4] * 4])
    error_Q = curve.mean(shares_QK) - known_laws.losses(shares_QK)[:, 0]
    assert np.abs(error_Q).max() < 0.03  # of 1.3 between the ends
    assert curve.scale.size == pytest.approx(known_laws.NOISE, rel=0.25)


def test_a_run_gone_wrong_moves_a_curve_little():
    runs = known_laws.runs(0, 40)
    measured_R = runs.measured_RM[:, 0].copy()
    place = int(np.argsort(runs.shares_RK[:, 0])[20])
    fine = own_share.fit(runs.shares_RK, measured_R, ONES[:40], (0,)).mean(runs.shares_RK)
    measured_R[place] += 1.0
    hurt = own_share.fit(runs.shares_RK, measured_R, ONES[:40], (0,)).mean(runs.shares_RK)
    assert np.abs(hurt - fine).mean() < 0.01


def test_what_a_stage_counts_is_fitted():
    chance = np.random.default_rng(0)
    stages_RK = np.hstack([chance.dirichlet(np.ones(3), 60) for _ in range(2)])
    own_R = 0.25 * stages_RK[:, 0] + stages_RK[:, 3]
    measured_R = 1 + 0.4 * (own_R + 0.02) ** -0.3 + 0.005 * chance.normal(size=60)
    curve = own_share.fit(stages_RK, measured_R, ONES[:60], (0, 3))
    assert curve.counts[1] / curve.counts[0] == pytest.approx(4, rel=0.25)


def test_errors_are_larger_where_the_own_share_is_small():
    chance = np.random.default_rng(0)
    shares_RK = chance.dirichlet(np.ones(3), 80)
    size_R = 0.02 * (shares_RK[:, 0] + 0.01) ** -0.5
    measured_R = 1 + 0.4 * (shares_RK[:, 0] + 0.02) ** -0.3 + size_R * chance.normal(size=80)
    law = own_share.fit(shares_RK, measured_R, ONES[:80], (0,))
    few, many = law.predict(np.array([[0.01, 0.5, 0.49], [0.8, 0.1, 0.1]]))[1]
    assert 3 < few / many < 12  # 6.4 as they were drawn


def test_the_law_is_chosen_by_its_error_on_unseen_mixtures():
    crossed = fitted.fit(known_laws.runs(1, 40, measures=3, cross=0.1))
    for about in crossed.table().values():
        assert [*about["errors"]] == [*forms.LAWS]
        assert about["law"] == forms.OWN_SHARE_GP
        assert about["errors"]["own_share_gp"] < about["errors"]["own_share"]
        assert about["errors"]["own_share"] < about["errors"]["mean"]


def test_the_same_runs_in_any_order_give_the_same_bits():
    runs = known_laws.runs(3, 12, seeds=2, measures=2, cross=0.1)
    order = np.random.default_rng(0).permutation(len(runs.mixtures))
    shuffled = dataclasses.replace(
        runs, shares_RK=runs.shares_RK[order], measured_RM=runs.measured_RM[order],
        mixtures=tuple(runs.mixtures[place] for place in order),
    )  # fmt: skip
    one, other = (fitted.fit(each) for each in (runs, shuffled))
    assert one.table() == other.table()
    for mine, theirs in zip(
        *(vars(each.predict(runs.shares_RK)).values() for each in (one, other))
    ):
        assert mine.tobytes() == theirs.tobytes()


def test_seeds_of_a_mixture_share_its_weight():
    values_R = np.arange(20.0)
    assert conformal.upper(values_R, np.ones(20)) == 18  # the 19th of 20: ceil(0.9 * 21)
    doubled = np.repeat(values_R, 2)
    assert conformal.upper(doubled, np.full(40, 0.5)) == 18
    assert folds.weights(["a", "a", "b"]).tolist() == [0.5, 0.5, 1.0]


def test_a_measure_counts_only_runs_that_have_it():
    runs = known_laws.runs(0, 30, measures=2)
    holed_RM = runs.measured_RM.copy()
    holed_RM[::3, 1] = np.nan
    law = fitted.fit(dataclasses.replace(runs, measured_RM=holed_RM), forms.OWN_SHARE)
    rows = np.isfinite(holed_RM[:, 1])
    alone = Runs(
        runs.shares_RK[rows], runs.measured_RM[rows, 1:], tuple(np.array(runs.mixtures)[rows]),
        runs.components, ("b",), runs.own,
    )  # fmt: skip
    assert np.array_equal(
        law.means(runs.shares_RK)[:, 1],
        fitted.fit(alone, forms.OWN_SHARE).means(runs.shares_RK)[:, 0],
    )


def test_a_measure_without_components_of_its_own_has_a_law():
    runs = dataclasses.replace(known_laws.runs(0, 20, measures=1), own={})
    law = fitted.fit(runs)
    assert law.table()["a"]["errors"]["own_share"] == pytest.approx(
        law.table()["a"]["errors"]["mean"], rel=0.05
    )
    assert np.isfinite(vars(law.predict(runs.shares_RK))["high_QM"]).all()


def test_how_far_outside_a_mixture_lies_is_said():
    runs = known_laws.runs(0, 30)
    law = fitted.fit(runs, forms.MEAN)
    inside, corner = law.outside(np.stack([runs.shares_RK[4], np.eye(5)[2]]))
    assert (inside.nearest, inside.distance, inside.beyond) == ("m4", 0, {})
    assert corner.distance > 2 * corner.usual and set(corner.beyond) == set(runs.components)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: known_laws.runs(0, 8), "8 mixtures have it; a law with 90 % intervals needs 9"),
        (lambda r: known_laws.runs(0, 8, seeds=3), "8 mixtures have it"),
        (
            lambda r: dataclasses.replace(r, measured_RM=np.full(r.measured_RM.shape, np.nan)),
            "no run has it",
        ),
        (lambda r: dataclasses.replace(r, shares_RK=r.shares_RK * 2), "sum to 1"),
    ],
)
def test_what_no_law_can_be_fitted_to_is_said(change, told):
    with pytest.raises(InputError, match=told):
        fitted.fit(change(known_laws.runs(0, 12)), forms.OWN_SHARE)


def test_an_unknown_law_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'own_share'"):
        fitted.fit(known_laws.runs(0, 12), "ownshare")
