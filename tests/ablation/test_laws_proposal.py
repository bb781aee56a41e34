"""Proposals: the optimum of a known law, under constraints, and what can be told of it."""

import known_laws
import numpy as np
import pytest
from known_laws import NAMES

from polylm_jax.ablation.laws import differences, fitted, forms
from polylm_jax.ablation.laws.constraints import Constraints, NoWorse, Sum
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.ablation.laws.proposal import propose
from polylm_jax.errors import InputError

EQUAL = np.full(5, 0.2)


@pytest.fixture(scope="module")
def law() -> fitted.Fitted:
    return fitted.fit(known_laws.runs(0, 60, seeds=2), forms.OWN_SHARE)


@pytest.fixture(scope="module")
def free(law):
    return propose(law, Objective(), Constraints(), EQUAL, {"equal": EQUAL})


def regret(shares_K: np.ndarray, of=np.mean) -> float:
    return of(known_laws.losses(shares_K[None])[0]) - of(
        known_laws.losses(known_laws.best()[None])[0]
    )


def test_the_best_shares_of_a_known_law_are_found_again(free):
    assert np.abs(free.shares_K - known_laws.best()).max() < 0.05
    assert regret(free.shares_K) < 0.001 < regret(EQUAL)
    assert free.binding == () and free.shares_K.sum() == pytest.approx(1)


def test_what_the_proposal_is_worth_is_told_with_intervals(free, law):
    truth = known_laws.losses(free.shares_K[None])[0]
    assert free.objective.low < truth.mean() < free.objective.high
    gain = free.against["equal"]
    assert gain.measures["a"].mean < 0 < gain.measures["e"].mean
    assert gain.measures["a"].beyond_noise
    again = propose(law, Objective(), Constraints(), EQUAL, {"itself": free.shares_K})
    assert not again.against["itself"].objective.beyond_noise
    assert again.shares_K.tobytes() == free.shares_K.tobytes()


def test_the_optimum_under_constraints_keeps_and_names_them(law):
    asked = Constraints(
        floors={"e": 0.2}, ceilings={"small": 0.4}, groups={"small": ["d", "e"]},
        sums=[Sum("a: 2 epochs", {"a": 4}, 1.0)],
    )  # fmt: skip
    found = propose(law, Objective(), asked, EQUAL)
    assert set(found.binding) == {"floor of e: 0.2", "a: 2 epochs"}
    a, b, c, d, e = found.shares_K
    assert (a, e) == (pytest.approx(0.25, abs=1e-4), pytest.approx(0.2, abs=1e-4)) and d + e <= 0.4
    # b, c and d share what is left as the law has it: by gain^(1 / (power + 1)).
    worth_K = known_laws.GAINS[1:4] ** (1 / (known_laws.POWER + 1))
    best_K = worth_K / worth_K.sum() * (0.55 + 3 * known_laws.EASE) - known_laws.EASE
    assert np.abs(np.array([b, c, d]) - best_K).max() < 0.05


def test_a_loss_that_must_not_rise_holds_and_binds(law):
    before = law.means(EQUAL[None])[0, 4]
    found = propose(law, Objective(), Constraints(losses=[NoWorse("e", before, 0.01)]), EQUAL)
    assert found.measures["e"].mean <= before + 0.01 + 1e-4
    assert found.binding == (NoWorse("e", before, 0.01).name,)


def test_nearness_to_the_prior_holds(law):
    found = propose(law, Objective(), Constraints(near=0.05), EQUAL)
    assert np.abs(found.shares_K - EQUAL).sum() / 2 == pytest.approx(0.05, abs=1e-4)
    assert found.binding == ("within 0.05 of the prior",)


def test_the_worst_measure_is_minimised(law):
    reference = dict(zip(NAMES, (known_laws.losses(EQUAL[None])[0] - 0.05).tolist()))
    reference["c"] -= 0.1
    found = propose(law, Objective("worst", reference=reference), Constraints(), EQUAL)
    above = [found.measures[name].mean - reference[name] for name in NAMES]
    assert np.ptp(above) < 1e-3  # where one more share helps one, another becomes the worst
    assert found.shares_K[2] > 0.3


def test_weights_move_the_optimum_to_what_they_weigh(law, free):
    weighted = propose(law, Objective("weighted", weights={"d": 3, "e": 1}), Constraints(), EQUAL)
    assert weighted.shares_K[3] > weighted.shares_K[4] > 0.2 > weighted.shares_K[0]


def test_two_stages_each_sum_to_one():
    chance = np.random.default_rng(0)
    shares_RK = np.hstack([chance.dirichlet(np.ones(3), 30) for _ in range(2)])
    own_RM = 0.25 * shares_RK[:, :3] + shares_RK[:, 3:]
    law = fitted.fit(
        known_laws.Runs(
            shares_RK, 1 + 0.4 * (own_RM + 0.02) ** -0.3, tuple(map(str, range(30))),
            ("1/a", "1/b", "1/c", "2/a", "2/b", "2/c"), ("a", "b", "c"),
            {"a": (0, 3), "b": (1, 4), "c": (2, 5)}, stages=2,
        ), forms.OWN_SHARE,
    )  # fmt: skip
    found = propose(law, Objective(), Constraints(floors={"2/a": 0.5}), np.full(6, 1 / 3))
    assert found.shares_K.reshape(2, 3).sum(axis=1) == pytest.approx(1)
    assert found.shares_K[3] == pytest.approx(0.5, abs=1e-4)
    assert found.shares_K[0] < 0.2  # what stage 2 gives it is enough


def test_intervals_hold_the_differences_of_mixtures():
    inside = []
    for seed in range(25):
        law = fitted.fit(known_laws.runs(seed, 22, measures=2), forms.OWN_SHARE)
        new = known_laws.runs(5_000 + seed, 40, measures=2)
        told = differences.difference(law, Objective(), new.shares_RK[:20], new.shares_RK[20:])
        values = new.measured_RM.mean(axis=1)
        inside += [
            one.low <= mine - other <= one.high
            for one, mine, other in zip(told, values[:20], values[20:])
        ]
    assert 0.85 < np.mean(inside) < 0.97


def test_near_mixtures_share_their_error():
    law = fitted.fit(known_laws.runs(1, 30, measures=1, cross=0.1), forms.OWN_SHARE_GP)
    here_K, near_K = (
        np.array([0.02, 0.9, 0.02, 0.02, 0.04]),
        np.array([0.02, 0.89, 0.02, 0.02, 0.05]),
    )
    curve = law.measures[0].whole
    apart_Q = curve.predict(np.stack([here_K, near_K]))[1]
    assert curve.between(here_K[None], near_K[None])[0] < 0.5 * np.hypot(*apart_Q)
    near, far = differences.difference(
        law, Objective(), np.stack([here_K, here_K]), np.stack([near_K, EQUAL])
    )
    assert near.high - near.low < 0.5 * (far.high - far.low)


def test_an_unreachable_loss_is_named_with_the_best(law):
    with pytest.raises(InputError, match="'b at most 0 worse than 1'.* the nearest found is 0.3"):
        propose(law, Objective(), Constraints(losses=[NoWorse("b", 1.0)]), EQUAL)


@pytest.mark.parametrize(
    ("objective", "constraints", "told"),
    [
        (Objective("best"), Constraints(), "objective = 'best' is not one of"),
        (Objective(measures=("f",)), Constraints(), "no run has the measure 'f'"),
        (Objective("weighted"), Constraints(), "weights of 0 or more, not all 0"),
        (Objective("worst", reference={"a": 1.0}), Constraints(), "no reference for b, c, d, e"),
        (Objective(), Constraints(floors={"f": 0.1}), "'f' is no component and no group"),
        (Objective(), Constraints(losses=[NoWorse("f", 1.0)]), "no run has the measure 'f'"),
        (Objective(), Constraints(groups={"g": ["f"]}), "no component 'f'"),
    ],
)
def test_unknown_names_are_refused_before_the_search(law, objective, constraints, told):
    with pytest.raises(InputError, match=told):
        propose(law, objective, constraints, EQUAL)
