"""Words for metrics, in any script: by spaces where there are any, else by grapheme.

Chinese, Japanese and Thai write no spaces; a dictionary would find words there, each another. So
their words are graphemes: a Thai consonant with its vowel signs and tone is one.
"""

import unicodedata

import regex

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー々〆\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# A run of letters, digits and their marks; one of an unspaced script is cut into graphemes.
_RUN = regex.compile(rf"(?V1)[[\w]&&[{_UNSPACED}\p{{M}}]]+|[[\w]--[_{_UNSPACED}]]+")
_UNSPACED_START = regex.compile(rf"(?V1)[{_UNSPACED}]")
_GRAPHEME = regex.compile(r"\X")


def words(text: str, language: str = "en") -> list[str]:
    """The words of a text, lowered, without punctuation.

    >>> words("Don't!"), words("你好，world 2"), words("ที่นี่")
    (['don', 't'], ['你', '好', 'world', '2'], ['ที่', 'นี่'])
    """
    found = []
    for run in _RUN.findall(lowered(unicodedata.normalize("NFC", text), language)):
        found += _GRAPHEME.findall(run) if _UNSPACED_START.match(run) else [run]
    return found


def lowered(text: str, language: str) -> str:
    """The text in lower case, Turkish by its own rule: 'I' -> 'ı', 'İ' -> 'i'."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()
