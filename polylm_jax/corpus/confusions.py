"""Wrong encodings whose letters are all letters: Korean drawn as Chinese, Japanese with other kanji, 'dйjа'.

Nothing in their bytes is odd, so each is told by what the language itself would never have.
"""

import functools
import re

import regex

from polylm_jax.corpus import detection

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile("[\u3041-\u30ff]")
LEAST_HAN = 14
# The two standards share their places; of Chinese six characters in ten stand where Hangul does, of
# Korean all: fourteen of fourteen are so by chance once in a thousand, and must be Korean then.
_HANGUL, _NEARLY_ALL = re.compile("[\uac00-\ud7a3]"), 0.97
# The commonest kanji of newspapers: a quarter of any text's, 4 % of the wrong ones.
_KANJI = frozenset(
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定今回新場金員九"
    "入選立開手米力学問高代明実円関決子動京全目表戦経通外最言氏現理調体化田当八六約主題下首意法作家何気思来私話物"
)
LEAST_COMMON, TIMES = 0.12, 2.5
# Latin text in an encoding of another script: words of both. A hyphen parts '3D-модель', and a Greek
# letter counts between Latin ones alone: TNFα is a word.
_OTHER = r"[\p{Cyrillic}\u2500-\u259f÷]|(?<=\p{Latin})(?:\p{Greek}|ⁿ)(?=\p{Ll})"
_MIXED = regex.compile(
    rf"(?<![\p{{L}}\p{{N}}])(?=[\p{{L}}\u2500-\u259f÷]*\p{{Latin}}{{2}})\p{{Latin}}*(?:{_OTHER})[\p{{L}}\u2500-\u259f÷]*"
)
_ANY_OTHER = re.compile("[\u0370-\u04ff\u207f\u2500-\u259f÷]")  # most texts have none: quick
_BESIDE = re.compile(
    "[A-Za-z\u00c0-\u024f][\u0370-\u04ff\u207f\u2500-\u259f÷]|[\u0370-\u04ff\u207f\u2500-\u259f÷][A-Za-z\u00c0-\u024f]"
)
_LATIN, MOSTLY_LATIN = regex.compile(r"\p{Latin}"), 0.7
LEAST_WORDS, MIXED_SHARE = 3, 0.02
_LATIN_READ_AS = (
    "cp1251",
    "cp437",
    "cp1253",
    "koi8-r",
    "cp866",
    "iso8859-5",
    "iso8859-7",
    "mac-cyrillic",
)
_LATIN_WRITTEN = ("cp1252", "cp1250", "cp1254")


def turned_back(text: str) -> str | None:
    """The text as it was written, or None where nothing says that it was read wrongly.

    >>> turned_back("Le dйjeuner йtait prкt, mais le bйbй dormait, et la fenкtre ouverte claquait.")
    'Le déjeuner était prêt, mais le bébé dormait, et la fenêtre ouverte claquait.'
    """
    return _korean(text) or _japanese(text) or _latin(text)


def mixed(text: str) -> bool:
    """Whether words of Latin letters have letters of another script in them, not once but everywhere."""
    return _mixed(text) > 0


def _korean(text: str) -> str | None:
    """EUC-KR read as GBK."""
    han = _HAN.findall(text[:2000])
    if len(han) < LEAST_HAN or _KANA.search(text):
        return None
    korean = turned("".join(han), "gb18030", "cp949")
    if korean is None or len(_HANGUL.findall(korean)) < _NEARLY_ALL * len(korean):
        return None
    whole = turned(text, "gb18030", "cp949")
    return whole if whole and detection.detected(whole).code == "ko" else None


def _japanese(text: str) -> str | None:
    """EUC-JP read as GBK: kana stand at the same places, kanji don't."""
    kanji = _HAN.findall(text[:2000])
    if len(kanji) < LEAST_HAN or not _KANA.search(text):
        return None
    before = _common(kanji)
    whole = turned(text, "gb18030", "euc_jp") if before < LEAST_COMMON else None
    after = _common(_HAN.findall(whole[:2000])) if whole else 0.0
    return whole if after >= max(LEAST_COMMON, TIMES * before) else None


def _common(kanji: list[str]) -> float:
    return sum(character in _KANJI for character in kanji) / max(1, len(kanji))


def _latin(text: str) -> str | None:
    """Latin letters beyond ASCII read as another script's."""
    before = _mixed(text)
    if not before:
        return None
    for read in _LATIN_READ_AS:
        for written in _LATIN_WRITTEN:
            whole = turned(text, read, written)
            if whole and not _mixed(whole) and detection.detected(whole).fluency > 0.6:
                return whole
    return None


@functools.lru_cache(maxsize=4)  # the same text is asked for a repair and for what stays wrong
def _mixed(text: str) -> int:
    """How many words mix Latin with another script, where they are too many to be names of things; else 0."""
    if text.isascii() or not _ANY_OTHER.search(text) or not _BESIDE.search(text):
        return 0
    count = len(_MIXED.findall(text))
    if not count or len(_LATIN.findall(text)) < MOSTLY_LATIN * sum(map(str.isalpha, text)):
        return 0
    return count if count >= max(LEAST_WORDS, MIXED_SHARE * len(text.split())) else 0


def turned(text: str, read: str, written: str) -> str | None:
    """The text as it was written, or None where some of its bytes are lost."""
    try:
        return text.encode(read).decode(written)
    except UnicodeError:
        return None
