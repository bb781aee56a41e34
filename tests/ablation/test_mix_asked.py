"""What may be asked of a mix beyond languages' bits per byte of one run: scores, one phase, a law, a size."""

import json
import re

import pytest
import toy_mix
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.ablation import run as ablations

SCORE = "evaluation/toy.rank/accuracy_sum"
ASKED = (
    *toy_mix.TWO_PHASES,
    *toy_mix.SCORES,
    "FLOORS = {'second/english': 0.6, 'parallel': 0.1}",
    "CEILINGS = {'whole/th': 0.1}",
    "LAW = 'own_share_gp'",
    "CHECK_SIZES = {'wide': ['model.PolyLMConfig.embed_dim = 16']}",
)


def percent(shares):
    """A task that pairs help, and nothing else."""
    return 20 + 60 * shares["toy.en_th"] ** 0.5


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked") / "toy"
    toy_mix.make(folder)
    return folder


@pytest.fixture(scope="module")
def mixed(stores):
    """(MIX_DIR, report.json): a whole mix whose objective is a task's score, in one start."""
    _, out = toy_mix.mix(stores, toy_mix.Training(score=percent), *ASKED)
    return out, json.loads((out / "report.json").read_text())


def test_a_score_is_made_larger_and_shown_as_it_is_measured(mixed):
    out, found = mixed
    rows = {one["component"]: one["shares"] for one in found["shares"]}
    assert rows["parallel"][found["proposal"]] > rows["parallel"]["recipe"] + 0.03
    assert found["measures"][SCORE]["proposal"]["mean"] < found["measures"][SCORE]["own"] < -40
    told = (out / "report.md").read_text()
    value = -found["measures"][SCORE]["proposal"]["mean"]
    assert f"{value:.1f} (" in told and "scores of tasks" in told
    assert SCORE in found["check"]["measures"]


def test_floor_and_ceiling_hold_in_their_phase(mixed):
    _, found = mixed
    rows = {one["component"]: one for one in found["shares"]}
    english, thai, pairs = (rows[name] for name in ("en", "th", "parallel"))
    assert english["by_phase"][1] == pytest.approx(0.6, abs=1e-4)  # pairs are wanted, so it binds
    assert english["by_phase"][0] < 0.6 and thai["by_phase"][0] <= 0.1 + 1e-4
    assert pairs["shares"][found["proposal"]] >= 0.1
    assert "floor of second/english, 60.00%" in found["binding"]


def test_a_given_law_predicts_every_measure(mixed):
    out, found = mixed
    assert {one["law"] for one in found["measures"].values()} == {"own_share_gp"}
    assert found["asked"]["law"] == "own_share_gp"
    assert set(found["beside"]) == {"own_share", "own_share_gp"}
    assert found["beside"]["own_share_gp"]["distance"] == pytest.approx(0, abs=1e-6)
    told = (out / "report.md").read_text()
    assert "LAW = own share gp predicts every measure, as asked" in told
    assert "By own share alone the proposal changes the objective by" in told


def test_held_out_mixtures_are_trained_at_another_size(mixed):
    out, found = mixed
    runs = sorted(path.parent.parent.name for path in (out / "at_wide").glob("*/*/evidence.json"))
    other = [name for name in found["against"] if name.startswith("one_phase_")]
    unseen = [*(f"held_out_{n:02}" for n in range(4)), found["proposal"], *other]
    assert set(runs) == {*unseen, "recipe"}
    one = found["sizes"]["wide"]
    assert one["parameters"] > found["proxies"]["parameters"]
    assert one["mixtures"] == unseen
    ranks = one["measures"][SCORE]  # the toy's score is the same at every size
    assert ranks["runs"] == pytest.approx(1) and ranks["turned"] == 0
    assert ranks["pairs"] == len(unseen) * (len(unseen) - 1) / 2
    assert one["change"]["there"] < -1 and ranks["law"] == ranks["law_here"]
    assert "At another size: wide" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["FLOORS = {'third/english': 0.3}"], "no phase 'third'.* There are 'whole', 'second'"),
        (
            ["FLOORS = {'second/frr': 0.3}"],
            "FLOORS\\['second/frr'\\] names 'frr', and .* no such component",
        ),
        (
            ["FLOORS = {'second/en': 0.7}", "CEILINGS = {'second/english': 0.5}"],
            "'floor of second/en, 70.00%' and 'ceiling of second/english, 50.00%' contradict",
        ),
        (["LAW = 'ownshare'"], "LAW = 'ownshare' is not one of .*'own_share'"),
        (["MIX_WEIGHTS = {'evaluation/toy.rnk/acc': 1}"], "a measure that no run has.*'toy.rank'"),
        (["training.train.evaluation = None"], "the recipe evaluates no task"),
        (["CHECK_SIZES = {'a/b': []}"], "CHECK_SIZES names 'a/b'"),
        (["CHECK_SIZES = {'x': ['EMBED = 16']}"], "CHECK_SIZES\\['x'\\]: .*EMBED"),
        (["CHECK_SIZES = {'x': ['CACHE_DIR = \"nowhere\"']}"], "CHECK_SIZES\\['x'\\]"),
    ],
)
def test_bad_names_are_refused_before_training(mixed, stores, tmp_path, capfd, lines, sentence):
    before = (mixed[0] / "design.json").read_bytes()
    recipe = toy_mix.recipe(tmp_path / "bad.gin", stores, mixed[0], *ASKED, *lines)
    assert run.main(["mix", recipe]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert re.search(sentence, said), said
    assert (mixed[0] / "design.json").read_bytes() == before


def test_a_metric_that_no_run_has_ends_it_after_the_anchors(
    mixed, stores, tmp_path, monkeypatch, capfd
):
    line = "MIX_WEIGHTS = {'evaluation/toy.rank/acuracy': 1}"
    recipe = toy_mix.recipe(tmp_path / "bad.gin", stores, tmp_path / "out", *ASKED, line)
    monkeypatch.setattr(ablations, "train_all", training := toy_mix.Training(score=percent))
    assert run.main(["mix", recipe]) == 2
    assert len(training.trained) == 8
    assert "they have evaluation/toy.rank/accuracy_sum" in capfd.readouterr().err
