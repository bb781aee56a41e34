"""Which language of the world an answer is in, exactly: by script, and in Latin script by its words."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from tasks.toy_world.facts import World, book
from tasks.toy_world.instruction_types import wording

SCRIPTS = {"ru": "\u0400-\u04ff", "th": "\u0e00-\u0e7f"}
_LETTERS = re.compile(r"[^\W\d_]+")


def languages_of(text: str, there: World) -> frozenset[str]:
    """The languages that it may be in: none for names alone, for a mixture, for words of none.

    'no' is English and Spanish. Names are the same in every language and don't count.
    """
    names = {there.name(entity, "en") for entity in range(len(there.names))}
    for code, script in SCRIPTS.items():
        if re.search(f"[{script}]", text):
            rest = [
                w for w in _LETTERS.findall(re.sub(f"[{script}]+", " ", text)) if w not in names
            ]
            return frozenset() if rest else frozenset([code])
    words = {found.lower() for found in _LETTERS.findall(text) if found not in names}
    return frozenset(code for code in ("en", "es") if words and words <= _lexicon(code))


@functools.cache
def _lexicon(language: str) -> frozenset[str]:
    """Every word that the language has for the world."""
    text = " ".join([*_texts(book()[language]), *_texts(wording()[language])])
    text = re.sub(r"\{\w+\}", " ", text)
    return frozenset(word.lower() for word in _LETTERS.findall(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
