"""Two corpora that were written without a look at the cleaner: most of each kind comes out right."""

import blind_corpus
import pytest

LEAST = 0.9  # of every group, of good text in every language, and of every kind with enough cases
ENOUGH = 10


@pytest.fixture(scope="module", params=blind_corpus.SETS)
def found(request, tmp_path_factory):
    return blind_corpus.verdicts(request.param, tmp_path_factory.mktemp(request.param))


def short(rates, least: int = 1):
    return [(k, n, of) for k, (n, of) in rates.items() if of >= least and n < LEAST * of]


def test_nine_of_ten_come_out_right_of_every_group(found):
    groups = blind_corpus.rates(found, lambda v: v.group)
    assert len(groups) == 10 and not short(groups, ENOUGH), [v for v in found if not v.right]


def test_nine_of_ten_good_texts_stay_in_every_language(found):
    good = [v for v in found if v.group == "keep"]
    by_language = blind_corpus.rates(good, lambda v: v.language)
    assert len(by_language) >= 16 and not short(by_language, ENOUGH), [
        v for v in good if not v.right
    ]


def test_nine_of_ten_come_out_right_of_every_kind(found):
    kinds = blind_corpus.rates(found, lambda v: (v.group, v.kind))
    assert not short(kinds, ENOUGH), [v for v in found if not v.right]


def test_a_judgement_sees_its_faults():
    """Nothing kept loses every good text; everything kept as it came is wrong in every other way."""
    cases = blind_corpus.rows("first", "documents")
    lost = blind_corpus.rates(blind_corpus.judged(cases, {}), lambda v: v.group)
    assert lost["keep"][0] == 0 and lost["drop"][0] == lost["drop"][1]
    as_it_came = {case["id"]: (case["language"], case["text"]) for case in cases}
    kept = blind_corpus.rates(blind_corpus.judged(cases, as_it_came), lambda v: v.group)
    assert [kept[group][0] for group in ("drop", "foreign", "mend")] == [0, 0, 0]
    banners = [v for v in blind_corpus.judged(cases, as_it_came) if v.kind.startswith("cookie_")]
    assert banners and not any(v.right for v in banners)
    unmasked = blind_corpus.of_personal("first", lambda text, code: text)
    assert not any(v.right for v in unmasked if v.group == "detail")
