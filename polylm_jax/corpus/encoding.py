"""Text that was read in another encoding than it was written in: found by its bytes, repaired where they allow.

Two kinds. UTF-8 read as something else shows in the bytes themselves: written back in the encoding
that it was read in, mojibake is UTF-8 and nothing else is. Of 18 languages' good text at most 7 % of
the bytes look so, 48 % in encodings of two bytes a letter. An old encoding read as another (Russian
'Êîãäà') has no such mark: there the language decides, which such text has none of.
"""

import codecs
import functools
import re
from collections import Counter

import ftfy
import ftfy.bad_codecs.sloppy  # registers 'sloppy-windows-*': browsers read the open bytes as they are
import regex

from polylm_jax.corpus import alphabets, confusions, detection

# What UTF-8 is read as, and from which share of its bytes beyond ASCII on it must have been.
_ONE_BYTE = ("sloppy-windows-1252", "latin-1", "sloppy-windows-1251", "sloppy-windows-1250",
             "sloppy-windows-1254", "sloppy-windows-1256", "sloppy-windows-1255",
             "sloppy-windows-1253", "sloppy-windows-1257", "sloppy-windows-1258",
             "mac-roman", "koi8-r")  # fmt: skip
_BROKEN = 0.45
# Good Thai and Russian look like UTF-8 in these by half and more: 'เกม' alone is valid in the first.
_DOUBTFUL = {"cp874": 0.95, "cp866": 0.85, "cp437": 0.85, "cp850": 0.85}
_TWO_BYTES = {  # only asked of text in such letters; of the good text 44, 33, 27 and 20 % at most
    "cp932": (r"[\p{Hiragana}\p{Katakana}\p{Han}]", 0.7),
    "gb18030": (r"\p{Han}", 0.7),
    "big5": (r"\p{Han}", 0.7),
    "cp949": (r"\p{Hangul}.{0,9}\p{Hangul}", 0.42),
}
UTF_8 = re.compile(  # a character of two to four bytes
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_ASCII = bytes(range(128))
_BEYOND = re.compile(r"[^\x00-\x7f]")
_HAN = re.compile("[\u4e00-\u9fff]")
_LEAST_LETTERS = 20  # before a language's score says anything
_LEAST = 6  # bytes beyond ASCII; of fewer a share says nothing
_LEAST_TWO = 60  # the same of two bytes a letter: by 6 1,067 of 35,873 Korean sentences looked like it, now 4
_WRITABLE = 0.6  # of the characters beyond ASCII, those that the encoding has
_LEAST_LATER = 0.2  # of the characters beyond ASCII; where bytes were lost they are fewer
SAMPLE = 600  # characters that are looked at
# The first bytes of a script's letters in UTF-8 are one or two, so in mojibake every second or third
# character is; in the good text the commonest two letters beyond ASCII make 29 % of such.
_TOP_TWO = 0.45
_LEADS = re.compile("[\xa0-\u06ff\u0e00-\u0e7f]")  # how encodings of one byte draw those bytes
_MOSTLY = 0.4  # of the letters, before that is asked
# Read as the first, written in one of the second: what the web has of each.
_OLD = (
    (("latin-1", "sloppy-windows-1252"), ("cp1251", "koi8-r", "cp1255", "cp1256", "cp1253", "cp874",
     "tis-620", "gb18030", "big5", "cp932", "euc_jp", "cp949", "iso8859-5", "iso8859-6", "iso8859-7",
     "iso8859-8", "cp866", "cp1258")),
    (("cp1251",), ("koi8-r", "cp866", "iso8859-5")), (("koi8-r",), ("cp1251", "cp866")),
)  # fmt: skip
_OLD_EAST = (
    (("big5",), ("gb18030",)), (("gb18030",), ("big5", "cp932", "cp949", "euc_jp")),
    (("cp932",), ("gb18030", "euc_jp")), (("cp949",), ("gb18030", "cp932")),
)  # fmt: skip
_LATIN = (("latin-1", "sloppy-windows-1252"),
          ("iso8859-2", "cp1250", "cp1254", "cp1257", "iso8859-16", "cp1258", "iso8859-3"))  # fmt: skip
POOR = 0.35  # of the language score that good text has, see `detection.fluency`
GOOD = 0.6
# Over half of Chinese and Japanese is written with a few hundred characters; of these some forty
# make 8 % and more of any running text, and next to none of mojibake.
_COMMON = frozenset(
    "的一是不了在人有我他这這中大来來上个個们們国國为為和地到说說時时要就出会會也你生年的日月本者"
)
_LEAST_COMMON = 0.03
_EAST = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
_KANA = re.compile("[\u3041-\u30ff]")
_WITHOUT_KANA, _SOME_KANA = ("gb18030", "big5", "cp949"), 0.1
_LATIN_1_LETTERS = re.compile("[\x80-\xff]{3}|[\u0400-\u04ff][\u2500-\u25ff]")
_LOST_LETTER = regex.compile(r"(?<=\p{Ll})\?(?=\p{Ll})")
_LOST_WORDS = re.compile(r"\?{4,}(?: \?{2,}){2,}")
MOJIBAKE, OLD = "mojibake", "old encodings"


def repaired(text: str) -> tuple[str, str]:
    """(the text, what was mended: '', MOJIBAKE or OLD).

    >>> repaired("Ð¿Ñ€Ð¸Ð²ÐµÑ‚")[0], repaired("grÃ¶ÃŸer")[0], repaired("größer")[0]
    ('привет', 'größer', 'größer')
    """
    if text.isascii():
        return text, ""
    encoding, _ = utf_8_read_as(text)
    if encoding:
        whole = confusions.turned(text, encoding, "utf-8")
        if whole is not None:
            again, _ = repaired(whole)  # what went wrong once may have gone wrong twice
            return again, MOJIBAKE
    old = None if encoding else _from_old(text) or confusions.turned_back(text)
    if old is not None:
        return old, OLD
    fixed = ftfy.fix_encoding(text) if _LATIN_MARKS.search(text) else text
    if fixed != text and fluency(sample_of(fixed)) >= fluency(sample_of(text)):
        return fixed, MOJIBAKE
    return text, ""


def broken(text: str) -> bool:
    """Whether a text is mojibake that nothing repairs, or lost letters on the way ('gr??er', '???? ?? ???')."""
    if "?" in text and len(_LOST_LETTER.findall(text)) > max(2, len(text) / 200):
        return True
    if "????" in text and _LOST_WORDS.search(text):
        return True
    if text.isascii():
        return False
    if utf_8_read_as(text)[0] or _from_one_script(text):
        return True
    return _foreign_letters(text) or confusions.mixed(text)


def sample_of(text: str) -> str:
    """What of a text is looked at: where it goes beyond ASCII first."""
    first = _BEYOND.search(text)
    start = max(0, first.start() - 40) if first else 0
    return text[start : start + SAMPLE]


def utf_8_read_as(text: str) -> tuple[str, float]:
    """(the encoding that a text was wrongly read in, the share of its bytes that say so); '' for none."""
    return _utf_8_read_as(sample_of(text))


@functools.lru_cache(maxsize=16)
def _utf_8_read_as(text: str) -> tuple[str, float]:
    best = "", 0.0
    drawn = Counter(_BEYOND.findall(text))
    beyond = drawn.total()
    for encoding, threshold in _candidates(text):
        # Half and more of the bytes of UTF-8 beyond ASCII are such as continue a letter.
        later = _later(encoding)
        if later and _count(drawn, later) < _LEAST_LATER * beyond:
            continue
        ours = _drawn_by(encoding)
        if ours and _count(drawn, ours) < max(_LEAST, _WRITABLE * beyond):
            continue
        written = text.encode(encoding, "ignore")  # slow where little is in it
        high = len(written.translate(None, _ASCII))
        if high < (_LEAST if ours else _LEAST_TWO) or high < _WRITABLE * beyond:
            continue
        share = sum(map(len, UTF_8.findall(written))) / high
        if share >= threshold and share > best[1] + 0.01:
            best = encoding, share
            if share == 1.0 and len(written) == len(text):
                break
    return best


def _count(drawn: Counter[str], among: frozenset[str]) -> int:
    return sum(map(drawn.__getitem__, drawn.keys() & among))


@functools.cache
def _later(encoding: str) -> frozenset[str]:
    """How an encoding of one byte draws the bytes 0x80 to 0xbf; empty for one of two bytes."""
    if encoding in _TWO_BYTES:
        return frozenset()
    return frozenset(bytes([byte]).decode(encoding, "replace") for byte in range(0x80, 0xC0))


@functools.cache
def _drawn_by(encoding: str) -> frozenset[str]:
    """What an encoding of one byte has beyond ASCII; empty for one of two bytes."""
    if encoding in _TWO_BYTES:
        return frozenset()
    every = (bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0x100))
    return frozenset(c for c in every if c > "\x7f")


def _candidates(text: str) -> list[tuple[str, float]]:
    found = [(name, _BROKEN) for name in _ONE_BYTE] + [*_DOUBTFUL.items()]
    return found + [(n, least) for n, (letters, least) in _TWO_BYTES.items() if _has(letters)(text)]


@functools.cache
def _has(letters: str):
    return regex.compile(letters).search


_LATIN_MARKS = re.compile(  # a first byte of UTF-8 and one behind it, as Latin-1 and its kin draw them
    "[\xc2-\xf4\u0102\u0110\u0410-\u044f][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192"
    "\u02c6\u02dc\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)


def _from_one_script(text: str) -> bool:
    """Whether two characters make half of what is beyond ASCII, as the first bytes of letters do."""
    piece = sample_of(text)
    beyond = _BEYOND.findall(piece)
    top = Counter(beyond).most_common(2)
    if len(beyond) < 40 or sum(n for _, n in top) <= _TOP_TWO * len(beyond):
        return False
    mostly = len(beyond) >= _MOSTLY * sum(map(str.isalpha, piece))
    return mostly and all(_LEADS.match(c) for c, _ in top)


def _from_old(text: str) -> str | None:
    """The text as it was written in an old encoding, if it is a language's only then."""
    piece = sample_of(text)
    letters, before = sum(map(str.isalpha, piece)), fluency(piece)
    if letters < _LEAST_LETTERS:
        return None
    if before >= POOR:
        return _best(text, piece, (_LATIN,), 0.0) if _foreign_letters(piece) else None
    if len(_BEYOND.findall(piece)) < _MOSTLY * letters:
        return None
    if before == 0 and not _LATIN_1_LETTERS.search(piece):
        return None
    east = len(_EAST.findall(piece)) > _MOSTLY * letters
    return _best(text, piece, _OLD_EAST if east else _OLD, max(GOOD, 2 * before))


def _best(text: str, piece: str, tables, least: float) -> str | None:
    found: tuple[float, str | None] = (least, None)
    for reads, writes in tables:
        for read in reads:
            for written in writes:
                turned = confusions.turned(piece, read, written)
                if turned is None or broken_by(turned):
                    continue
                if written in _WITHOUT_KANA and len(_KANA.findall(turned)) > _SOME_KANA * len(
                    turned
                ):
                    continue  # they have Japan's letters at the places of its own encodings
                value = fluency(turned)
                if (
                    value > found[0]
                    and (whole := confusions.turned(text, read, written)) is not None
                ):
                    found = value, whole
    return found[1]


_NO_TEXT = re.compile("[\x7f-\x9f\ue000-\uf8ff\ufffd]")


def broken_by(text: str) -> bool:
    """Whether a turn has made control characters, or letters that its language hasn't."""
    return _NO_TEXT.search(text) is not None or _foreign_letters(text)


def _foreign_letters(text: str) -> bool:
    """Whether a text's words have letters, or signs inside them, that no word of its language has."""
    if not alphabets.suspicious(text):
        return False
    return alphabets.foreign(text, detection.detected(text).code) > 0.01


def fluency(text: str) -> float:
    """How much a text is like its language, 1 for an ordinary one; Han by its commonest characters."""
    common = _common(text)
    value = detection.detected(text).fluency
    return value if common is None else min(value, common / (2 * _LEAST_COMMON))


def _common(text: str) -> float | None:
    han = _HAN.findall(text)
    if len(han) < 60 or len(han) < 0.8 * sum(map(str.isalpha, text)):
        return None
    return sum(c in _COMMON for c in han) / len(han)


for _name in (*_ONE_BYTE, *_TWO_BYTES):
    codecs.lookup(_name)
