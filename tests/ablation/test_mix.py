"""`run.py mix` as a user has it: stages, a proposal, a report, what is refused; training is a known law."""

import json
import re
import shutil

import gin
import pytest
import toy_mix
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.ablation import run as ablations
from polylm_jax.ablation.mixing import pool

REPORT = ("report.html", "report.md", "report.json", "proposed.gin", "laws.png")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mix") / "toy"
    toy_mix.make(folder)
    return folder


@pytest.fixture(scope="module")
def mixed(stores):
    """(the recipe's argument, MIX_DIR, the runs that were trained): a whole mix, in one start."""
    training = toy_mix.Training()
    return *toy_mix.mix(stores, training), training.trained


def test_a_mix_trains_every_mixture_once(mixed):
    _, out, trained = mixed
    assert len(trained) == len(set(trained)) == 4 * 2 + 8 + 4 + 2
    text = (out / "report.md").read_text()
    found = json.loads((out / "report.json").read_text())
    assert text.split("**")[1].startswith(
        "The law held" if found["law_held"] else "The law did not"
    )
    assert set(found["against"]) == {"recipe", "equal", "unimax", "temperature"}
    for name in REPORT:
        assert (out / name).stat().st_size
    page = (out / "report.html").read_text()
    assert not re.search(r"<script|<link|src=|url\((?!#)", page) and "ไทย" in page


def test_the_proposal_is_near_the_best_of_the_law(mixed):
    found = json.loads((mixed[1] / "report.json").read_text())
    task = {"en": "toy.en", "th": "toy.th", "parallel": "toy.en_th"}
    rows = {one["component"]: one for one in found["shares"]}
    proposed = {task[name]: one["shares"][found["proposal"]] for name, one in rows.items()}
    mean = lambda shares: sum(toy_mix.bits(shares)[x] for x in ("en", "th")) / 2
    assert max(one["epochs"] for one in rows.values()) <= 2.0 + 1e-3
    # Of th 2 epochs are 22 %.
    best = min(mean({"toy.en": 1 - th, "toy.th": th}) for th in [n / 1000 for n in range(220)])
    assert mean(proposed) <= best + 0.01 < mean(toy_mix.OWN)
    assert any(name.startswith("th: 2 epochs") for name in found["binding"])


def test_killed_anywhere_the_report_is_bitwise_the_same(mixed, stores, monkeypatch, capfd):
    recipe, out, trained = mixed
    kept = {name: (out / name).read_bytes() for name in REPORT}
    aside = out.with_name("aside")
    shutil.copytree(out, aside)
    try:
        for name in (*REPORT, "proxies/proxy_03", "held_out", "proposal"):
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for most in (1, 2):  # between train and fit; within the check
            monkeypatch.setattr(ablations, "train_all", toy_mix.Training(most))
            with pytest.raises(SystemExit) if most == 2 else _no_exit():
                run.main(["mix", recipe, *(["--stage=train"] if most == 1 else [])])
        monkeypatch.setattr(ablations, "train_all", again := toy_mix.Training())
        assert run.main(["mix", recipe]) == 0
        assert len(again.trained) == 4 + 2 - 2 and not set(again.trained) - set(trained)
        assert {name: (out / name).read_bytes() for name in REPORT} == kept
    finally:
        shutil.rmtree(out)
        aside.rename(out)


class _no_exit:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_inspect_says_where_proposed_shares_are_from(mixed, capfd):
    assert run.main(["inspect", f"--gin_file={mixed[1]}/proposed.gin"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert f"mix {mixed[1]}" in said and "laws of 16 runs" in said
    assert "96 steps" in said  # the recipe's own length, not a proxy's
    assert "2 seeds see these differences in bits per byte with 80 % probability" in said


def test_a_mix_of_its_own_proposal_proposes_no_change(mixed, stores, tmp_path, monkeypatch, capfd):
    found = json.loads((mixed[1] / "report.json").read_text())
    task = {"en": "toy.en", "th": "toy.th", "parallel": "toy.en_th"}
    own = {task[x["component"]]: x["shares"][found["proposal"]] for x in found["shares"]}
    own = {name: share for name, share in own.items() if share}
    if len(own) < 3:  # a component without a share is none
        own = {"toy.en": own["toy.en"] - 0.001, "toy.en_th": 0.001, "toy.th": own["toy.th"]}
    recipe = toy_mix.recipe(
        tmp_path / "again.gin", stores, tmp_path / "out", f"training.PhaseConfig.mixture = {own}",
        f"EVIDENCE = ['{mixed[1]}']", "PROXIES = 1",
    )  # fmt: skip
    monkeypatch.setattr(ablations, "train_all", toy_mix.Training())
    assert run.main(["mix", recipe, "--stage=propose"]) == 0
    said = capfd.readouterr().out
    assert "The recipe's shares are already the proposal" in said
    assert "EVIDENCE: 22 runs are used." in said  # what is held out there isn't here
    assert not (tmp_path / "out/proposed.gin").exists()


def test_constraints_hold_over_both_phases(stores, tmp_path, monkeypatch, capfd):
    asked = [
        "OBJECTIVE = 'worst'",
        "NO_WORSE = {'en': 0.02}",
        "NEAR = 0.2",
        "FLOORS = {'parallel': 0.35}",
    ]
    recipe = toy_mix.recipe(
        tmp_path / "two.gin", stores, tmp_path / "out", *toy_mix.TWO_PHASES, *asked
    )
    monkeypatch.setattr(ablations, "train_all", toy_mix.Training())
    assert run.main(["mix", recipe, "--stage=propose"]) == 0
    found = json.loads((tmp_path / "out/report.json").read_text())
    assert list(found["phases"]) == ["whole", "second"]
    rows = {one["component"]: one for one in found["shares"]}
    for phase in zip(*(one["by_phase"] for one in rows.values())):
        assert sum(phase) == pytest.approx(1)
    proposed = {name: one["shares"][found["proposal"]] for name, one in rows.items()}
    assert proposed["parallel"] >= 0.35 - 1e-4 and found["distance"] <= 0.2 + 1e-4
    english = found["measures"]["bits_per_byte/en"]
    assert english["proposal"]["mean"] <= english["own"] + 0.02 + 1e-4
    assert (tmp_path / "out/proposed.gin").read_text().count("'toy.en':") == 2
    assert "Not checked yet" in capfd.readouterr().out
    gin.clear_config()
    assert run.main(["inspect", f"--gin_file={tmp_path}/out/proposed.gin"]) == 0
    assert "192 steps" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["FLOORS = {'en': 0.8}", "CEILINGS = {'english': 0.5}"],
            "contradict one another; the nearest",
        ),
        (["FLOORS = {'th': 0.3}"], "'floor of th, 30.00%' contradict|contradict one another"),
        (["FLOORS = {'frr': 0.1}"], "FLOORS names 'frr', and the mixture has no such component"),
        (["NO_WORSE = {'ar': 0.1}"], "NO_WORSE names 'ar', a measure that no run has"),
        (["OBJECTIVE = 'men'"], "OBJECTIVE = 'men' is not one of .*'mean'"),
        (["OBJECTIVE = 'weighted'"], "needs MIX_WEIGHTS"),
        (["TARGET_TOKENS = 500"], "TARGET_TOKENS = 500 is less than a proxy's 512 tokens"),
        (["TARGET_TOKENS = 120_000"], "is more than 2 epochs of all text"),
        (["PROXIES = 2"], "are 6 mixtures, and a law with intervals needs 9: give PROXIES = 5"),
        (["COMPONENTS = {'x': ['toy.ent']}"], "names 'toy.ent', which has no share.*'toy.en'"),
        (["MIX_SEEDS = (0, 0)"], "a seed twice"),
        (["MIX_SEEDS = (0, 1, 2)"], "holds another design, seeds"),
        (["PROXY = ['N_STEPS = 5']"], "holds another design, "),
        (["EVIDENCE = ['nowhere']"], "EVIDENCE = 'nowhere' has no finished run"),
        (["PROXY = ['NSTEPS = 5']"], "NSTEPS"),
        (["EVIDENCE = [%MIX_DIR]"], "EVIDENCE names MIX_DIR = .* itself"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    mixed, stores, tmp_path, capfd, lines, sentence
):
    before = (mixed[1] / "design.json").read_bytes()
    recipe = toy_mix.recipe(tmp_path / "bad.gin", stores, mixed[1], *lines)
    assert run.main(["mix", recipe]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert re.search(sentence, said), said
    assert (mixed[1] / "design.json").read_bytes() == before


def test_no_law_sees_a_held_out_mixture(mixed, stores, tmp_path, capfd):
    line = f"EVIDENCE = ['{mixed[1]}']"
    recipe = toy_mix.recipe(tmp_path / "mine.gin", stores, tmp_path / "out", line)
    assert run.main(["mix", recipe, "--stage=design"]) == 0
    assert (
        "EVIDENCE: 18 runs are used; left out: 4 of mixtures that are held out here."
        in capfd.readouterr().out
    )
    point = lambda size: pool.Point("a", None, {}, {"th": size, "en": 7})
    found = pool.Earlier([point(5), point(6)]).validated_as([point(5)])
    assert (len(found.points), dict(found.left_out)) == (1, {pool.OTHER_ROWS: 1})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ("vocabulary", "16 of another vocabulary"),
        ("held_out", "16 of other held-out text"),
        ("model", "16 of another model"),
    ],
)
def test_evidence_that_does_not_fit_is_counted_and_said(
    mixed, stores, tmp_path, capfd, changed, sentence
):
    for path in [
        *(mixed[1] / "proxies").rglob("evidence.json"),
        *(mixed[1] / "anchors").rglob("evidence.json"),
    ]:
        record = json.loads(path.read_text())
        if changed == "held_out":
            for store in record["stores"].values():
                store["held_out"] = "0" * 64
        elif changed == "model":
            record["settings"]["model"]["num_layers"] = 9
        else:
            record["settings"]["vocabulary"] = "0" * 64
        there = tmp_path / "earlier" / path.relative_to(mixed[1])
        there.parent.mkdir(parents=True)
        there.write_text(json.dumps(record))
    line = f"EVIDENCE = ['{tmp_path}/earlier']"
    recipe = toy_mix.recipe(tmp_path / "mine.gin", stores, tmp_path / "out", line)
    assert run.main(["mix", recipe, "--stage=design"]) == 2
    assert f"has no run that fits this recipe's proxies: {sentence}" in capfd.readouterr().err
