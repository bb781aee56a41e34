"""The report: languages as columns, the paper's rows beside ours, nothing left unsaid."""

import dataclasses

import PIL.Image
import pytest
from tables import unpadded

from polylm_jax.evaluation import overview, plots, published, report, tables
from polylm_jax.evaluation.other_results import Other
from polylm_jax.evaluation.protocol import GENERATE, MEAN, RANK, REPAIRED, SUM, Protocol
from polylm_jax.evaluation.report import Subject
from polylm_jax.evaluation.result import TEXT, Result
from polylm_jax.evaluation.tables import Line

SUBJECT = Subject("mine", "runs/mine", 7, "3fa4c1d2e5b6" * 5, 937_472, "float32", "ab" * 32)


def rank(language, total, mean, fidelity="as published", too_long=0, items=100):
    told = Protocol(
        "xcopa", language, "validation", RANK, "accuracy_sum", fidelity, normalisation=SUM,
        choices=2, items=500,
    )  # fmt: skip
    suffix = ".repaired" if fidelity == REPAIRED else ""
    metrics = {"accuracy_sum": total, "accuracy_mean": mean, "items": items - too_long}
    return Result(f"xcopa.{language}{suffix}", told, metrics, items, too_long, 200, 200, 1.0)


def text(language, bits):
    told = Protocol(f"plain_{language}", language, "validation", TEXT, "bits_per_byte", stop=())
    metrics = {"bits_per_byte": bits, "bits_per_character": 3 * bits, "bytes": 10, "tokens": 4}
    return Result(f"plain_{language}", told, metrics, 5, 0, 5, 5, 1.0)


def rouge(language, value):
    told = Protocol("mtg_title", language, "test", GENERATE, "rouge", few_shot=1)
    return Result(f"mtg_title.{language}.one_shot", told, {"rouge": value}, 200, 0, 200, 200, 1.0)


RESULTS = [
    rank("zh", 51, 49.5),
    rank("th", 54, 50, too_long=2),
    rank("th", 56, 50, REPAIRED),
    rouge("en", 12.25),
    text("pl", 1.5),
    text("th", 0.5),
]


def row(markdown, label):
    """The cells of the first line that begins with the label."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_papers_rows_stand_beside_ours():
    markdown = report.markdown(SUBJECT, RESULTS)
    head = ["", "split", "items", "th", "zh", "average"]
    assert [c.strip() for c in markdown.splitlines()[8].strip("|").split("|")] == head
    ours = row(markdown, "mine: accuracy by sum, as published, zero-shot")
    assert ours[1:] == ["validation", "100 (2 too long)", "**54.0**", "**51.0**", "**52.5**"]
    assert row(markdown, "mine: accuracy by mean")[3:] == ["50.0", "49.5", "49.8"]
    assert row(markdown, "mine: accuracy by sum, repaired")[3:] == ["56.0", "–", "–"]
    for model, th, zh in (("PolyLM-13B", 58.6, 67.0), ("BLOOM-7.1B", 55.4, 65.2)):
        assert row(markdown, f"{model} (paper)")[3:] == [f"{th}", f"{zh}", f"{(th + zh) / 2:.1f}"]
    assert row(markdown, "guessing")[3:] == ["50.0", "50.0", "50.0"]
    assert "- `xcopa.th`: 100 items of the 500 published, 2 too long; validation split" in markdown


def test_plain_text_is_in_bits_per_byte():
    markdown = report.markdown(SUBJECT, RESULTS)
    assert row(markdown, "mine: bits per byte")[3:] == ["**1.500**", "**0.500**", "**1.000**"]
    assert row(markdown, "mine: bits per character")[3:] == ["4.500", "1.500", "3.000"]
    assert markdown.endswith("not measured here: Dutch, Hebrew.\n")
    more = report.markdown(SUBJECT, [*RESULTS, text("en-th", 9.0), text("code", 9.0)])
    assert row(more, "mine: bits per byte")[-3:] == ["**9.000**", "**9.000**", "**1.000**"]
    whole = report.markdown(SUBJECT, [text(code, 1.0) for code in published.UNCOVERED])
    assert whole.endswith("bits per byte of held-out text stands in.\n")


def test_tuned_models_stand_beside_a_tuned_one():
    markdown = report.markdown(SUBJECT, RESULTS, published.TUNED)
    assert row(markdown, "PolyLM-MultiAlpaca-13B (paper)")[3:5] == ["60.2", "75.6"]
    assert "BLOOM-7.1B" not in markdown


@pytest.mark.parametrize(
    ("items", "too_long", "few"),
    [
        (500, 497, True),
        (500, 449, True),
        (110, 55, False),
        (110, 56, True),
        (83, 0, False),
        (49, 0, True),
    ],
)
def test_a_number_of_few_items_is_marked_and_in_no_average(items, too_long, few):
    ta = rank("ta", 100, 100, items=items, too_long=too_long)
    markdown = report.markdown(SUBJECT, [*RESULTS[:2], ta])
    (table,) = tables.tables([*RESULTS[:2], ta])
    ours = row(markdown, "mine: accuracy by sum, as published")
    assert ours[3:6] == ["**54.0**", "**51.0**", "**100.0†**" if few else "**100.0**"]
    counted = ["th", "zh"] if few else ["th", "zh", "ta"]
    assert table.averaged == counted
    for cells, numbers in (
        (ours, {"th": 54, "zh": 51, "ta": 100}),
        (row(markdown, "PolyLM-13B (paper)"), {"th": 58.6, "zh": 67.0, "ta": 55.0}),
    ):
        mean = sum(numbers[code] for code in counted) / len(counted)
        assert cells[-1].strip("*") == f"{mean:.1f}"
    assert report.as_json(SUBJECT, [ta])["tasks"]["xcopa.ta"]["few_items"] is few
    assert (f"{items - too_long} scored †" in markdown) == few


def test_a_row_of_few_items_is_in_no_average():
    scored, long = (
        rank("th", 54, 50),
        dataclasses.replace(rank("zh", 0, 0), metrics={}, too_long=100),
    )
    protocol = {"benchmark": "xcopa", "few_shot": 0, "fidelity": "as published"}
    task = lambda code, few: {
        "protocol": protocol | {"language": code}, "metrics": {"accuracy_sum": 99.0},
        "few_items": few,
    }  # fmt: skip
    other = Other("other", 3, {"a": task("th", True), "b": task("zh", False)})
    (table,) = tables.tables([scored, long], (), [other])
    assert table.averaged == []  # of th the other has few, of zh we have none
    markdown = report.markdown(SUBJECT, [scored, long], (), [other])
    assert row(markdown, "other, step 3")[3:] == ["99.0†", "99.0", "–"]
    assert row(markdown, "mine: accuracy by sum")[3:] == ["**54.0**", "–", "–"]


def test_the_overview_has_translation_in_both_directions():
    def chrf(pair, value, items):
        told = Protocol("flores", pair, "devtest", GENERATE, "chrf", few_shot=1)
        return Result(f"flores.{pair}", told, {"chrf": value}, items, 0, items, items, 1.0)

    pairs = [chrf("en-th", 20.0, 100), chrf("en-he", 30.0, 2), chrf("th-en", 40.0, 100)]
    made = tables.tables([*pairs, rank("th", 54, 50)])
    _, grid = overview.section(SUBJECT, made)
    assert row(grid, "benchmark")[3:] == ["th", "he", "average"]
    assert row(grid, "flores, from en")[2:] == ["chrF", "20.0", "30.0†", "20.0"]
    assert row(grid, "flores, to en")[2:] == ["chrF", "40.0", "", "40.0"]


def test_held_out_text_has_no_items():
    assert not text("pl", 1.0).few


def test_json_has_all_of_it():
    found = report.as_json(SUBJECT, RESULTS)
    assert found["checkpoint"]["identity"] == SUBJECT.identity
    task = found["tasks"]["xcopa.th.repaired"]
    assert task["metrics"]["accuracy_sum"] == 56
    assert task["protocol"]["fidelity"] == REPAIRED
    assert "repaired" in task["protocol"]["describe"]


def test_a_benchmark_that_fitted_nothing_is_still_reported():
    told = rank("th", 0, 0).protocol
    nothing = Result("xcopa.th", told, {}, 100, 100, 0, 0, 0.0)
    markdown = report.markdown(SUBJECT, [nothing])
    assert row(markdown, "mine: nothing fitted")[2:] == ["100 (100 too long)", "–", "–"]


@pytest.mark.parametrize(
    ("benchmark", "model", "language", "score"),
    [
        ("xnli", "PolyLM-13B", "en", 54.6),
        ("pawsx", "LLaMA-13B", "ja", 45.0),
        ("xwinograd", "BLOOM-7.1B", "fr", 71.1),
        ("tydiqa", "PolyLM-13B", "te", 3.7),
        ("mtg_story_end", "LLaMA-13B", "de", 0.7),
        ("wmt20", "BLOOMZ-MT-7.1B", "zh-en", 12.89),
    ],
)
def test_numbers_of_the_paper(benchmark, model, language, score):
    assert published.scores(benchmark)[model][language] == score


@pytest.mark.parametrize(
    ("benchmark", "languages", "average"),
    [
        ("xnli", 10, 46.1), ("pawsx", 7, 55.9), ("xwinograd", 6, 73.4), ("xcopa", 6, 65.1),
        ("tydiqa", 5, 49.0), ("mtg_title", 5, 14.4), ("mtg_summary", 5, 15.4),
        ("mtg_question", 5, 14.9), ("mtg_story_end", 5, 8.8),
    ],
)  # fmt: skip
def test_the_papers_own_averages_come_out(benchmark, languages, average):
    """Over the languages that PolyLM was trained on, which come first."""
    codes = published.languages(benchmark)[:languages]
    found = tables.average(published.scores(benchmark)["PolyLM-13B"], codes)
    assert found == pytest.approx(average, abs=0.051)


def test_a_plot_shows_the_languages_by_their_codes(tmp_path):
    for number, table in enumerate(tables.tables(RESULTS)):
        path = tmp_path / f"{number}.png"
        plots.draw(SUBJECT, table, path)
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    pairs = tables.tables([text(f"en-{chr(97 + n)}x", 1.0) for n in range(26)])[0]
    for table in (
        pairs,
        pairs._replace(languages=["th"], ours=[Line("a long label" * 9, "", "", {})]),
    ):
        plots.draw(SUBJECT, table, tmp_path / "wide.png")
        width, height = PIL.Image.open(tmp_path / "wide.png").size
        assert height < width < 2000
    first = tables.tables(RESULTS)[0]
    labels = [line.label for line in plots.shown(first)]
    assert labels == [
        "accuracy by sum, as published, zero-shot", "accuracy by sum, repaired, zero-shot",
    ]  # fmt: skip


def test_a_bar_in_a_label_is_no_border_of_a_cell():
    told = Protocol("xwinograd", "fr", "test", RANK, "accuracy_sum", scoring="log p(a | b)")
    markdown = report.markdown(SUBJECT, [Result("x", told, {"accuracy_sum": 1.0}, 1, 0, 2, 2, 1.0)])
    assert (
        "| mine: accuracy by sum, as published, log p(a \\| b), zero-shot | test | 1 |"
        in unpadded(markdown)
    )
    assert "- `x`: 1 item, 0 too long" in markdown


def test_the_mean_leads_where_it_is_the_benchmarks_own():
    told = Protocol("xnli", "en", "test", RANK, "accuracy_mean", normalisation=MEAN, choices=3)
    metrics = {"accuracy_sum": 40.0, "accuracy_mean": 45.0, "items": 5010}
    (table,) = tables.tables([Result("xnli.en", told, metrics, 5010, 0, 15030, 0, 1.0)])
    assert table.headline.label.startswith("accuracy by mean per token")
    assert table.guessing == pytest.approx(100 / 3)


def test_a_task_that_says_nothing_is_grey():
    silent = dataclasses.replace(rank("zh", 51, 49.5), silent=True)
    ours = row(report.markdown(SUBJECT, [silent, rank("th", 54, 50)]), "mine: accuracy by sum")
    assert ours[3] == "**54.0**" and "color: #aaaaaa" in ours[4] and "51.0" in ours[4]
    made = tables.tables([silent, rank("th", 54, 50), *RESULTS[3:4]])
    _, grid = overview.section(SUBJECT, made)
    assert grid.count("#aaaaaa") == 1 and "| xcopa | mine | accuracy by sum |" in unpadded(grid)
