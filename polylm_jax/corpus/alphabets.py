"""The letters beyond a to z of languages in Latin script: what stands in their words beside these is foreign.

A name or two from abroad is nothing; one letter in a hundred is text in a wrong encoding: Turkish
'þýð' for 'şığ', Polish 'by³o' for 'było'.
"""

import functools
import re

import regex

LETTERS = {
    "ca": "àçèéíïòóúü·", "cs": "áčďéěíňóřšťúůýž", "da": "æøåé", "de": "äöüßé", "en": "éèêëïöüçñàâáíóô",
    "es": "áéíóúüñªº", "et": "äõöüšž", "fi": "äöåšž", "fr": "àâæçéèêëîïôœùûüÿ", "hr": "čćđšž",
    "hu": "áéíóöőúüű", "id": "éè", "it": "àèéìíîòóùúªº", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž",
    "nb": "æøåéèêóòôà", "nl": "áéíóúàèëïöüêçĳ", "nn": "æøåéèêóòôà", "no": "æøåéèêóòôà",
    "pl": "ąćęłńóśźżé", "pt": "áâãàçéêíóôõúüªº", "ro": "ăâîșțşţ", "sk": "áäčďéíĺľňóôŕšťúýž", "sl": "čšž",
    "sv": "åäöé", "tr": "çğıiöşüâîû",
    "vi": "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ",
}  # fmt: skip
# Icelandic's letters, and signs of Latin-1 inside a word or before its first letter. '¿' and '¡' begin
# a Spanish sentence, '²' and '³' end a measure.
_SIGN = r"[¦¬±²³´¶¸¹¼½¾£¥¨¯¢¤]"
_SUSPICIOUS = regex.compile(
    rf"[þýðÞÝÐ]|\p{{Latin}}[{_SIGN[1:-1]}¿¡]\p{{Latin}}|(?<![\p{{L}}\p{{N}}]){_SIGN}\p{{Latin}}{{2}}"
)
_ANY = re.compile(f"[þýðÞÝÐ¿¡{_SIGN[1:-1]}]")  # most texts have none: quick
_IN_WORDS = regex.compile(
    rf"(?<=\p{{Latin}})[{_SIGN[1:-1]}¿¡](?=\p{{Latin}})|(?<![\p{{L}}\p{{N}}]){_SIGN}(?=\p{{Latin}}{{2}})"
)
_LATIN = regex.compile(r"\p{Latin}")


def suspicious(text: str) -> bool:
    """Whether a text has a letter or a sign that wrong encodings have, at all."""
    return _ANY.search(text) is not None and _SUSPICIOUS.search(text) is not None


@functools.cache
def _letters(code: str) -> frozenset[str]:
    own = LETTERS[code]
    return frozenset(own + own.upper() + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def foreign(text: str, code: str) -> float:
    """Letters that the language hasn't, and signs inside of words / Latin letters; 0 where it isn't known.

    >>> foreign("Nie by³o kranu", "pl") > 0.05, foreign("Nie było kranu", "pl")
    (True, 0.0)
    """
    if code not in LETTERS:
        return 0.0
    found = _LATIN.findall(text)
    own = _letters(code)
    strange = sum(letter not in own for letter in found) + len(_IN_WORDS.findall(text))
    return strange / max(1, len(found))
