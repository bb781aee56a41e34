"""Line-level repairs: addresses, over-long words, invisible characters, white space."""

import re
from collections import Counter

import regex

from polylm_jax.corpus import invisible

MAX_INVISIBLE = 0.01  # of all characters; a text with more was made to hide something
MAX_WORD = 100  # characters without a space, in scripts that have spaces; no language needs as many

_URL = r"(?:(?:https?|ftp)://|www\.)[^\s<>\"'»」）)\]]+"
# A line that says nothing beside its addresses goes; an address in a sentence stays.
_URL_LINE = regex.compile(rf"^[\s\p{{P}}\p{{S}}]*(?:{_URL}[\s\p{{P}}\p{{S}}]*)+$")
_URL_ANYWHERE = regex.compile(_URL)
_LONG = regex.compile(
    rf"[^\s\p{{Han}}\p{{Hiragana}}\p{{Katakana}}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]{{{MAX_WORD + 1},}}"
)
# Of subtitles, with its number.
_CUE = re.compile(r"(?m)^(?:\d+\n)?(?:\d+:)?\d\d:\d\d[.,]\d{3} --> .*(?:\n|$)")
_BLANKS = re.compile(r"\n{3,}")  # of lines without space around them
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")


def invisible_share(text: str) -> float:
    """Characters that hide something / all characters; see `corpus.invisible`."""
    return invisible.hidden(text) / len(text) if invisible.suspicious(text) else 0.0


def repaired(text: str, hiding: bool = True) -> tuple[str, Counter]:
    """(the text, what was done to it: 'URL lines', 'subtitle times', 'long words', 'invisible
    characters', 'spaces').

    hiding: whether it may have invisible characters; the search is half of the time.

    >>> repaired("See  here:\\r\\nhttps://a.example/b")[0]
    'See here:'
    """
    done: Counter[str] = Counter()
    text = _LINE_ENDS.sub("\n", text)
    if " --> " in text:
        text, done["subtitle times"] = _CUE.subn("", text)
    if hiding:
        text, done["invisible characters"] = invisible.unhidden(invisible.untypeset(text)[0])
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
    joined = "\n".join(kept)
    done["spaces"] += len(joined) != len(text)
    return _BLANKS.sub("\n\n", joined).strip(), +done


def _without_long_words(line: str, done: Counter) -> str:
    """An address may be long; what is as long and no address may not."""

    def keep(found: regex.Match) -> str:
        if _URL_ANYWHERE.search(found[0]):
            return found[0]
        done["long words"] += 1
        return ""

    return _LONG.sub(keep, line)
