"""Where the second phase begins as a part of the mixture: drawn, fitted, proposed, checked, refused."""

import json
import re

import pytest
import toy_ablation
import toy_mix
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.ablation import evidence

LATE = 3.0  # what a token of the second phase counts beside one of the first
TWO = (
    "PHASES = [@training.PhaseConfig(), @two/training.PhaseConfig()]",
    "two/training.PhaseConfig.mixture = {'toy.en': 0.3, 'toy.th': 0.2, 'toy.en_th': 0.5}",
    "two/training.PhaseConfig.name = 'second'",
    "two/training.PhaseConfig.rate = 'continue'",
    "training.PhaseConfig.rate = 'warmup_stable'",
    'PROXY = ["N_STEPS = 16"]',
    "PROXIES = 24",
    "PLACES = (0.25, 0.75)",
    "OBJECTIVE = 'weighted'",
    "MIX_WEIGHTS = {'th': 1}",
    "MOST_EPOCHS = 2",
)


class Training(toy_mix.Training):
    """Runs by a law in which what comes late counts more."""

    def __call__(self, place, made, order, *_, **__):
        for one in order:
            resolved = made[one].resolved
            phases = resolved.schedule.phases
            amounts = [
                {task: share * phase.rows * (LATE if number else 1) for task, share in phase.shares.items()}
                for number, phase in enumerate(phases)
            ]  # fmt: skip
            whole = sum(phase.rows for phase in phases)
            effective = {t: sum(a.get(t, 0.0) for a in amounts) / whole for t in toy_mix.SIZES}
            steps = resolved.total_steps
            folder = place.local / one.path
            values = toy_mix.bits(effective, one.seed)
            toy_ablation.write_logs(folder, values, steps=steps, total=steps)
            evidence.keep(place, made[one])
            self.trained.append((one.title, [phase.rows for phase in phases]))
        return {}, {}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places") / "toy"
    toy_mix.make(folder)
    return folder


@pytest.fixture(scope="module")
def mixed(stores):
    """(the recipe's argument, MIX_DIR, the runs): a whole mix over shares and place."""
    training = Training()
    return *toy_mix.mix(stores, training, *TWO), training.trained


def test_a_runs_change_lies_where_the_design_says(mixed):
    _, out, trained = mixed
    design = json.loads((out / "design.json").read_text())
    said = {one["name"]: one["parts"][0] for one in design["mixtures"]}
    assert len({sum(rows) for _, rows in trained}) == 1
    for title, (first, second) in trained:
        if (name := title.partition(",")[0]) in said:
            assert first / (first + second) == pytest.approx(said[name]), title
    drawn = [place for name, place in said.items() if name.startswith(("proxy", "held_out"))]
    assert 0.25 <= min(drawn) < 0.4 and 0.6 < max(drawn) <= 0.75


def test_more_proxies_keep_the_earlier_mixtures(mixed, stores, tmp_path):
    recipe = toy_mix.recipe(
        tmp_path / "m.gin", stores, tmp_path / "out", *TWO, "PROXIES = 30", "HELD_OUT_MIXTURES = 5"
    )
    assert run.main(["mix", recipe, "--stage=design"]) == 0
    before, now = (
        {m["name"]: m for m in json.loads((out / "design.json").read_text())["mixtures"]}
        for out in (mixed[1], tmp_path / "out")
    )
    assert len(now) == len(before) + 7 and {name: now[name] for name in before} == before


def test_the_law_proposes_late_what_counts_more_late(mixed):
    found = json.loads((mixed[1] / "report.json").read_text())
    rows = {one["component"]: one for one in found["shares"]}
    early, late = rows["th"]["by_phase"]
    assert late > 2 * early
    assert max(one["epochs"] for one in rows.values()) <= 2 + 1e-3
    assert found["against"].keys() - {"recipe", "equal", "unimax", "temperature"}
    first, second = found["parts"][found["proposal"]]
    assert 0.25 - 1e-4 <= first <= 0.75 + 1e-4 and first + second == pytest.approx(1)


def test_phases_are_measured_against_the_best_single_mix(mixed):
    _, out, trained = mixed
    found = json.loads((out / "report.json").read_text())
    (name,) = (n for n in found["against"] if n.startswith("one_phase"))
    one = found["check"]["against"][name]["objective"]
    assert one["high"] < 0, one  # the text of th is used up either way: late it counts three times
    assert [t for t, _ in trained if t.startswith("one_phase")]
    said = (out / "report.md").read_text()
    assert re.search(
        r"second phase begins at \d+\.\d% of the tokens in the proposal, at 50.0%", said
    )
    assert "Against the best mixture with the same shares in all phases the proposal" in said
    shares = [[row["shares"][name] for row in found["shares"]]]
    assert sum(shares[0]) == pytest.approx(1, abs=1e-3)


def test_proposed_gin_has_the_recipes_length_and_place(mixed, capfd):
    found = json.loads((mixed[1] / "report.json").read_text())
    assert run.main(["inspect", f"--gin_file={mixed[1]}/proposed.gin"]) == 0
    said = capfd.readouterr().out
    assert "192 steps" in said
    first = round(192 * found["parts"][found["proposal"]][0])
    assert re.search(rf"\b{first}\b", said), said


def test_a_second_mix_takes_earlier_runs_as_evidence(mixed, stores, tmp_path, capfd):
    more = f"EVIDENCE = ['{mixed[1]}']", "PLACES = (0.5, 0.6)", "PROXIES = 1"
    recipe = toy_mix.recipe(tmp_path / "m.gin", stores, tmp_path / "out", *TWO, *more)
    assert run.main(["mix", recipe, "--stage=design"]) == 0
    assert re.search(r"EVIDENCE: \d\d runs are used", capfd.readouterr().out)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((*TWO, "PLACES = (0.8, 0.2)"), r"PLACES = \(0.8, 0.2\): give from and up to which part"),
        (("PLACES = (0.2, 0.8)",), "and the recipe has 1 phase: give it two"),
        ((*TWO, "PLACES = (0.25, 0.8)"), "holds another design, places"),
        ((*TWO, "PLACES = 0.5"), "PLACES|places"),
    ],
)
def test_places_that_cannot_be_are_one_sentence(mixed, stores, tmp_path, capfd, lines, sentence):
    recipe = toy_mix.recipe(tmp_path / "bad.gin", stores, mixed[1], *lines)
    assert run.main(["mix", recipe]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert re.search(sentence, said), said
