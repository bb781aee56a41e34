"""Line-level repairs: addresses, over-long words, invisible characters, white space."""

import functools
from collections import Counter

import regex

from polylm_jax.corpus import characters

MAX_INVISIBLE = 0.01  # of all characters; a text with more was made to hide something
MAX_WORD = 100  # characters without a space, in scripts that have spaces; no language needs as many

_URL = r"(?:(?:https?|ftp)://|www\.)[^\s<>\"'»」）)\]]+"
# A line that says nothing beside its addresses goes; an address in a sentence stays.
_URL_LINE = regex.compile(rf"^[\s\p{{P}}\p{{S}}]*(?:{_URL}[\s\p{{P}}\p{{S}}]*)+$")
_URL_ANYWHERE = regex.compile(_URL)
_LONG = regex.compile(
    rf"[^\s\p{{Han}}\p{{Hiragana}}\p{{Katakana}}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]{{{MAX_WORD + 1},}}"
)
_BLANKS = regex.compile(r"\n(?:\s*\n)+")
_LINE_ENDS = regex.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")


@functools.cache
def _invisible() -> regex.Pattern:
    """Zero-width and control characters; joiners and marks of direction are text and stay."""
    return regex.compile(
        r"[[\p{Cf}\p{Cc}]--[\t\n\r\u200c\u200d\u200e\u200f\u061c]]", regex.VERSION1
    )


def invisible_share(text: str) -> float:
    """Invisible characters / all characters."""
    if text.isascii() and text.isprintable():
        return 0.0
    kinds = characters.classes()[characters.code_points(_LINE_ENDS.sub("\n", text))]
    return float((kinds & characters.INVISIBLE > 0).mean()) if len(kinds) else 0.0


def repaired(text: str, invisible: bool = True) -> tuple[str, Counter]:
    """(the text, what was done to it: 'URL lines', 'long words', 'invisible characters', 'spaces').

    invisible: whether it may have invisible characters; the search is half of the time.

    >>> repaired("See  here:\\r\\nhttps://a.example/b")[0]
    'See here:'
    """
    done = Counter()
    text = _LINE_ENDS.sub("\n", text)
    if invisible:
        text, done["invisible characters"] = _invisible().subn("", text)
    kept = []
    for line in text.split("\n"):
        if "://" in line or "www." in line:
            if _URL_LINE.match(line):
                done["URL lines"] += 1
                continue
            line = _without_long_words(line, done)
        elif len(line) > MAX_WORD:
            line, count = _LONG.subn("", line)
            done["long words"] += count
        kept.append(" ".join(line.split()))
    joined = _BLANKS.sub("\n\n", "\n".join(kept)).strip()
    done["spaces"] += len("\n".join(kept)) != len(text)
    return joined, +done


def _without_long_words(line: str, done: Counter) -> str:
    """An address may be long; what is as long and no address may not."""

    def keep(found: regex.Match) -> str:
        if _URL_ANYWHERE.search(found[0]):
            return found[0]
        done["long words"] += 1
        return ""

    return _LONG.sub(keep, line)
