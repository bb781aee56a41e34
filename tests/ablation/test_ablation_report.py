"""The report: from logs alone, at any time, saying what is more than noise and what isn't known yet."""

import html.parser
import json
import re

import pytest
import toy_ablation
from tables import unpadded

from polylm_jax.ablation import comparison, figures, report, wording
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder

SCORES = {
    "base": {"probe": {"accuracy": 40.0, "unit_a": 30.0, "unit_b": 50.0, "items": 2}},
    "pairs": {"probe": {"accuracy": 70.0, "unit_a": 60.0, "unit_b": 80.0, "items": 2}},
}
CLAIM = {
    "name": "pairs help", "better": "pairs", "than": "base", "measure": "evaluation/probe/accuracy",
    "smallest_effect": 5.0, "larger_is_better": True, "units": "evaluation/probe/unit_",
    "only_where": "", "at_least": 0.0,
}  # fmt: skip


def write(folder, plan):
    folder.mkdir(exist_ok=True)
    (folder / "ablation.json").write_text(json.dumps(plan))
    report.write(Folder(str(folder), "ABLATION_DIR"))
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three seeds, all done: pairs are better in Arabic by 0.1, in English by seed's chance."""
    folder = tmp_path_factory.mktemp("whole")
    for seed, noise in enumerate((-0.02, 0.0, 0.03)):
        base = {"en": 2.0 + noise, "ar": 3.0 + noise}
        pairs = {"en": 2.0 + 2 * noise, "ar": 2.9 + noise * 1.1, "ar-en": 1.0}
        toy_ablation.write_logs(folder / f"base/seed_{seed}", base, scores=SCORES["base"])
        toy_ablation.write_logs(folder / f"pairs/seed_{seed}", pairs, scores=SCORES["pairs"])
    found = write(folder, toy_ablation.plan(["base", "pairs"], claims=[CLAIM], lines=["A = '<b>'"]))
    return folder, found


def test_differences_are_paired_and_more_than_noise_or_not(whole):
    _, found = whole
    differences = found["variants"]["pairs"]["differences"]
    arabic, english = (differences[f"bits_per_byte/{code}"] for code in ("ar", "en"))
    assert arabic["mean"] == pytest.approx(-0.1 + 0.1 * 0.01 / 3)
    assert arabic["beyond_noise"] and not english["beyond_noise"]
    assert differences["bits_per_byte/average"]["pairs"] == 3
    assert "bits_per_byte/ar-en" not in differences  # the base has no such text
    assert not found["variants"]["base"]["differences"]
    spread = found["variants"]["base"]["numbers"]["bits_per_byte/en"]
    assert (spread["low"], spread["high"]) == pytest.approx((1.98, 2.03))


def test_one_of_many_that_looks_real_alone_is_not_called_so():
    """Twenty languages of which one has p = 0.03: as many as chance gives; alone it would count."""

    def told(p_value):
        return {"p_value": p_value}

    codes = [f"bits_per_byte/l{n}" for n in range(20)]
    many = {code: told(0.03 if code == codes[0] else 0.5) for code in codes}
    many["bits_per_byte/average"] = told(0.03)
    real = {code: told(1e-4) for code in codes[:3]} | {codes[4]: told(None)}
    comparison.control_discoveries([many, real])
    assert not any(many[code]["beyond_noise"] for code in codes)
    assert many["bits_per_byte/average"]["beyond_noise"]  # the mean is no search among twenty
    assert all(real[code]["beyond_noise"] for code in codes[:3])
    assert real[codes[0]]["q_value"] == pytest.approx(1e-4 * 23 / 3)
    assert real[codes[4]] == {"p_value": None, "q_value": None, "beyond_noise": False}


def test_how_many_are_called_real_is_said(whole):
    text = (whole[0] / "report.md").read_text(encoding="utf-8")
    tested = [d for d in whole[1]["variants"]["pairs"]["differences"].values()]
    real = sum(one["beyond_noise"] for one in tested)
    assert f"{len(tested)} differences are tested, and {real} called beyond noise" in text


def test_tasks_without_signal_are_not_tested(tmp_path):
    """The same logs with and without it: a task that is called silent is beyond noise no more."""
    for name, score in (("base", 40.0), ("pairs", 70.0)):
        for seed in range(3):
            scores = {t: {"accuracy_sum": score + seed / 10, "items": 9} for t in ("a.en", "b.en")}
            toy_ablation.write_logs(
                tmp_path / f"{name}/seed_{seed}", {"en": 2.0 + seed / 100}, scores=scores
            )
    plan = toy_ablation.plan(["base", "pairs"])
    differences = write(tmp_path, plan)["variants"]["pairs"]["differences"]
    assert differences["evaluation/a.en/accuracy_sum"]["beyond_noise"]
    found = write(tmp_path, plan | {"silent": ["a.en"]})["variants"]["pairs"]["differences"]
    assert not found["evaluation/a.en/accuracy_sum"]["beyond_noise"]
    assert found["evaluation/b.en/accuracy_sum"]["beyond_noise"]
    for name in ("report.md", "report.html"):
        before, heading, after = (tmp_path / name).read_text("utf-8").partition(wording.SILENT)
        assert heading and "a.en accuracy_sum" in after and "a.en accuracy_sum" not in before
        assert "b.en accuracy_sum" in before


def test_a_claim_has_its_verdict_by_units(whole):
    (claim,) = whole[1]["claims"]
    assert claim["verdict"] == "seen" and claim["interval"]["mean"] == pytest.approx(30)
    assert claim["levels"] == {"pairs": 70.0, "base": 40.0}
    hidden = [m for m in whole[1]["variants"]["base"]["numbers"] if "unit_" in m]
    assert not hidden  # a row for each unit is no table to read


def test_cost_is_what_the_runs_own_clocks_say(whole):
    cost = whole[1]["variants"]["pairs"]["cost"]
    assert cost["seconds"] == pytest.approx(3 * 8 * 0.5)
    assert cost["tokens"] == 3 * 1024 and cost["model_flops"] == pytest.approx(3 * 1024 * 1000)


class Page(html.parser.HTMLParser):
    """Every tag, and what would be fetched."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]


def test_the_page_is_one_file_without_network(whole):
    text = (whole[0] / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.fetched and not {"script", "link", "img", "b>"} & set(page.tags)
    assert "@import" not in text and "url(http" not in text
    assert "width=device-width" in text and page.tags.count("svg") >= 6
    assert '<bdi lang="ar">العربية</bdi>' in text
    assert ">probe accuracy</figcaption>" in text  # a path would be wider than a phone
    assert "Of &lt;mixtures&gt;" in text and "A = &#39;&lt;b&gt;&#39;" in text


def test_markdown_and_pictures_say_the_same(whole):
    folder, _ = whole
    text = (folder / "report.md").read_text(encoding="utf-8")
    text = unpadded(text)
    assert "| **seen** | pairs help | pairs over base | +30.0 [" in text
    assert re.search(r"\| ar \| \*\*−0\.100 \[−0\.\d+, −0\.\d+\]\*\* better \|", text)
    for name in re.findall(r"!\[(\w+)\]\(\1\.png\)", text):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert {"differences", "languages", "validation", "loss", "tokens_pairs"} <= set(
        re.findall(r"\((\w+)\.png\)", text)
    )


def test_english_against_the_others_is_drawn_with_its_front(tmp_path):
    ends = {"stage1": (1.9, 2.2), "late": (1.95, 2.0), "far": (2.1, 1.9), "worse": (2.0, 2.1)}
    for name, (english, arabic) in ends.items():
        toy_ablation.write_logs(tmp_path / name / "seed_0", {"en": english, "ar": arabic})
    write(tmp_path, toy_ablation.plan([*ends], seeds=(0,)))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "English against the other languages" in text
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert figures.unbeaten(ends) == ["stage1", "late", "far"]
    assert figures.unbeaten({"a": (1.0, 1.0), "b": (1.0, 2.0), "c": (2.0, 1.0)}) == ["a"]


def test_two_variants_have_no_frontier(whole):
    assert not (whole[0] / "frontier.png").exists()


def test_a_report_half_way_judges_nothing(tmp_path):
    for name, steps in (("base", 4), ("pairs", 8)):
        toy_ablation.write_logs(tmp_path / f"{name}/seed_0", {"en": 2.0}, steps=steps)
    with open(tmp_path / "base/seed_0/metrics.jsonl", "a") as log:
        log.write('{"step": 5, "los')  # being written
    found = write(tmp_path, toy_ablation.plan(["base", "pairs"], claims=[CLAIM]))
    pairs = found["variants"]["pairs"]
    assert pairs["compared_at_tokens"] == 4 * 128
    assert pairs["differences"]["bits_per_byte/en"]["mean"] == 0.0
    assert found["claims"][0]["verdict"] == "open"
    assert "| | base, at 512 | pairs, at 1024 |" in unpadded((tmp_path / "report.md").read_text())
    assert "Half-way: 1 of 6 runs are done" in (tmp_path / "report.html").read_text()


def test_nobody_wins_alone(tmp_path):
    toy_ablation.write_logs(tmp_path / "pairs/seed_0", {"en": 2.0}, scores=SCORES["pairs"])
    write(tmp_path, toy_ablation.plan(["base", "pairs"]))
    text = (tmp_path / "report.md").read_text()
    won = text.partition("## Who won where")[2].partition("\n## ")[0]
    assert "pairs" not in won and "unit_" not in text


def test_a_mean_goes_over_what_every_variant_validates(tmp_path):
    toy_ablation.write_logs(tmp_path / "base/seed_0", {"en": 2.0, "ar": 4.0})
    toy_ablation.write_logs(tmp_path / "english/seed_0", {"en": 1.9}, unequal=500)
    found = write(tmp_path, toy_ablation.plan(["base", "english"], seeds=[0]))
    mean = found["variants"]["english"]["differences"]["bits_per_byte/average"]["mean"]
    assert mean == pytest.approx(-0.1)
    assert "ar isn't validated by every variant" in found["notes"][0]
    assert "english validates en on 1,500 bytes and base on 1,000" in found["notes"][1]


def test_runs_below_a_condition_are_left_out(tmp_path):
    for name, recall in (("base", 99.0), ("pairs", 60.0)):
        scores = {"probe": SCORES[name]["probe"] | {"recall": recall}}
        toy_ablation.write_logs(tmp_path / f"{name}/seed_0", {"en": 2.0}, scores=scores)
    claim = CLAIM | {"only_where": "evaluation/probe/recall", "at_least": 95.0}
    found = write(tmp_path, toy_ablation.plan(["base", "pairs"], seeds=[0], claims=[claim]))
    assert found["claims"][0]["verdict"] == "open" and found["claims"][0]["pairs_left_out"] == 1
    assert "probe recall below 95" in (tmp_path / "report.md").read_text()


def test_a_slope_is_fitted_where_sizes_differ(tmp_path):
    plan = toy_ablation.plan(["small", "middle", "large"], seeds=[0, 1])
    for power, name in enumerate(plan["variants"]):
        about = plan["variants"][name]
        plan["variants"][name] = about | {"parameters": 1000 * 2**power}
        for seed in (0, 1):
            bits = {"en": 3.0 - 0.2 * power - 0.01 * seed, "ar": 4.0 - (0.3 + 0.1 * seed) * power}
            toy_ablation.write_logs(tmp_path / f"{name}/seed_{seed}", bits)
    slopes = write(tmp_path, plan)["slopes"]
    assert slopes["bits_per_byte/en"]["mean"] == pytest.approx(-0.2)
    assert slopes["bits_per_byte/ar"]["mean"] == pytest.approx(-0.35)
    assert "for each doubling of the parameters" in (tmp_path / "report.html").read_text()


def test_a_report_over_nothing_is_refused(tmp_path):
    place = Folder(str(tmp_path), "ABLATION_DIR")
    with pytest.raises(InputError, match="holds no ablation"):
        report.write(place)
    with pytest.raises(InputError, match="no run with a log yet"):
        write(tmp_path, toy_ablation.plan(["base"]))
    assert not (tmp_path / "report.html").exists()
