"""Pages of HTML: whatever a user's names and texts hold, it is text on every page, and nothing is fetched."""

import html.parser
import re

import jinja2
import pytest

from polylm_jax.ablation import forms
from polylm_jax.ablation.forms import Cell, Section
from polylm_jax.corpus import publishing, report
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime import html_pages

HOSTILE = (
    "<b>",
    "</td></table><script>alert(1)</script>",
    "\"' onload=x",
    "&lt;&amp;",
    "{{ 1 }}{% x %}",
    "עברית",
)


def of_runs(word: str) -> str:
    """A report of runs that says a word in every place that it has for one."""
    cells = [Cell(word), Cell(word, word, "good"), Cell("th", language=LANGUAGES["th"]), word]
    rows = [(word, *cells, Cell("", lines=[word, word]))]
    sections = [
        Section(word, [word], [word] * 6, rows, pictures=True),
        Section("", [word], kind="note"),
        Section(word, (), [word] * 6, rows, "cards"),
    ]
    return forms.as_html(word, sections, {word: ("<svg></svg>", word)})


def of_cleaning(word: str) -> str:
    """A report of cleaning, likewise."""
    count = {"documents": 4, "bytes": 9}
    row = {"stage": word, "of": 4, "dropped": 1, "share": 0.25, "reasons": {word: 1}}
    about = {"identified": count, "kept": count, "balanced": True, "stages": [row] * len(report.STAGES),
             "rules_and_quality": 0.1, "near_duplicates": 0.0}  # fmt: skip
    document = {"source": word, "id": word, "text": word}
    found = {
        "languages": {"th": about, word: about},
        "sources": {word: count | {"kept": 0, "dropped": {word: 2}}},
        "broken_files": [{"source": word, "file": word, "what": word, "times": 1}],
        "notes": {word: {word: {word: 3}}},
        "paper": report.PAPER,
        "minhash": {"ngrams": 5, "bands": 2, "rows": 8, "half_at": 0.7, "curve": {"0.5": 0.1}},
        "quality": {word: {"classifier": {"left_out": word}, "gold": 3}},
        "speed": {"bytes": 9, "stages": {word: {"wall": 1.0, "cpu": 2.0}}, "mb_per_second_per_core": 1.0},
        "samples": [{"stage": word, "language": word, "reason": word, "documents": [document]}],
    }  # fmt: skip
    return publishing.page(found)


PAGES = {"report.html": of_runs, "corpus.html": of_cleaning}


class Read(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("word", HOSTILE)
def test_a_word_of_a_user_is_text_wherever_it_stands(name, word):
    plain, hostile = (Read(PAGES[name](one)) for one in ("qwerty", word))
    assert hostile.tags == plain.tags
    said = [re.sub(r"\s+", " ", page.text) for page in (plain, hostile)]
    assert said[1] == said[0].replace("qwerty", word) and said[0].count("qwerty") > 15


def test_every_page_is_tried_and_fetches_nothing():
    environment = html_pages._environment()
    assert {*environment.list_templates()} - {"base.html", "tables.html"} == {*PAGES}
    for name, made in PAGES.items():
        page = Read(made("word"))
        assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}, name
        assert not [a for _, attrs in page.tags for a, _ in attrs if a in ("src", "href")], name
        assert "@import" not in page.text and "url(" not in page.text
        assert (
            "meta",
            [("name", "viewport"), ("content", "width=device-width, initial-scale=1")],
        ) in page.tags


def test_a_value_that_is_missing_is_no_empty_place():
    with pytest.raises(jinja2.UndefinedError, match="sections"):
        html_pages.page("report.html", title="A")
