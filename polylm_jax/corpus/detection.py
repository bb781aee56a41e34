"""CLD2: which of 165 languages a text is in, at 14 MB/s, and how much it is like that language.

The detector answers for every text; its score tells how much that is worth. Good text of the 18
languages has 500 and more per kilobyte, mojibake 1 to 13, romanised Arabic, Chinese or Russian up to
350: what is in no language that it knows.
"""

import functools
import re
from dataclasses import dataclass

import pycld2

from polylm_jax.errors import InputError
from polylm_jax.languages import registry

UNKNOWN = "und"
_CODES = {"iw": "he", "jw": "jv", "un": UNKNOWN, "sr-ME": "sr", "zh-Hant": "zh"}
# Scores of good text where they are of another size: a character of Chinese says more.
_ORDINARY = {"zh": 1900.0, "ja": 2900.0, "ko": 3500.0, "es": 400.0, "it": 450.0}
_OTHERS_ORDINARY = 550.0
_REFUSED = re.compile(  # by CLD2, as no characters of a text
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
    "|["
    + "".join(f"{chr((n << 16) | 0xFFFE)}{chr((n << 16) | 0xFFFF)}" for n in range(1, 17))
    + "]"
)


@dataclass(frozen=True)
class Detected:
    """Attributes:
    code: the language that most of a text is in; 'und' for none.
    share: of the bytes that it takes for any language's, those in it, 0 to 1.
    fluency: how much like it, 1 for ordinary text; under a half it is hardly any.
    parts: (language, share, fluency) of up to three languages, the first among them.
    """

    code: str
    share: float
    fluency: float
    parts: tuple[tuple[str, float, float], ...] = ()


def knows(code: str) -> bool:
    """Whether CLD2 tells a language, by the project's code of it."""
    return code in _known(tuple(registry.LANGUAGES))


@functools.lru_cache(maxsize=4)
def _known(registered: tuple[str, ...]) -> frozenset[str]:
    detected = set(pycld2.DETECTED_LANGUAGES)
    return frozenset(canonical(code) for name, code in pycld2.LANGUAGES if name in detected)


def canonical(code: str) -> str:
    """A detector's code as the project has it ('iw' -> 'he'), unknown ones as they are."""
    return _canonical(code, tuple(registry.LANGUAGES))


@functools.lru_cache(maxsize=1024)
def _canonical(code: str, registered: tuple[str, ...]) -> str:
    code = _CODES.get(code, code)
    try:
        return registry.find(code).code
    except InputError:
        return code


def detected(text: str) -> Detected:
    """What CLD2 finds in a text; nothing in one without letters."""
    plain = text.replace("\n", " ").isprintable()  # most is, and it is quick to tell
    return _detected(text if plain else _REFUSED.sub(" ", text))


@functools.lru_cache(maxsize=64)
def _detected(text: str) -> Detected:
    try:
        _, _, found = pycld2.detect(text, bestEffort=True)
    except (pycld2.error, ValueError):
        return Detected(UNKNOWN, 0.0, 0.0)
    parts: dict[str, tuple[float, float]] = {}
    for _, code, percent, score in found:
        if percent:
            code = canonical(code)
            share, value = parts.get(code, (0.0, 0.0))
            worth = score / _ORDINARY.get(code, _OTHERS_ORDINARY)
            parts[code] = share + percent / 100, max(value, min(1.0, worth))
    known = [(code, *value) for code, value in parts.items() if code != UNKNOWN]
    if not known:
        return Detected(UNKNOWN, 0.0, 0.0)
    total = sum(share for _, share, _ in known)
    known = [(code, share / total, value) for code, share, value in known]
    first = max(known, key=lambda part: part[1])
    return Detected(*first, tuple(known))
