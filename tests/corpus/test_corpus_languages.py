"""A language beyond the paper's 18: registered in one line, cleaned on workers, its pairs kept."""

import numpy as np
import pytest
import toy_corpus

from polylm_jax.corpus import characters, duplicates, limits, pairs, repetition, rules, shingles
from polylm_jax.errors import InputError
from polylm_jax.languages import registry
from polylm_jax.languages.registry import LANGUAGES, Language

HINDI = [
    "पुराना पुल नदी के ऊपर बना है और हर सुबह गाँव के बच्चे उस पर से होकर विद्यालय जाते हैं।",
    "मेरी बहन ने आँगन में नीम का पेड़ लगाया था, जिसकी छाया में अब पूरा परिवार दोपहर को बैठता है।",
    "बाज़ार में आज बहुत भीड़ थी, इसलिए हमने सब्ज़ियाँ शाम को खरीदने का निश्चय किया और घर लौट आए।",
]
KHMER = [
    "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។ មនុស្ស មានវិចារណញ្ញាណ។",
    "ខ្ញុំរស់នៅក្នុងភូមិតូចមួយជិតទន្លេ ហើយរៀងរាល់ព្រឹក ខ្ញុំដើរទៅសាលារៀនជាមួយមិត្តភក្តិរបស់ខ្ញុំ។",
]
# Neither CLD2 nor lingua tells Central Kurdish.
KURDISH = [
    "من لە گوندێکی بچووک لە نزیک ڕووبارەکە دەژیم و هەموو بەیانییەک لەگەڵ هاوڕێکانم دەچم بۆ قوتابخانە.",
    "خوشکەکەم لە حەوشەکەدا دارێکی ناشت و ئێستا هەموو خێزانەکە لە ژێر سێبەرەکەیدا دادەنیشن.",
]


@pytest.fixture
def registered():
    """Hindi, Persian, Khmer, Burmese, Greek and Central Kurdish, forgotten after the test."""
    before = dict(LANGUAGES), dict(registry._BY_NAME)
    for code, name, script in [
        ("hi", "Hindi", "Deva"),
        ("fa", "Persian", "Arab"),
        ("km", "Khmer", "Khmr"),
        ("my", "Burmese", "Mymr"),
        ("el", "Greek", "Grek"),
        ("ckb", "Central Kurdish", "Arab"),
    ]:
        registry.register(Language(code, name, name, script))
    yield
    for now, then in zip((LANGUAGES, registry._BY_NAME), before):
        now.clear()
        now.update(then)


def test_registered_languages_reach_the_workers(registered, tmp_path):
    rows = [{"id": f"hi{n}", "text": text} for n, text in enumerate(HINDI)]
    rows += [{"id": f"km{n}", "text": text} for n, text in enumerate(KHMER)]
    toy_corpus.write_jsonl(tmp_path / "web.jsonl", rows)
    rows = [{"id": f"ckb{n}", "text": text} for n, text in enumerate(KURDISH)]
    rows.append({"id": "stray", "text": toy_corpus.document("en", 1)})
    toy_corpus.write_jsonl(tmp_path / "ckb.jsonl", rows)
    pair = {"en": "The old bridge was built in 1987.", "hi": "पुराना पुल १९८७ में बना था।"}
    toy_corpus.write_jsonl(tmp_path / "en-hi.jsonl", [pair])
    sources = {
        "web": "web.jsonl",
        "ckb": {"files": "ckb.jsonl", "language": "ckb"},
        "pairs": {"files": "en-hi.jsonl", "pair": "stem"},
    }
    report = toy_corpus.clean(tmp_path, sources, workers=2, languages=("en", "hi", "km", "ckb"))
    kept = {c: [r["id"] for r in toy_corpus.read(tmp_path / "out", c)] for c in ("hi", "km", "ckb")}
    assert kept == {"hi": ["hi0", "hi1", "hi2"], "km": ["km0", "km1"], "ckb": ["ckb0", "ckb1"]}
    assert [row["id"] for row in toy_corpus.read(tmp_path / "out", "en")] == ["stray"]
    assert len(toy_corpus.read(tmp_path / "out", "en-hi")) == 1
    assert report["notes"]["language"]["ckb"]["as its source says"] == 2


def test_a_language_without_a_detector_is_refused(registered, tmp_path):
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", [{"text": KURDISH[0]}])
    with pytest.raises(InputError, match="LANGUAGES has 'ckb', which CLD2 can't tell: say 'lang"):
        toy_corpus.clean(tmp_path, {"a": "a.jsonl"}, languages=("en", "ckb"))


def test_a_script_that_is_none_is_refused(registered, tmp_path):
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", [{"text": HINDI[0]}])
    registry.register(Language("xx", "Private", "Private", "Qaaa"))
    with pytest.raises(InputError, match="script 'Qaaa' has no characters"):
        toy_corpus.clean(tmp_path, {"a": "a.jsonl"}, languages=("en", "xx"))


@pytest.mark.parametrize(
    ("code", "true", "other"),
    [
        ("hi", "गाँव में किसी को विश्वास नहीं था कि वहाँ कुछ उगेगा।", "Nobody believed it in the village."),
        ("fa", "هیچ‌کس در روستا باور نمی‌کرد که آنجا چیزی بروید.", "Никто в деревне в это не верил."),
        ("km", "គ្មាននរណាម្នាក់នៅក្នុងភូមិជឿថាមានអ្វីអាចដុះនៅទីនោះទេ។", "ไม่มีใครในหมู่บ้านเชื่อเช่นนั้น"),
        ("el", "Κανείς στο χωριό δεν πίστευε ότι κάτι θα φύτρωνε εκεί.", "गाँव में किसी को विश्वास नहीं था।"),
    ],
)  # fmt: skip
def test_pairs_with_any_script_stay_and_foreign_sides_go(code, true, other, registered):
    english = "Nobody in the village believed that anything could grow there."
    assert pairs.fault((english, true), ("en", code), ("en",)) is None
    assert pairs.fault((english, other), ("en", code), ("en",)) == f"side not {code}"


def test_scripts_are_told_apart_whatever_is_registered(registered):
    assert characters.share_of_script(HINDI[0], "Deva") == 1.0
    assert characters.share_of_script(HINDI[0], "Khmr") == 0.0
    assert characters.share_of_script("ελληνικά and English", "Grek") == pytest.approx(8 / 18)
    ranges = limits.limits_of("Cyrl")
    greek = "Κανείς στο χωριό δεν πίστευε ότι κάτι θα φύτρωνε εκεί, ούτε ο παππούς μου."
    assert "script" in set(rules.violations(greek, LANGUAGES["ru"], ranges))


@pytest.mark.parametrize("code", ["km", "my", "th"])
def test_where_no_spaces_stand_a_unit_is_a_character(code, registered):
    text = {"km": KHMER[1], "my": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့်", "th": "ทุกคนเกิดมามีอิสระและเสมอภาค"}[
        code
    ]
    units, lengths = shingles.units(text, LANGUAGES[code].spaces)
    assert np.all(lengths == 1) and len(units) > 25
    size = 2 * repetition.word_size(LANGUAGES[code])
    assert len(duplicates.shingled(text, code, 2)) == len(np.unique(shingles.ngrams(units, size)))
