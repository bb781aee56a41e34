"""Duplicates as the curve says, pairs that don't translate each other, test sets that leaked."""

import gzip
import json
import random

import planted_documents
import planted_faults
import pyarrow
import pyarrow.parquet
import pytest

from polylm_jax.corpus import duplicates, pairs, quantities, shingles
from polylm_jax.corpus.benchmarks import benchmarks_of
from polylm_jax.corpus.decontamination import Index
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES, PAPER_CODES


@pytest.fixture(scope="module")
def texts(data_dir):
    return planted_faults.texts(data_dir)


@pytest.mark.parametrize("similarity", [0.6, 0.75, 0.9])
def test_near_duplicates_are_caught_as_the_curve_says(similarity, texts):
    bands, rows, planted, caught, expected = 14, 8, 0, 0, 0.0
    signer = duplicates.SignNear("unused", duplicates.minhash_config(5, bands, rows))
    for code, text in texts.items():
        for _ in range(8):
            first, second, real = planted_documents.overlapping(text, similarity)
            caught += planted_documents.share_a_band(first, second, code, signer)
            expected += duplicates.curve(real, bands, rows)
            planted += 1
    spread = 3 * (expected * (1 - expected / planted)) ** 0.5
    assert abs(caught - expected) <= max(spread, 1.5), (
        f"{caught} of {planted}, expected {expected:.1f}"
    )


def test_the_same_text_for_a_reader_is_an_exact_duplicate(texts):
    for code, text in texts.items():
        original = "\n".join(text.some())
        assert shingles.whole(original) == shingles.whole(
            planted_documents.jittered(text, original)
        ), code
    assert len({shingles.whole(line) for line in texts["th"].all}) == len(texts["th"].all)
    assert shingles.whole("Gate 7") != shingles.whole("Gate 8") == shingles.whole("gate ٨!")


def test_a_signature_made_in_pieces_is_the_same():
    signer = duplicates.SignNear("unused", duplicates.minhash_config(5, 14, 8))
    rng = random.Random(1)
    text = " ".join(rng.choice("abcdefghij") * rng.randint(1, 9) for _ in range(12_000))
    hashes = duplicates.shingled(text, "en", 5)[:, None]
    whole = super(duplicates.SignNear, signer).get_signature(hashes)
    assert len(hashes) > 8192 and signer.get_signature(hashes) == whole


def test_languages_never_meet():
    same = [set(duplicates.shingled("a b c d e f", code, 5).tolist()) for code in ("en", "de")]
    assert not same[0] & same[1] and len(same[0]) == 2


PAIRED = [c for c in PAPER_CODES if c not in ("en", "he", "vi")]


@pytest.mark.parametrize("kind", planted_documents.PAIR_FAULTS)
def test_planted_faults_of_pairs_are_caught(kind, texts, data_dir):
    found = []
    for code in PAIRED:
        rows = planted_documents.good_rows(planted_documents.pair_rows(data_dir, code), code, 60)
        rng = random.Random(code)
        while len(found) % 4 or not found or found[-1][0] != code:
            other = texts[rng.choice([c for c in texts if c not in (code, "en")])]
            pair = planted_documents.faulty_pair(kind, rows, code, rng, other)
            if pair is not None:
                found.append((code, planted_documents.pair_caught(kind, pair, code)))
    assert len(found) == 4 * len(PAIRED)
    assert sum(right for _, right in found) >= 0.95 * len(found)


@pytest.mark.parametrize("code", PAIRED)
def test_translations_stay(code, data_dir):
    rows = planted_documents.pair_rows(data_dir, code)[:250]
    good = planted_documents.good_rows(rows, code, len(rows))
    assert len(good) >= 0.98 * len(rows)


AGREE = [
    ("en-de", "It costs $1,250.50.", "Es kostet 1.250,50 $."),
    ("en-de", "At 3:30 p.m. the train leaves.", "Um 15:30 Uhr fährt der Zug ab."),
    ("en-de", "At 3 p.m. the train leaves.", "Um 15.00 Uhr fährt der Zug ab."),
    ("en-zh", "At 3:30 p.m. the train leaves.", "火车下午3点30分开。"),
    ("en-fr", "The shop opens at 9:15 a.m.", "Le magasin ouvre à 9h15."),
    ("en-de", "On 5/16/2024 it opened.", "Am 16.05.2024 wurde er eröffnet."),
    ("en-ko", "On May 16, 2024 it opened.", "2024년 5월 16일에 문을 열었다."),
    ("en-es", "On 5/16/24 it opened.", "Abrió el 16-05-2024."),
    ("en-ja", "It opened in 2024 with 35 rooms.", "令和6年に三十五室で開業した。"),
    ("en-th", "It opened in 1987 with 35 rooms.", "เปิดในปี 2530 มี ๓๕ ห้อง"),
    ("en-ar", "It opened in 1987 with 12.5 km.", "افتتح عام ١٩٨٧ بطول ١٢٫٥ كم."),
    ("en-zh", "It was built in 1987.", "它建于一九八七年。"),
    ("en-zh", "He paid 1.5 million for 20 houses.", "他花了150万买了20栋房子。"),
    ("en-de", "He paid 1.5 million for the 20 houses.", "Er zahlte 1500000 für die 20 Häuser."),
    ("en-de", "It weighs 10 lb.", "Es wiegt 4,5 kg."),
    ("en-ru", "It is 5 miles away.", "До него 8 километров."),
    ("en-it", "It was 70 °F outside.", "Fuori c'erano 21 °C."),
    ("en-de", "The 2nd act lasts 1 h.", "Der 2. Akt dauert 60 Minuten."),
    ("en-de", "Show 10 lines", "Zeige zehn Zeilen"),
    ("en-fr", "It cost 1,250,000 euros in 3 years.", "Il a coûté 1 250 000 euros en 3 ans."),
    ("en-pl", "Rooms 12 and 400 are closed.", "Pokoje 12 400 są zamknięte."),
]
DISAGREE = [
    ("en-de", "Gate 7", "Tor 9"),
    ("en-de", "Gate 3 opens", "Tor 15 öffnet"),
    ("en-zh", "Gate 7 opens today", "今天第9号门开放"),
    ("en-de", "It weighs 10 lb.", "Es wiegt 45 kg."),
    ("en-de", "At 3:30 p.m. the train leaves.", "Um 16:30 Uhr fährt der Zug ab."),
    ("en-de", "It costs 1,250.50.", "Es kostet 1.350,50."),
    ("en-de", "She was born in 1920 in a small town.", "Er starb 1985 in einer Stadt am Meer."),
    ("en-de", "The cat sat on the mat.", "Im Jahr 1871 wurde das Reich gegründet."),
    ("en-th", "It opened in 1987.", "เปิดในปี 2531"),
    ("en-fr", "It cost 1,250,000 euros.", "Il a coûté 1 350 000 euros."),
]


@pytest.mark.parametrize(("pair", "one", "other"), AGREE)
def test_the_same_amount_is_told_however_it_is_written(pair, one, other):
    assert not quantities.differ((one, other), pair.split("-"))


@pytest.mark.parametrize(("pair", "one", "other"), DISAGREE)
def test_another_amount_is_told_too(pair, one, other):
    assert quantities.differ((one, other), pair.split("-"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Open the settings page.", "Open the settings page!"),
        ("Click on Save, then on Close.", 'Click on "Save", then on "Close".'),
        ("The meeting starts at nine in the big hall of the old house.",
         "The meeting starts at 9 in the big hall of the old house."),
    ],
)  # fmt: skip
def test_an_untranslated_copy_goes_however_it_is_punctuated(one, other):
    assert pairs.fault((one, other), ("en", "de"), PAPER_CODES) == "identical sides"


def items(text) -> list[str]:
    """Twenty lines that are long enough to tell from chance."""
    return [line for line in text.all if len(line) >= (30 if text.code == "zh" else 60)][:20]


@pytest.fixture(scope="module")
def leaked(tmp_path_factory, texts):
    """A test set made of the declaration's own lines, in words and in characters."""
    folder, rows = tmp_path_factory.mktemp("benchmark"), []
    for code in ("en", "zh", "th", "ko"):
        rows += [{"question": line, "answer": "x"} for line in items(texts[code])]
    rows.append({"question": "Too short", "answer": "to tell"})
    (folder / "test.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    given = {"udhr": {"files": "test.jsonl", "fields": ["question", "answer"]}}
    return Index(benchmarks_of(given, str(folder)))


@pytest.mark.parametrize("code", ["en", "zh", "th", "ko"])
def test_a_test_item_inside_a_text_is_found(code, leaked, texts):
    text, language = texts[code], LANGUAGES[code]
    for line in items(text):
        inside = f"{text.all[1]}\n{line.upper()} {text.all[-2]}"
        assert leaked.search(inside, language) == "udhr", line
    clean = [line for line in text.all if line not in items(text)]
    hits = [line for line in clean if leaked.search(line, language)]
    assert len(hits) <= 0.1 * len(clean), "the declaration repeats itself, but not this much"


def test_what_is_too_short_to_tell_is_counted(leaked):
    assert leaked.skipped == {"udhr": 1} and leaked.items == {"udhr": 81}
    assert leaked.search("Too short to tell", LANGUAGES["en"]) is None


SHORT = {
    "vi": ("Người đàn ông bật vòi nước.", "Nước chảy ra từ vòi."),
    "tr": ("Adam musluğu açtı.", "Su muslukten aktı."),
    "zh": ("男子打开水龙头。", "水从水龙头里流了出来。"),
    "th": ("ผู้ชายเปิดก๊อกน้ำ", "น้ำไหลออกมาจากก๊อก"),
    "en": ("The man turned on the tap.", "Water flowed out."),
}


@pytest.mark.parametrize("code", SHORT)
def test_two_parts_of_an_item_are_found_across_a_gap(code, tmp_path, texts):
    premise, answer = SHORT[code]
    row = {"q": {"premise": premise}, "choices": ["x", answer]}
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    for name in ("a.jsonl.gz", "a.parquet"):
        given = {"files": name, "fields": ["q.premise", "choices"], "language": code}
        index = Index(benchmarks_of({"x": given}, str(tmp_path)))
        language, around = LANGUAGES[code], texts[code].all
        for between in ("", " … ", f" ({around[3][:25]}) "):
            text = f"{around[1]} {premise.upper()}{between or ' '}{answer} {around[2]}"
            assert index.search(text, language) == "x"
        assert index.search(f"{around[1]} {answer} {around[3][:25]} {premise}", language) == "x"
        far = " ".join(around[1:40])
        assert index.search(f"{premise} {far} {answer}", language) is None
        assert index.search(f"{around[1]} {premise} {around[2]}", language) is None
        assert index.skipped == {"x": 0}


def test_a_benchmark_without_its_field_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "b"}\n')
    with pytest.raises(
        InputError, match=r"record 1 of a.jsonl lacks a field of \('q',\) \('q'\).* It has 'a'"
    ):
        Index(benchmarks_of({"x": {"files": "a.jsonl", "fields": ["q"]}}, str(tmp_path)))
