"""languages: names are found, shares are the paper's, sampling rules hold as properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylm_jax.errors import InputError
from polylm_jax.languages import registry as languages
from polylm_jax.languages import scripts
from polylm_jax.languages.registry import (
    CODE,
    LANGUAGES,
    PAPER_CODES,
    PARALLEL,
    STAGE1,
    STAGE2,
    Language,
    average,
    by_hand,
    corpus_name,
    find,
    non_english_share,
    temperature,
    unimax,
)

COUNTS = st.dictionaries(
    st.sampled_from(PAPER_CODES), st.floats(0.01, 1e6), min_size=1, max_size=len(PAPER_CODES)
)


@pytest.fixture
def registry(monkeypatch):
    """A registry that forgets what the test adds."""
    monkeypatch.setattr(languages, "LANGUAGES", dict(LANGUAGES))
    monkeypatch.setattr(languages, "_BY_NAME", dict(languages._BY_NAME))
    return languages


def test_table_2():
    assert " ".join(LANGUAGES) == "en zh ru es de fr it pt ja vi id pl nl ar tr th he ko"
    assert math.fsum(x.paper_tokens_b for x in LANGUAGES.values()) == pytest.approx(629.04)
    assert {x.code for x in LANGUAGES.values() if x.rtl} == {"ar", "he"}
    assert {x.code for x in LANGUAGES.values() if not x.spaces} == {"zh", "ja", "th"}


@pytest.mark.parametrize("shares", [STAGE1, STAGE2])
def test_shares_are_whole(shares):
    assert set(shares) == {*PAPER_CODES, CODE, PARALLEL}
    assert all(share > 0 for share in shares.values())
    assert abs(math.fsum(shares.values()) - 1) < 1e-12


def test_non_english_shares_are_the_papers():
    assert f"{100 * non_english_share(STAGE1):.1f}" == "32.2"
    assert f"{100 * non_english_share(STAGE2):.1f}" == "60.5"


def test_stage_1_follows_tables_1_and_2():
    total = 629.04 + 7.5 + 1.0
    assert STAGE1["en"] == pytest.approx(424.96 / total)
    assert STAGE1["ko"] == pytest.approx(0.84 / total)
    assert STAGE1[CODE] == pytest.approx(7.5 / total)
    assert STAGE1[PARALLEL] == pytest.approx(1.0 / total)


def test_stage_2_raises_all_but_english_and_chinese():
    assert (STAGE2["en"], STAGE2[CODE], STAGE2[PARALLEL]) == (0.3175, 0.0776, 0.0476)
    others = [STAGE2[code] for code in PAPER_CODES if code != "en"]
    assert math.fsum(others) == pytest.approx(0.5573)
    for code in PAPER_CODES:
        assert (STAGE2[code] < STAGE1[code]) == (code in ("en", "zh")), code


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("he", "he"),
        ("iw", "he"),
        ("HE-il", "he"),
        ("jp", "ja"),
        ("zh-Hans", "zh"),
        ("zh_Hant_TW", "zh"),
        ("zh-tw", "zh"),
        ("pt-BR", "pt"),
        ("de-de", "de"),
        ("en-TH", "en"),
        ("kor", "ko"),
        ("Indonesian", "id"),
    ],
)
def test_find(written, code):
    assert find(written) is LANGUAGES[code]


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("kr", "Did you mean 'kor'"),
        ("thx", "Did you mean 'th'"),
        ("germna", "Did you mean 'german'"),
        ("", "isn't known"),
        ("en-th", "is a pair"),
        ("und", "isn't known"),
    ],
)
def test_unknown_is_refused_with_the_nearest(written, part):
    with pytest.raises(InputError, match=part):
        find(written)


@pytest.mark.parametrize(
    ("code", "corpus", "names"),
    [
        ("he", "mc4", ("iw",)),
        ("iw", "wikipedia", ("he",)),
        ("zh", "mc4", ("zh",)),
        ("zh", "cc100", ("zh-Hans", "zh-Hant")),
        ("ja", "xwinograd", ("jp",)),
        ("id", "tydiqa", ("indonesian",)),
        ("th", "opus", ("th",)),
    ],
)
def test_corpus_name(code, corpus, names):
    assert corpus_name(code, corpus) == names
    for name in names:
        assert find(name) is find(code)


def test_unknown_corpus_is_refused():
    with pytest.raises(InputError, match="Did you mean 'cc100'"):
        corpus_name("en", "cc-100")


def test_one_line_adds_a_language(registry):
    registry.register(Language("fa", "Persian", "فارسی", "Arab", aliases=("fas",)))
    assert find("fas").rtl and find("fa-IR").name == "Persian"
    assert corpus_name("fa", "mc4") == ("fa",)
    assert "fa" not in STAGE1


def test_a_name_means_one_language(registry):
    with pytest.raises(InputError, match="'iw' already means 'he'"):
        registry.register(Language("yi", "Yiddish", "ייִדיש", "Hebr", aliases=("iw",)))
    registry.register(LANGUAGES["he"])  # the same again changes nothing
    assert "yi" not in registry.LANGUAGES


@given(COUNTS, st.floats(0, 1))
def test_temperature_flattens_and_keeps_the_order(counts, alpha):
    shares = temperature(counts, alpha)
    assert list(shares) == list(counts)
    assert math.fsum(shares.values()) == pytest.approx(1)
    low, high = min(counts, key=counts.get), max(counts, key=counts.get)
    assert shares[low] <= shares[high] * (1 + 1e-9)
    assert shares[high] / shares[low] <= counts[high] / counts[low] * (1 + 1e-9)


def test_temperature_at_its_ends():
    counts = {"en": 75.0, "th": 25.0, "ko": 0.0}
    assert temperature(counts, 1) == {"en": 0.75, "th": 0.25, "ko": 0.0}
    assert temperature(counts, 0) == {"en": 0.5, "th": 0.5, "ko": 0.0}


def test_an_average_is_what_a_run_of_both_reads():
    found = average([{"en": 0.7, "th": 0.3}, by_hand({"en": 0.2, "ko": 0.8})], [30, 10])
    assert found == pytest.approx({"en": 0.575, "th": 0.225, "ko": 0.2})
    assert "75.0% of (by hand); 25.0% of" in found.how
    for shares, weights in (([{"en": 1.0}], [1, 2]), ([{"en": 1.0}], [0]), ([], [])):
        with pytest.raises(InputError, match="average of"):
            average(shares, weights)


def test_shares_say_how_they_were_chosen():
    counts = {"en": 4e9, "th": 1e8}
    assert temperature(counts, 0.3).how == "temperature, alpha 0.3, of en 4e+09, th 1e+08"
    assert unimax(counts, 1e8, 2).how.startswith("UniMax, budget 1e+08, at most 2 epochs, of en")
    assert by_hand({"en": 0.7, "th": 0.3}).how == "by hand"
    many = temperature({f"l{n}": n + 1.0 for n in range(15)}, 1).how
    assert many.endswith("and 3 more") and "l14 15, l13 14" in many


@given(COUNTS, st.floats(0.01, 1), st.floats(0.5, 8))
def test_unimax_caps_epochs_and_is_flat_above_the_cap(counts, filled, max_epochs):
    budget = filled * max_epochs * math.fsum(counts.values())
    shares = unimax(counts, budget, max_epochs)
    assert math.fsum(shares.values()) == pytest.approx(1)
    epochs = {name: budget * share / counts[name] for name, share in shares.items()}
    assert all(e <= max_epochs * (1 + 1e-9) for e in epochs.values())
    uncapped = [shares[name] for name, e in epochs.items() if e < max_epochs * (1 - 1e-6)]
    if uncapped:
        assert max(shares.values()) <= min(uncapped) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: by_hand({"en": 0.7, "th": 0.2}), "sum to 0.9"),
        (lambda: by_hand({"en": 1.2, "th": -0.2}), "share of 'en' is 1.2"),
        (lambda: temperature({"en": -1.0}, 0.3), "count of 'en' is -1"),
        (lambda: temperature({"en": math.nan}, 0.3), "count of 'en' is nan"),
        (lambda: temperature({"en": 0.0}, 0.3), "nothing above 0"),
        (lambda: temperature({}, 0.3), "nothing above 0"),
        (lambda: temperature({"en": 1.0}, -0.3), "alpha is -0.3"),
        (lambda: unimax({"en": 10.0}, 50, 4), "more than 4 epochs"),
        (lambda: unimax({"en": 10.0}, 0, 4), "budget is 0"),
    ],
)
def test_bad_counts_are_refused(make, part):
    with pytest.raises(InputError, match=part):
        make()


def test_every_script_is_known_to_unicode():
    """Python's `regex` knows Unicode's scripts; what isn't there has no letters of its own."""
    import regex

    without = """
    Afak Blis Chis Cirt Egyd Egyh Hntl Inds Jurc Kpel Leke Loma Maya Moon Nkgb Pelm Phlv Piqd Psin
    Ranj Roro Sara Seal Shui Teng Visp Wole Zmth Zsye Zsym Zxxx
    """
    for code in scripts.SCRIPTS - {*without.split()}:
        for name in scripts.unicode_names(code):
            regex.compile(rf"\p{{Script={name}}}")


@pytest.mark.parametrize(
    ("script", "rtl", "spaces"),
    [("Latn", False, True), ("Thaa", True, True), ("Syrc", True, True), ("Nkoo", True, True),
     ("Adlm", True, True), ("Khmr", False, False), ("Laoo", False, False), ("Mymr", False, False),
     ("Tibt", False, False), ("Jpan", False, False), ("Kore", False, True), ("Ethi", False, True)],
)  # fmt: skip
def test_direction_and_spaces_come_from_the_script(script, rtl, spaces):
    language = Language("xx", "X", "X", script)
    assert (language.rtl, language.spaces) == (rtl, spaces)


def test_right_to_left_is_what_unicode_says_of_the_letters():
    """Of each script that has letters, the first letter's bidirectional class is R or AL, or isn't."""
    import unicodedata

    import regex

    everything = "".join(chr(n) for n in range(0x20000) if not 0xD800 <= n < 0xE000)
    compared = 0
    for code in scripts.SCRIPTS:
        try:
            letters = regex.findall(rf"[\p{{L}}&&\p{{Script={code}}}]", everything, regex.V1)
        except regex.error:
            continue
        classes = [unicodedata.bidirectional(letter) for letter in letters]
        classes = [found for found in classes if found]  # Python's Unicode may be older
        if classes:
            compared += 1
            assert (classes[0] in ("R", "AL")) == (code in scripts.RIGHT_TO_LEFT), code
    assert compared > 130


@pytest.mark.parametrize("script", ["Latin", "arab", "Swah", "", "Khmer"])
def test_a_script_that_iso_15924_does_not_have_is_refused(script):
    with pytest.raises(InputError, match=f"language 'xx': script '{script}' is no code"):
        languages.register(Language("xx", "X", "X", script))
    assert "xx" not in languages.LANGUAGES
