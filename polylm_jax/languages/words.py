"""Words in any script: for metrics, for likeness, for lengths.

Chinese, Japanese and Thai write no spaces; a dictionary would find words there, each another. So
their words are graphemes: a Thai consonant with its vowel signs and tone is one.
"""

import unicodedata

import regex

from polylm_jax.languages.scripts import unspaced_characters

_UNSPACED = unspaced_characters() + "ー々〆"
# A run of letters, digits and their marks; one of an unspaced script is cut into graphemes.
_RUN = regex.compile(rf"(?V1)[[\w]&&[{_UNSPACED}\p{{M}}]]+|[[\w]--[_{_UNSPACED}]]+")
_UNSPACED_START = regex.compile(rf"(?V1)[{_UNSPACED}]")
_GRAPHEME = regex.compile(r"\X")
# The same with Hangul by the syllable, `_` as a letter, and runs of punctuation as units.
_SEGMENT = regex.compile(
    rf"(?V1)[{_UNSPACED}\p{{Hangul}}\p{{M}}]+|[[\w\p{{M}}]--[{_UNSPACED}\p{{Hangul}}]]+|[^\w\s]+"
)
_FINE_START = regex.compile(rf"(?V1)[{_UNSPACED}\p{{Hangul}}]")
# Arabic vowel signs and the stretch, Hebrew points: one writer sets them, another doesn't.
_OPTIONAL = regex.compile(r"[\u0591-\u05BD\u05BF-\u05C7\u0640\u064B-\u065F\u0670]")
# Graphemes that say what a word of another language says, by script.
GRAPHEMES_PER_WORD = {"Hans": 1.6, "Hant": 1.6, "Jpan": 2.0, "Thai": 3.0}


def words(text: str, language: str = "en") -> list[str]:
    """The words of a text, lowered, without punctuation.

    >>> words("Don't!"), words("你好，world 2"), words("ที่นี่")
    (['don', 't'], ['你', '好', 'world', '2'], ['ที่', 'นี่'])
    """
    text = lowered(unicodedata.normalize("NFC", text), language)
    return _cut(_RUN.findall(text), _UNSPACED_START)


def segments(text: str, language: str = "en") -> list[str]:
    """What likeness is counted in: every part of a text that isn't space, punctuation too.

    Never coarser than the segmenters of the paper (section 4): NLTK's wordpunct, KyTea for Japanese
    and Okt for Korean, whose morphemes are of whole graphemes. Vowel signs of Arabic and points of
    Hebrew are left out, so that a text is like itself with and without them.

    >>> segments("Don't!"), segments("값은 얼마?"), segments("ที่ 2")
    (['don', "'", 't', '!'], ['값', '은', '얼', '마', '?'], ['ที่', '2'])
    """
    text = _OPTIONAL.sub("", lowered(unicodedata.normalize("NFKC", text), language))
    return _cut(_SEGMENT.findall(text), _FINE_START)


def _cut(runs: list[str], fine: regex.Pattern) -> list[str]:
    """The runs, those that begin as `fine` says cut into graphemes."""
    found: list[str] = []
    for run in runs:
        found += _GRAPHEME.findall(run) if fine.match(run) else [run]
    return found


def lowered(text: str, language: str) -> str:
    """The text in lower case, Turkish by its own rule: 'I' -> 'ı', 'İ' -> 'i'."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()
