"""sample_data: 18 aligned languages, each in its script, nothing unfilled, the same every time."""

import json
import re
import unicodedata
from collections import Counter

import pytest

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import PAPER_CODES
from tasks.sample_data import generate, snippets
from tasks.sample_data.templates import SLOT, attach_particles

SCRIPTS = {  # what the Unicode names of a language's letters begin with
    "zh": ("CJK",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "ar": ("ARABIC",),
    "he": ("HEBREW",),
    "th": ("THAI",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    generate.write(folder)
    return folder


@pytest.fixture(scope="module")
def books():
    return generate.books()


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(folder, code):
    return [record["text"] for record in records(folder / f"{code}.jsonl")]


def slots_of(template):
    """Names of the slots that print something (`{who?he|she}` only agrees)."""
    return {match[1] for match in SLOT.finditer(template) if match[4] is None}


def test_every_language_is_there():
    assert set(generate.languages()) == set(PAPER_CODES)
    assert generate.languages()[0] == "en"


@pytest.mark.parametrize("code", PAPER_CODES)
def test_the_same_words_sentences_and_lines_as_english(books, code):
    english, book = books["en"], books[code]
    assert {k: list(v) for k, v in book.words.items()} == {
        k: list(v) for k, v in english.words.items()
    }
    assert {k: list(v) for k, v in book.frames.items()} == {
        k: list(v) for k, v in english.frames.items()
    }
    assert {k: len(v) for k, v in book.stories.items()} == {
        k: len(v) for k, v in english.stories.items()
    }


@pytest.mark.parametrize("code", PAPER_CODES)
def test_a_sentence_tells_what_the_english_one_tells(books, code):
    """The same slots, but for the person whom the text is about: some languages drop subjects."""
    for frame, sentences in books["en"].frames.items():
        for number, template in sentences.items():
            other = books[code].frames[frame][number]
            assert slots_of(other) - {"who"} == slots_of(template) - {"who"}, (frame, number)


def test_ids_agree_and_sizes_hold(folder):
    ids = [record["id"] for record in records(folder / "en.jsonl")]
    assert len(ids) == len(set(ids)) == 14 * 60 + 6
    for code in PAPER_CODES:
        written = records(folder / f"{code}.jsonl")
        assert [record["id"] for record in written] == ids
        assert len({record["text"] for record in written}) == len(ids)
        assert 200_000 < (folder / f"{code}.jsonl").stat().st_size < 700_000


@pytest.mark.parametrize("code", [c for c in PAPER_CODES if c != "en"])
def test_pairs_stand_in_the_documents_of_their_id(folder, code):
    pairs = records(folder / f"en-{code}.jsonl")
    key = "doc" if code == "id" else "id"
    assert len(pairs) >= 2000
    for side in ("en", code):
        assert max(Counter(pair[side] for pair in pairs).values()) == 1
        by_id = {record["id"]: record["text"] for record in records(folder / f"{side}.jsonl")}
        assert all(pair[side] in by_id[pair[key]] for pair in pairs)
    ids = [pair["id"] for pair in records(folder / "en-ko.jsonl")]
    assert [pair[key] for pair in pairs] == ids


@pytest.mark.parametrize("code", PAPER_CODES)
def test_letters_are_of_the_languages_script(folder, code):
    letters = [c for text in texts(folder, code) for c in text if c.isalpha()]
    wanted = SCRIPTS.get(code, ("LATIN",))
    names = Counter(letters)
    own = sum(n for c, n in names.items() if unicodedata.name(c).startswith(wanted))
    assert own / len(letters) > 0.98


@pytest.mark.parametrize("code", PAPER_CODES)
def test_nothing_is_unfilled_or_doubled(folder, code):
    for text in texts(folder, code):
        assert not re.search(r"[{}|?](?=\w)|[{}|]", text), text
        assert not re.search(r"  | [.,;!?。、，]|\.\.|\s\n|\n\s|^\s|\s$", text), text
        assert text == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("code", [c for c in PAPER_CODES if c != "th"])
def test_sentences_begin_with_a_capital_and_end_with_a_stop(books, code):
    for stories in books[code].stories.values():
        for line in stories[1:]:
            assert re.search(r"[.!?。][”“»」״\s]*$", line), line
            assert line[0] == line[0].upper()


def test_turkish_capitals(books):
    tr = books["tr"]
    assert tr.fill("istasyonda ve parkta", {}) == "İstasyonda ve parkta"
    assert tr.fill("“ılık su”", {}) == "“Ilık su”"
    assert books["en"].fill("“in May”", {}) == "“In May”"


def test_turkish_sentences_begin_with_a_dotted_capital(folder):
    starts = [m for t in texts(folder, "tr") for m in re.findall(r"(?:^|[.!?\n] )(I\w*)", t)]
    assert not starts


def test_korean_particles_follow_the_last_syllable():
    assert attach_particles("안나은/는 빵을/를") == "안나는 빵을"
    assert attach_particles("이반과/와 마리아과/와") == "이반과 마리아와"
    assert attach_particles("서울으로/로 런던으로/로 파리으로/로") == "서울로 런던으로 파리로"
    assert attach_particles("코코이라는/라는 개이/가") == "코코라는 개가"


def test_korean_templates_never_fix_a_particle_after_a_slot(books):
    for sentences in books["ko"].frames.values():
        for template in sentences.values():
            for particle in re.findall(
                r"\}(은|는|이|가|을|를|과|와|으로|로)(?![/고가-힣])", template
            ):
                pytest.fail(f"{particle} after a slot: {template}")


def test_arabic_has_its_own_digits(folder):
    assert not any(re.search("[0-9]", text) for text in texts(folder, "ar"))
    assert any("١" in text for text in texts(folder, "ar"))


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate.write(tmp_path / name, per_frame=2, seed=seed)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert (tmp_path / "a/ja.jsonl").read_bytes() != (tmp_path / "c/ja.jsonl").read_bytes()


def test_sums_are_right(folder):
    money = [r["text"] for r in records(folder / "en.jsonl") if r["id"].startswith("money")]
    for text in money:
        x, y, z, again, p, r = map(int, re.findall(r"\d+", text.splitlines()[-1]))
        assert (x + y, z - p) == (z, r) and z == again and r > 0


def test_code_is_whole(folder):
    code = texts(folder, "code")
    assert len(set(code)) == len(code) == 360
    assert not any("«" in text or "»" in text for text in code)
    python = [text for text in code if re.match(r"def |from |import |class \w+Queue", text)]
    assert len(python) > 100
    for text in python:
        compile(text, "snippet", "exec")


def test_snippets_hold_for_many(tmp_path):
    drawn = list(snippets.records(2400, seed=1))
    assert len({record["text"] for record in drawn}) == 2400


@pytest.mark.parametrize("per_frame", [0, -1, 10**6])
def test_a_size_that_makes_no_sense_is_refused(tmp_path, per_frame):
    with pytest.raises(InputError, match="per_frame"):
        generate.write(tmp_path, per_frame=per_frame)
