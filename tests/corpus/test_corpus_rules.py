"""The rules against planted faults in 18 languages and against clean text; repairs, personal data."""

import random

import planted_documents
import planted_faults
import pytest

from polylm_jax.corpus import dates, limits, personal_data, repairs, repetition, rules, shingles
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES, PAPER_CODES

CASES = 3  # per rule and language here; benchmarks/corpus_faults.py plants 60
PAGES = 25


@pytest.fixture
def texts(data_dir):
    """Anew for each test: what one draws must not depend on which ones were run before it."""
    return planted_faults.texts(data_dir)


@pytest.mark.parametrize("rule", planted_faults.RULES)
def test_planted_faults_are_caught_by_the_very_rule(rule, texts):
    counts = [planted_faults.caught(rule, texts, code, CASES) for code in texts]
    found, planted = (sum(count[n] for count in counts) for n in (0, 1))
    # Chinese, Japanese, Thai have no words to measure.
    languages = 15 if rule == "word_length" else 18
    assert planted == languages * CASES
    assert found >= 0.95 * planted


@pytest.mark.parametrize("code", PAPER_CODES)
def test_clean_text_stays(code, data_dir):
    clean = planted_documents.clean_documents(data_dir, code, PAGES)
    gone, total, reasons = planted_documents.dropped_paragraphs(clean, code)
    assert total > 80 and gone <= 0.02 * total, reasons


@pytest.mark.parametrize("kind", planted_faults.REPAIRS)
def test_a_line_is_repaired_and_the_rest_stays(kind, texts):
    right = [
        planted_faults.repaired_right(kind, text) for text in texts.values() for _ in range(CASES)
    ]
    assert sum(right) >= 0.95 * len(right)


def test_an_address_inside_a_sentence_stays():
    text = (
        "Read https://a.example/b?c=1 first.\n\n\n \nThen  go.\n[https://a.example] | www.b.example"
    )
    assert repairs.repaired(text)[0] == "Read https://a.example/b?c=1 first.\n\nThen go."
    assert repairs.repaired(text)[1]["URL lines"] == 1
    film = "1\n00:00:04,200 --> 00:00:06,900\nWe left\nbefore dawn.\n\n2\n00:07.100 --> 00:10.400 line:0\nIn 2019"
    assert repairs.repaired(film)[0] == "We left\nbefore dawn.\n\nIn 2019"
    assert repairs.repaired("a --> b\n12:30 --> 13:00")[0] == "a --> b\n12:30 --> 13:00"


def test_joiners_and_marks_of_direction_are_text():
    for text in ("می\u200cخواهم", "👩\u200d👩\u200d👧", "שלום\u200f!"):
        assert repairs.repaired(text)[0] == text and repairs.invisible_share(text) == 0
    assert repairs.repaired("a\u200bb\ufeffc")[0] == "abc"


@pytest.mark.parametrize("kind", personal_data.ADDRESSES)
def test_personal_data_is_found_in_every_language(kind, texts):
    for code, text in texts.items():
        for _ in range(CASES):
            line, detail = planted_faults.personal(kind, text)
            assert personal_data.masked(line, code)[0] == line.replace(
                detail, personal_data.MARKERS[kind]
            ), code


def test_numbers_that_are_nobodys_stay():
    for text in ("1.234.567,89", "2024-01-05", "05.01.2024", "ISBN 978-3-16-148410-0", "v1.2.3",
                 "3.14159265358979", "12:30:59", "std::vector", "2001", "1 000 000 000", "a@b"):  # fmt: skip
        for code in PAPER_CODES:
            assert personal_data.masked(f"so {text} here", code)[0] == f"so {text} here"


def test_n_grams_are_of_words_or_of_as_many_characters():
    hashes, lengths = shingles.units("The cat, the CAT ran", spaces=True)
    assert lengths.tolist() == [3, 3, 3, 3, 3]
    grams = shingles.ngrams(hashes, 2)
    assert grams[0] == grams[2] and len(set(grams.tolist())) == 3
    hashes, lengths = shingles.units("用 docker 运行 42。", spaces=False)
    assert lengths.tolist() == [1, 6, 1, 1, 2]  # a quoted word is one unit
    thai, _ = shingles.units("ที่นี่", spaces=False)
    assert len(thai) == 6, "vowels and tones are kept"


def test_equal_windows_hash_equal_wherever_they_stand():
    rng = random.Random(0)
    words = [rng.choice("abcdefgh") * rng.randint(1, 5) for _ in range(400)]
    hashes, _ = shingles.units(" ".join(words), spaces=True)
    for n in (1, 3, 7):
        seen = {}
        for place, gram in enumerate(shingles.ngrams(hashes, n).tolist()):
            assert seen.setdefault(gram, tuple(words[place : place + n])) == tuple(
                words[place : place + n]
            )
        assert len(seen) == len({tuple(words[k : k + n]) for k in range(len(words) - n + 1)})


def test_repetition_measures_by_hand():
    assert repetition.repeated_parts(["aa", "b", "aa", "c"]) == (0.25, 2 / 6)
    hashes, lengths = shingles.units("x y z x y q", spaces=True)
    assert repetition.top_ngram(hashes, lengths, 2) == pytest.approx(4 / 6)
    assert repetition.duplicate_ngrams(hashes, lengths, 2) == pytest.approx(2 / 6)
    hashes, lengths = shingles.units("a b a b a b", spaces=True)
    assert repetition.duplicate_ngrams(hashes, lengths, 2) == pytest.approx(4 / 6), (
        "no overlap twice"
    )


@pytest.mark.parametrize(
    ("code", "text", "size"),
    [("ja", "2024年1月5日に", 9), ("ko", "2024년 1월 5일에", 9), ("vi", "ngày 5 tháng 1 năm 2024", 18),
     ("th", "5 มกราคม 2567", 11), ("ar", "٥ يناير ٢٠٢٤", 10), ("he", "5 בינואר 2024", 11),
     ("pl", "5 stycznia 2024", 13), ("tr", "5 Ocak 2024", 9), ("en", "May 5, 2024", 9),
     ("en", "they may go on 5 legs", 0), ("de", "12.03.2024", 10)],
)  # fmt: skip
def test_dates_as_languages_write_them(code, text, size):
    assert dates.characters_in_dates(text, code) == size


def test_a_users_limit_holds_and_a_misspelt_one_is_refused():
    text = "Nobody knows who built the old tower, and all of us have been there with our friends."
    english = LANGUAGES["en"]
    assert not list(rules.violations(text, english, limits.limits_of("Latn")))
    own = {"Latn": {"characters": (200, None)}}
    assert list(rules.violations(text, english, limits.limits_of("Latn", own))) == ["characters"]
    with pytest.raises(InputError, match="no rule 'charakters'. Did you mean 'characters'"):
        limits.limits_of("Latn", {"all": {"charakters": (1, 2)}})


def test_mojibake_is_told_from_accents():
    assert rules.mojibake("façade, naïve, „Spaß“, 10 €, Ångström, não, ¿qué?") <= 2
    assert rules.mojibake("Ã©tÃ© â€™ Ð¿Ñ€") >= 9
