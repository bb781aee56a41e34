"""The parts of a mix: what is drawn, what a component is, what counts as evidence, what the check says."""

import numpy as np
import pytest

from polylm_jax.ablation.mixing import components, draws, outcome, pool, seed_effects
from polylm_jax.ablation.mixing.components import Component
from polylm_jax.ablation.mixing.designs import ANCHOR, Design, Mixture
from polylm_jax.ablation.mixing.question import MixQuestion
from polylm_jax.errors import InputError


def component(name, tasks, languages, tokens=1000):
    parts = {task: [1 / len(tasks)] for task in tasks}
    hashes = {task: f"hash of {task}" for task in tasks}
    return Component(name, parts, languages, hashes, dict(hashes), tokens)


PARTS = [
    component("en", ["a.en"], ["en"]),
    component("ar.news", ["a.news.ar"], ["ar"]),
    component("ar", ["a.ar"], ["ar"]),
    component("parallel", ["a.en_ar", "a.ar_en"], ["en-ar", "ar-en"]),
]


def test_drawn_shares_sum_to_one_within_their_ceilings():
    most = np.array([0.02, 0.3, 1.0, 1.0])
    own = np.array([[0.1, 0.2, 0.0, 0.7]])
    drawn = draws.drawn(draws.centre(own, [10, 40, 90, 160]), most, 50, np.random.default_rng(0))
    shares = np.concatenate(drawn)
    assert shares.shape == (50, 4) and np.allclose(shares.sum(axis=1), 1)
    assert (shares <= most + 1e-9).all() and (shares >= draws.LEAST - 1e-9).all()
    assert shares.std(axis=0)[2] > 0.02  # also where the recipe has nothing
    more = draws.drawn(draws.centre(own, [10, 40, 90, 160]), most, 60, np.random.default_rng(0))
    assert np.array_equal(np.concatenate(more[:50]), shares)


def test_shares_that_keep_their_ceilings_stay_as_they_are():
    shares = np.array([[0.25, 0.25, 0.5]])
    assert np.allclose(draws.capped(shares, np.array([0.5, 0.5, 0.6])), shares)
    assert np.allclose(draws.capped(shares, np.array([0.1, 1.0, 1.0])), [[0.1, 0.3, 0.6]])


def test_anchors_that_are_one_mixture_are_one():
    tokens = {"en": 100, "th": 100}
    found = draws.anchors(np.array([[0.5, 0.5]]), tokens, 100, 4.0, 0.3)
    assert list(found) == [draws.RECIPE]
    found = draws.anchors(np.array([[0.9, 0.1]]), {"en": 100, "th": 20}, 100, 1.0, 0.3)
    assert list(found) == [draws.RECIPE, draws.EQUAL, draws.UNIMAX, draws.TEMPERATURE]


def test_a_target_beyond_the_text_is_refused():
    with pytest.raises(InputError, match="raise MOST_EPOCHS to 5 or more"):
        draws.check_target({"en": 100, "th": 100}, 1000, 4.0)


def test_tasks_of_a_component_share_equally():
    (shares,) = components.shares_of_tasks(PARTS, np.array([[0.5, 0.2, 0.1, 0.2]]))
    assert shares == {"a.en": 0.5, "a.news.ar": 0.2, "a.ar": 0.1, "a.en_ar": 0.1, "a.ar_en": 0.1}
    (shares,) = components.shares_of_tasks(PARTS, np.array([[1.0, 0, 0, 0]]))
    assert shares == {"a.en": 1.0}


@pytest.mark.parametrize(
    ("key", "numbers"),
    [("english", [0]), ("ar", [1, 2]), ("ar.news", [1]), ("parallel", [3]), ("en", [0])],
)
def test_constraints_name_components_languages_or_groups(key, numbers):
    assert components.named(key, PARTS, "FLOORS") == numbers
    with pytest.raises(InputError, match="FLOORS names 'code'"):
        components.named("code", PARTS, "FLOORS")


def test_scores_are_turned_and_one_that_no_run_has_is_named():
    numbers = [
        {"bits_per_byte/ar": 1.0, "bits_per_byte/average": 1.0, "evaluation/x/accuracy": 60.0}
    ]
    assert pool.measures_of(numbers, []) == ["bits_per_byte/ar"]
    assert pool.value(numbers[0], "evaluation/x/accuracy") == -60.0
    assert np.isnan(pool.value(numbers[0], "bits_per_byte/th"))
    with pytest.raises(InputError, match="'evaluation/y', a measure that no run has.*evaluation/x"):
        pool.measures_of(numbers, ["evaluation/y"])


def test_common_effects_of_a_seed_are_taken_out():
    run = lambda seed, value: {"seed": seed, "numbers": {"bits_per_byte/ar": value}}
    anchors = {"a": [run(0, 1.3), run(1, 0.9)], "b": [run(0, 2.2), run(1, 1.8)]}
    effects = seed_effects.of(anchors, (0, 1))
    left = {
        name: [seed_effects.without(one, effects)["numbers"]["bits_per_byte/ar"] for one in runs]
        for name, runs in anchors.items()
    }
    assert left["a"] == pytest.approx([1.1, 1.1]) and left["b"] == pytest.approx([2.0, 2.0])
    other = seed_effects.without(run(0, 5.0), effects)
    assert other["numbers"]["bits_per_byte/ar"] == pytest.approx(4.8)
    assert other["as_measured"]["bits_per_byte/ar"] == 5.0
    assert seed_effects.of({"a": anchors["a"]}, (0, 1)) == {}  # its own noise, for all one knows
    assert seed_effects.of({"a": anchors["a"], "b": anchors["b"][:1]}, (0, 1)) == {}


def test_a_mixture_outside_the_constraints_is_no_rival():
    """Equal shares read the small component 5 times; with 6 epochs allowed they are the best."""

    def mixture(name, small):
        return Mixture(name, ANCHOR, np.array([[1 - small, small]]), (0,))

    parts = (component("en", ["a.en"], ["en"]), component("ar", ["a.ar"], ["ar"], tokens=100))
    mixtures = (mixture("recipe", 0.1), mixture("equal", 0.5), mixture("unimax", 0.4))
    design = Design(parts, {"one": 100}, mixtures, 1000, {})
    values = {"recipe": 3.0, "equal": 1.0, "unimax": 2.0, "mine": 2.5}
    told = lambda epochs: outcome.among_allowed(
        design, MixQuestion(most_epochs=epochs), mixture("mine", 0.3), values
    )
    assert told(4.0) == {"allowed_regret": 0.5, "best_allowed": "unimax"}
    assert told(3.0) == {"allowed_regret": 0.0, "best_allowed": "mine"}
    assert told(6.0) == {"allowed_regret": 1.5, "best_allowed": "equal"}
    assert outcome.among_allowed(design, MixQuestion(), mixture("other", 0.3), values) == {}


@pytest.mark.parametrize("parts", [None, np.array([0.8, 0.2])])
def test_a_phases_floor_is_of_its_own_tokens(parts):
    """English is half of the second phase, whatever part of the run that is."""
    components_ = (component("en", ["a.en"], ["en"]), component("ar", ["a.ar"], ["ar"]))
    own = Mixture("recipe", ANCHOR, np.array([[0.9, 0.1], [0.5, 0.5]]), (0,), parts)
    design = Design(components_, {"one": 80, "two": 20}, (own,), 1000, {})
    for floor, left in ((0.4, 0.1), (0.6, -0.1)):
        asked = MixQuestion(most_epochs=2.0, floors={"two/english": floor})
        where = asked.space(design)
        slack_N = where.slack(own.point, own.point)[
            where.names.index(f"floor of two/english, {floor:.2%}")
        ]
        assert slack_N == pytest.approx(left * (1.0 if parts is None else parts[1]))


def test_the_seeds_spread_is_pooled_and_unknown_of_one_seed():
    runs = lambda *values: [{"numbers": {"bits_per_byte/ar": value}} for value in values]
    found = outcome.spread(
        {"anchors": {"a": runs(1.0, 3.0), "b": runs(5.0, 5.0)}}, ["bits_per_byte/ar"]
    )
    assert found == pytest.approx([1.0])
    assert np.isnan(outcome.spread({"anchors": {"a": runs(1.0)}}, ["bits_per_byte/ar"])).all()


@pytest.mark.parametrize(
    ("rank", "inside", "held"),
    [(0.95, 8, (True, True)), (0.85, 8, (False, True)), (0.95, 5, (True, False))],
)
def test_what_is_asked_of_the_law_is_held_or_not(rank, inside, held):
    about = {"mixtures": 8, "rank": rank, "error": 0.01, "inside": inside}
    found = list(
        outcome.tests(
            {"measures": {"bits_per_byte/ar": about}, "spread": {"bits_per_byte/ar": 0.006}}
        )
    )
    assert (found[0].held, found[2].held) == held
    assert found[1].held and found[1].value == pytest.approx(0.01 / 0.006)
    assert found[3].held is None
