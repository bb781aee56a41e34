"""The headings of an answer: where each task's instruction, input and output stand, however models write them.

    4. Instruction: ...      **4. Instruction:** ...    - 4. Instruction: ...    4\\. Instruction: ...
    Instruction 4: ...       Instrucción 4: ...         4. Anweisung: ...        ٤. التعليمات: ...

A word that `instruction_words` doesn't have is taken for the heading that it must be where every
task has the same three. Numbers may be missing after the first part, or everywhere.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import regex

from polylm_jax.text.instruction_words import FIELD_OF, FIELDS

Part = tuple[str, str]  # field, content
Group = tuple[int, list[Part]]  # number, its parts in order


class Mark(NamedTuple):
    """A heading: text[start:end]. word: in lower case."""

    start: int
    end: int
    number: int
    word: str


# Markdown, bullets, quotes, marks of direction and spaces: what may stand before a heading, or in it.
_BEFORE = r"^(?:[^\S\n]|[*_#>•·+\-–—\u200b-\u200f\u202a-\u202e(\[（【\\]){0,12}?"
_TAG = r"</?(?:b|strong|em|h[1-6]|p|li)>"  # of HTML
_BEFORE = _BEFORE.replace("(?:", rf"(?:{_TAG}|", 1)
_STARS = rf"(?:[^\S\n]|[*_]|{_TAG})*"
_AFTER = rf"[*_]*(?:{_TAG})?[^\S\n]*"
_DOT = (
    rf"(?:\ufe0f?\u20e3|[^\S\n]*\\?[.)．。、:：\]）】]){_STARS}"  # also behind the number in a key
)
_COLON = (  # or "4. Input - ...", or "**4. Input**" on a line of its own
    rf"(?:{_STARS}[:：]{_AFTER}|[^\S\n]+[-–—][^\S\n]+|[*_]+[^\S\n]*(?=\n))"
)
_WORD = r"\p{L}[\p{L}\p{M}\u200c\u200d' ]{0,29}?"
_KNOWN = "|".join(regex.escape(word) for word in sorted(FIELD_OF, key=len, reverse=True))
_FLAGS = regex.MULTILINE | regex.IGNORECASE

_RULE = regex.compile(r"[^\S\n]*(?:[-*_=~—–─]{3,}|(?:[-*_] ){2,}[-*_])[^\S\n]*")  # "---", "* * *"
_FENCE = regex.compile(r"^```.*$", regex.MULTILINE)


def _pattern(word: str, dot: str = _DOT) -> regex.Pattern:
    """A heading with its number: before the word or after it. dot: what stands between."""
    number = r"(\d{1,3})"
    return regex.compile(
        rf"{_BEFORE}(?:{number}{dot}({word}){_COLON}"
        rf"|({word})[^\S\n]*(?:#|№|[nN]\.?[ºo°]\.?)?[^\S\n]*{number}\.?{_STARS}[:：]{_AFTER})",
        _FLAGS,
    )


_NUMBERED, _ANY_NUMBERED = _pattern(_KNOWN, rf"(?:{_DOT}|[^\S\n]+)"), _pattern(_WORD)
_PLAIN = regex.compile(rf"{_BEFORE}({_KNOWN}){_STARS}[:：]{_AFTER}", _FLAGS)


def groups(text: str) -> list[Group]:
    """The tasks of an answer: a new one where a number or an instruction begins."""
    marks = _marks(_NUMBERED, text)
    fields: Mapping[str, str] = FIELD_OF
    if len({FIELD_OF[mark.word] for mark in marks}) < len(FIELDS):
        # None of the table's words, or not all: 'Задание' beside a known word for the input.
        every = _marks(_ANY_NUMBERED, text)
        if inferred := _inferred(every):
            fields, marks = inferred, [mark for mark in every if mark.word in inferred]
    if not marks:
        marks, fields = _counted(text), FIELD_OF
    found: list[Group] = []
    for mark, after in zip(marks, [*marks[1:], None]):
        field = fields[mark.word]
        if not found or mark.number != found[-1][0] or field == FIELDS[0]:
            found.append((mark.number, []))
        stop = after.start if after else len(text)
        found[-1][1].append((field, _content(text[mark.end : stop], after)))
    # The whole stands in a block of code.
    if found and len(_FENCE.findall(text[: marks[0].start])) % 2:
        field, content = found[-1][1][-1]
        found[-1][1][-1] = field, content.removesuffix("```").strip()
    return [(number, _completed(parts)) for number, parts in found]


def _marks(pattern: regex.Pattern, text: str) -> list[Mark]:
    return [
        Mark(m.start(), m.end(), int(m[1] or m[4]), (m[2] or m[3]).lower())
        for m in pattern.finditer(text)
    ]


def _inferred(marks: list[Mark]) -> Mapping[str, str]:
    """Word -> field where two numbers or more have the same three words, and most of them do."""
    words: dict[int, list[str]] = {}
    for mark in marks:
        words.setdefault(mark.number, []).append(mark.word)
    threes = Counter(tuple(one) for one in words.values() if len(one) == 3 == len(set(one)))
    if not threes:
        return {}
    three, times = threes.most_common(1)[0]
    return dict(zip(three, FIELDS)) if times > 1 and 2 * times >= len(words) else {}


def _counted(text: str) -> list[Mark]:
    """Headings where none has a number: the instructions are counted."""
    found, number = [], 0
    for m in _PLAIN.finditer(text):
        word = m[1].lower()
        number += FIELD_OF[word] == FIELDS[0]
        found.append(Mark(m.start(), m.end(), number, word))
    return found


def _completed(parts: list[Part]) -> list[Part]:
    """The parts, those that are missing looked for in the part before them, under headings without numbers."""
    parts = list(parts)
    for before, field in pairwise(FIELDS):
        names = [name for name, _ in parts]
        if field in names or names.count(before) != 1:
            continue
        place = names.index(before)
        content = parts[place][1]
        mark = next((m for m in _PLAIN.finditer(content) if FIELD_OF[m[1].lower()] == field), None)
        if mark:
            parts[place] = before, _content(content[: mark.start()], None)
            parts.insert(place + 1, (field, content[mark.end() :].strip()))
    return parts


def _content(text: str, after: Mark | None) -> str:
    """What stands under a heading, without a rule or a title of the next task at its end."""
    text = _without_rules(text)
    if after:
        title = rf"\n[^\S\n]*[#*]+[^\S\n]*(?:\p{{L}}+[^\S\n]*)?#?{after.number}[\s#*:.)]*\Z"
        text = _without_rules(regex.sub(title, "", text))
    return text


def _without_rules(text: str) -> str:
    text = text.strip()
    while _RULE.fullmatch(text.rpartition("\n")[2]):
        text = text.rpartition("\n")[0].rstrip()
    return text
