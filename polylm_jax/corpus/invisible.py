"""Characters that nobody sees, and what each is to a text: one table for all who judge or mend texts.

Unicode's format characters (Cf) are of many kinds: some are drawn after all (the end of an ayah),
some shape or order the letters around them, some say where a line may break, and some are only good
for hiding. Beside them stand variation selectors, which may carry any bytes behind one letter, and
letters that are blank.
"""

import re

import regex

# Drawn: number signs and verse marks of Arabic, abbreviation marks of Syriac, Kaithi's numbers.
VISIBLE = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
# They shape what stands beside them: joiners of Arabic, Indic scripts and emoji, Mongolian's vowel
# separator, the layout of hieroglyphs, shorthand and music.
JOINERS = "\u180e\u200c\u200d\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
# They order Hebrew and Arabic beside other scripts: marks, embeddings, isolates.
DIRECTION = "\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069"
# They turn letters round whatever script these have: text that reads otherwise than it is stored.
OVERRIDES = "\u202d\u202e"
# Where a line may break or may not: without them the same text stands there.
TYPESETTING = "\u00ad\u200b"
# What is left: glue between letters, a byte order mark inside a text, signs withdrawn from Unicode,
# annotations, and blank letters (Hangul's fillers, which stand for no sound).
HIDING = (
    f"{OVERRIDES}\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb\u3164\uffa0\U000e0000-\U000e001f"
)
TAGS = "\U000e0020-\U000e007f"
SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
CONTROLS = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # all but those that part lines or fields

# The flags of England, Scotland and Wales are tags behind a black flag; others may follow.
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
# Python's own engine, four times as fast at one set: most texts are asked this and nothing else.
_PAIRS = "\u202a-\u202c\u2066-\u2069"
_ANYTHING = re.compile(f"[{TYPESETTING}{HIDING}{TAGS}{SELECTORS}{CONTROLS}{_PAIRS}]")
# A selector behind a selector chooses no form; a space of no width between letters of a script that
# has spaces is no place to break a line at.
_HIDDEN = regex.compile(
    rf"(?V1){_FLAG}(*SKIP)(*FAIL)|[{HIDING}{TAGS}{CONTROLS}]|(?<=[{SELECTORS}])[{SELECTORS}]"
    r"|(?<=[\p{Latin}\p{Cyrillic}\p{Greek}])\u200b(?=[\p{Latin}\p{Cyrillic}\p{Greek}])"
)
_POP, _POP_ISOLATE = "\u202c", "\u2069"
_CLOSES = {"\u202a": _POP, "\u202b": _POP, **dict.fromkeys("\u2066\u2067\u2068", _POP_ISOLATE)}
_PAIRED, _PAIRS_THERE = re.compile(f"[\n{_PAIRS}]"), re.compile(f"[{_PAIRS}]")
_OVERRIDES = re.compile(f"[{OVERRIDES}]")
_TYPESETTING = regex.compile(rf"[{TYPESETTING}]")


def suspicious(text: str) -> bool:
    """Whether a text has anything at all that `hidden` or `untypeset` look at; quick."""
    return _ANYTHING.search(text) is not None


def hidden(text: str) -> int:
    """How many characters hide something or are good for nothing else; flags' tags are no such.

    >>> hidden("a\\u2060b"), hidden("می\\u200cخواهم"), hidden("\\u00adx"), hidden("a\\u2067b")
    (1, 0, 0, 1)
    """
    return sum(1 for _ in _HIDDEN.finditer(text)) + len(_unclosed(text))


def unhidden(text: str) -> tuple[str, int]:
    """(the text without what `hidden` counts, how many that were)."""
    alone = _unclosed(text)
    text = "".join(c for place, c in enumerate(text) if place not in alone) if alone else text
    text, count = _HIDDEN.subn("", text)
    return text, count + len(alone)


def turned(text: str) -> bool:
    """Whether a text turns its direction by an override, or by what it doesn't end in the same line."""
    return _OVERRIDES.search(text) is not None or bool(_unclosed(text))


def _unclosed(text: str) -> set[int]:
    """Where an embedding or isolate begins that doesn't end in its line, or ends without a beginning."""
    alone: set[int] = set()
    open_: list[tuple[str, int]] = []
    if not _PAIRS_THERE.search(text):
        return alone
    for found in _PAIRED.finditer(text):
        if found[0] == "\n":
            alone |= {place for _, place in open_}
            open_ = []
        elif found[0] in _CLOSES:
            open_.append((_CLOSES[found[0]], found.start()))
        elif open_ and open_[-1][0] == found[0]:
            open_.pop()
        else:
            alone.add(found.start())
    return alone | {place for _, place in open_}


def untypeset(text: str) -> tuple[str, int]:
    """(the text without soft hyphens and spaces of no width, how many there were)."""
    return _TYPESETTING.subn("", text)
