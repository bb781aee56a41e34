"""Pages: a sentence without an id gets its page's group, and none comes into both splits."""

import pytest
from reading import TEXT, everything, jsonl, write

from polylm_jax.errors import InputError
from polylm_jax.text.held_out import is_held_out
from tasks.sources import pages
from tasks.sources import source as sources

HELD, TRAINED, OTHER = "page 9", "page 0", "page 1"  # at half held out


@pytest.fixture(name="known")
def pages_of_two_languages(tmp_path):
    english = {HELD: "- Show help:\nOnly here", TRAINED: "> Show HELP.", OTHER: "Often.\nRead on"}
    indonesian = {HELD: "Bantuan\nHanya di sini", TRAINED: "Tolong", OTHER: "Sering"}
    files = []
    for name, texts in (("en", english), ("id", indonesian)):
        rows = [{"id": page, "text": text} for page, text in texts.items()]
        files.append(write(tmp_path / f"{name}.jsonl", jsonl(rows)))
    return pages.Pages(tuple(sources.reader(path, TEXT) for path in files))


def test_the_pages_are_what_the_tests_below_take_them_for():
    assert [is_held_out(page, 0.5) for page in (HELD, TRAINED, OTHER)] == [True, False, False]


@pytest.mark.parametrize(
    ("sentences", "group"),
    [
        (["Often", "Sering"], OTHER),  # both on one page
        (["only  HERE.", "Hanya di sini!"], HELD),  # apart from case, spaces, punctuation
        (["Show help", "Tolong"], TRAINED),  # on a held-out page too, but trained on
        (["Show help", "Bantuan"], None),  # one side trained on, the other held out
        (["Read on", "nowhere"], OTHER),  # one side found
        (["nowhere", "..."], ""),
    ],
)
def test_group_of_a_pair(known, sentences, group):
    assert known.group(sentences, 0.5) == group


def test_pairs_take_the_group_of_their_page(tmp_path, known):
    rows = [
        {"en": "Often.", "id": "Sering."},
        {"en": "Show help", "id": "Bantuan"},
        {"en": "Nowhere", "id": "Entah"},
    ]
    path = write(tmp_path / "en-id.jsonl", jsonl(rows))
    source = sources.read(path, {"en": "en", "id": "id"}, held_out=0.5, pages=known)
    found = everything(source)
    assert [r["group"] for r in found][:1] == [OTHER]
    assert all(r["group"] in (OTHER, "nowhere") for r in found)
    assert source.withheld == 3 - len(found) >= 1


def test_too_many_pages_are_refused(monkeypatch, known):
    monkeypatch.setattr(pages, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="too many to look pairs up in"):
        known.group(["a", "b"], 0.5)
