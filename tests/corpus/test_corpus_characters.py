"""Invisible characters, escapes and wrong encodings: what is mended, what is left alone, what goes."""

import sys
import unicodedata

import planted_faults
import pytest
import regex
import toy_corpus

from polylm_jax.corpus import alphabets, encoding, escapes, invisible, mending, repairs
from polylm_jax.corpus.instructions import screening

# (language, encoding that it was written in or 'utf-8', encoding that it was read in)
READ_WRONG = [
    *((code, "utf-8", "cp1252") for code in ("de", "ru", "ar")),
    *((code, "utf-8", "latin-1") for code in ("de", "ru", "zh", "th", "ar")),
    ("ru", "utf-8", "cp1251"), ("ru", "utf-8", "koi8-r"), ("de", "utf-8", "cp1250"),
    ("de", "utf-8", "mac-roman"), ("ru", "cp1251", "latin-1"), ("ru", "koi8-r", "cp1251"),
    ("ru", "cp1251", "koi8-r"), ("ar", "cp1256", "latin-1"), ("th", "cp874", "latin-1"),
    ("zh", "gb18030", "latin-1"),
]  # fmt: skip


def read_wrong(text: str, written: str, read: str) -> str:
    """The text with each byte that the wrong encoding leaves open as it is."""
    data = text.encode(written, "ignore")
    return "".join(
        bytes([byte]).decode(read, "replace").replace("\ufffd", chr(byte)) for byte in data
    )


@pytest.mark.parametrize(("code", "written", "read"), READ_WRONG)
def test_a_wrong_encoding_is_turned_back_or_the_text_goes(code, written, read):
    for n in (1, 4, 9):
        text = toy_corpus.document(code, n)
        text = text.encode(written, "ignore").decode(written)
        mended, done, broken = mending.mended(read_wrong(text, written, read))
        assert broken or mended == mending.mended(text)[0], done
        assert done or broken


@pytest.mark.parametrize("code", toy_corpus.CODES)
def test_good_text_is_not_touched(code):
    for n in range(20):
        text = unicodedata.normalize("NFC", toy_corpus.document(code, n))
        assert mending.mended(text) == (text, [], False)


def test_good_text_of_18_languages_is_not_touched(data_dir):
    for text in planted_faults.texts(data_dir).values():
        for line in text.all[:20]:
            assert mending.mended(line) == (line, [], False)


def test_text_that_lost_bytes_on_the_way_is_seen():
    for lost in (
        toy_corpus.document("th", 1).encode().decode("cp874", "ignore"),
        toy_corpus.document("zh", 1).encode().decode("gb18030", "ignore"),
    ):
        assert mending.mended(lost)[2]
    assert encoding.broken("Das gro?e Haus am gr?nen Weg war f?r viele M?nner zu h?sslich.")
    assert not encoding.broken("Wer? Wann? Wo?! Und warum nicht? (wirklich?)")


def test_letters_that_a_language_has_not_show_its_encoding():
    turkish = "Bugün hava çok güzeldi, çocuklar dışarıda oynadı ve akşam geç saatte eve döndüler."
    wrong = turkish.encode("cp1254").decode("latin-1")
    assert "ý" in wrong and encoding.repaired(wrong) == (turkish, encoding.OLD)
    polish = "Wczoraj wieczorem poszliśmy nad rzekę, żeby zobaczyć łódkę, którą zbudował mój brat."
    assert encoding.repaired(polish.encode("iso8859-2").decode("latin-1"))[0] == polish
    assert encoding.repaired(polish.encode("cp1250").decode("cp1252"))[0] == polish
    assert not alphabets.suspicious("30 m² und 5 m³, ¿qué?, ¡hola!, ±5, 1ª, § 3, 25 °C")


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("caf&eacute; &amp;amp; th&#233; &#x2019;", "café & thé ’"),
        ("`&lt;b&gt;` is &lt;b&gt;", "`&lt;b&gt;` is <b>"),
        ("AT&T; R&D, a & b, x &&y;", "AT&T; R&D, a & b, x &&y;"),
        ("%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82%20%D0%B2%D1%81%D0%B5%D0%BC", "Привет всем"),
        ("https://a.example/%D0%9F%D1%80%D0%B8%D0%B2%D0%B5", "https://a.example/%D0%9F%D1%80%D0%B8%D0%B2%D0%B5"),
        ("100% of 50%25", "100% of 50%25"),
        (r"\u041f\u0440\u0438\u0432\u0435\u0442\u0432\u0441\u0435\u043c", "Приветвсем"),
        (r"the letter `\u0416` is \u0416", r"the letter `\u0416` is \u0416"),
        ("=D0=9F=D1=80=D0=B8=D0=B2=D0=B5=D1=82 =C3=A9", "Привет é"),
        ("a == b, x=C3", "a == b, x=C3"),
    ],
)  # fmt: skip
def test_escapes_are_turned_back_where_they_are_text(escaped, text):
    assert escapes.unescaped(escaped)[0] == text


def test_letters_are_composed():
    for text in ("할머니가 청어를", "Khi bà tôi dọn đến", "größer"):
        assert mending.mended(unicodedata.normalize("NFD", text))[0] == text


def test_every_format_character_is_decided_on():
    """Those that no class names: none, or a newer Unicode has added some."""
    known = regex.compile(
        f"[{invisible.VISIBLE}{invisible.JOINERS}{invisible.DIRECTION}{invisible.TYPESETTING}"
        f"{invisible.HIDING}{invisible.TAGS}]"
    )
    every = map(chr, range(sys.maxunicode + 1))
    assert not [c for c in every if unicodedata.category(c) == "Cf" and not known.match(c)]


TEXT = ("می\u200cخواهم", "👩\u200d👩\u200d👧", "שלום\u200f!", "\u06dd١ \u0600٧", "❤\ufe0f", "葛\U000e0100",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u2068on my way\u2069", "\u202bשלום\u202c\n\u202bעולם\u202c")  # fmt: skip
HIDING = ("a\u2060b", "a\ufeffb", "a\x07b", "user\u202egnp", "a\u2067b", "x\ufe0f\ufe01", "V\u200bi\u200ba",
          "hi\U000e0041\U000e0042", "a\u3164b")  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_what_is_text_stays_and_is_fit_to_be_an_answer(text):
    assert mending.mended(text)[0] == text and repairs.invisible_share(text) == 0
    assert repairs.repaired(text)[0] == text
    assert screening.unsafe(text) == ""


@pytest.mark.parametrize("text", HIDING)
def test_what_hides_is_counted_taken_out_and_no_answer(text):
    assert invisible.hidden(text) and repairs.invisible_share(text) > 0
    assert not invisible.hidden(repairs.repaired(text)[0])
    assert screening.unsafe(text)


def test_where_a_line_may_break_is_no_part_of_the_text():
    assert mending.mended("Groß\u00admut\u00adter")[0] == "Großmutter"
    assert mending.mended("ตอน\u200bที่\u200bยาย")[0] == "ตอนที่ยาย"
    assert not screening.unsafe("ตอน\u200bที่") and not screening.unsafe("Groß\u00admutter")


@pytest.mark.parametrize(
    "text",
    [
        "Reinstall a package\n특정 패키지 재설치",
        "시스템 로그 표시",
        "Display system logs\n시스템 로그 표시",
    ],
)
def test_a_short_sentence_is_no_mojibake(text):
    """A few letters of two bytes each may look like UTF-8 by chance."""
    assert encoding.repaired(text) == (text, "") and not encoding.broken(text)
