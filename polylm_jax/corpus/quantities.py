"""The numbers of a sentence as what they may mean, to compare them across languages.

1,250.50 is 1.250,50; 3:30 p.m. is 15:30; 5/16/2024 is 16.05.2024; 1.5 million is 1500000; 10 lb is
about 4.5 kg; and a Thai year is 543 ahead. A number matches another if one meaning of each agrees.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from polylm_jax.corpus import measures

# A number next to a letter of these isn't one ('file2', 'v3'); other scripts write them together.
_WORDS = r"\p{Latin}\p{Cyrillic}\p{Greek}"
_NUMBER = regex.compile(
    rf"(?<![{_WORDS}\p{{Nd}}_.])\p{{Nd}}+(?:[.,٫٬’]\p{{Nd}}+)*(?![\p{{Nd}}_])(?P<suffix>[{_WORDS}]*)"
)
_DATE = regex.compile(
    r"(?<![\p{Nd}.,])(\p{Nd}{1,4})([-/.])(\p{Nd}{1,2})\2(\p{Nd}{2,4})(?![\p{Nd}]|[.,]\p{Nd})"
)
_TIME = regex.compile(
    r"(?<!\p{Nd})(\p{Nd}{1,2})(?:[:h]|\s?[時时点點시]\s?)(\p{Nd}{2})?(?::\p{Nd}{2})?(?!\p{Nd})"
)
_CLOCK = regex.compile(
    r"(?i)\b[ap]\.?\s?m\b|\bUhr\b|[時时点點시]|o'clock|\bheures?\b|\bhoras?\b|\bore\b|\buur\b|\bgodz|"
    r"\bчас|\bsaat\b|\bpukul\b|\bgiờ\b|นาฬิกา|โมง|\bน\.|الساعة|בשעה|\d\s?h\b"
)
_HAN = regex.compile(r"[〇零一二三四五六七八九]{2,}|[〇零一二三四五六七八九十百千]{2,}")
_HAN_DIGITS = {c: n for n, row in enumerate(("〇零", *"一二三四五六七八九")) for c in row}
_HAN_TENS = {"十": 10, "百": 100, "千": 1000}
_HAN_SCALES = {
    "千": 1e3,
    "천": 1e3,
    "万": 1e4,
    "萬": 1e4,
    "만": 1e4,
    "亿": 1e8,
    "億": 1e8,
    "억": 1e8,
}
_ERAS = {
    "令和": 2018,
    "平成": 1988,
    "昭和": 1925,
    "大正": 1911,
    "明治": 1867,
    "民國": 1911,
    "民国": 1911,
}
# '1億2500万' is one number, and so is '3만 5천'.
_COMPOUND = regex.compile(
    r"(?<![\p{Nd}.,])(?:\p{Nd}[\p{Nd},]*\s?[千천万萬만亿億억]\s?){1,3}\p{Nd}[\p{Nd},]*\s?[千천万萬만亿億억]?(?![\p{Nd}.,])"
)
_PART = regex.compile(r"(\p{Nd}[\p{Nd},]*)\s?([千천万萬만亿億억]?)")
_ERA = regex.compile(rf"({'|'.join(_ERAS)})\s?(\p{{Nd}}+|元)年")
# Years that another calendar counts for a year of ours, less ours.
_CALENDARS = {"th": (543,), "lo": (543,), "km": (543,), "fa": (-621, -622), "am": (-7, -8)}
_SCALES = tuple(10.0**k for k in range(3, 13))  # thousand, 万, lakh, million ... billion


@dataclass(frozen=True)
class Quantity:
    """One number.

    Attributes:
        values: what it may be as a number: '1,500' is 1500 or 1.5.
        times: minutes of half a day that it may name.
        measures: (dimension, amount in its first unit) where a unit stands behind it.
        weak: it may go unmatched: an ordinal, a part of a word ('2nd', '3D').
        year: it is a number of four digits, written as one.
    """

    values: frozenset[float]
    times: frozenset[int] = frozenset()
    measures: frozenset[tuple[str, float]] = frozenset()
    weak: bool = False
    year: bool = False


def found(side: str, code: str, clock: bool) -> list[Quantity]:
    """The numbers of a sentence in a language. clock: whether hours are spoken of."""
    side = unicodedata.normalize("NFKC", side)
    quantities: list[Quantity] = []
    for pattern, made in (
        (_ERA, _eras),
        (_COMPOUND, _sums),
        (_DATE, _dates),
        *([(_TIME, _times)] if clock else []),
    ):
        for match in pattern.finditer(side):
            quantities += made(match)
        side = pattern.sub(lambda m: " " * len(m[0]), side)
    quantities += [_number(match, side, code, clock) for match in _NUMBER.finditer(side)]
    return [*quantities, *_han(side)]


def _digits(written: str) -> str:
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in written)


def _eras(match: regex.Match) -> Iterator[Quantity]:
    year = 1 if match[2] == "元" else int(_digits(match[2]))
    yield Quantity(frozenset({float(year), float(_ERAS[match[1]] + year)}))


def _sums(match: regex.Match) -> Iterator[Quantity]:
    parts = _PART.findall(match[0])
    total = sum(float(_digits(n.replace(",", ""))) * _HAN_SCALES.get(unit, 1) for n, unit in parts)
    yield Quantity(frozenset({total}))


def _dates(match: regex.Match) -> Iterator[Quantity]:
    for part in (match[1], match[3], match[4]):
        value = float(_digits(part))
        years = {1900 + value, 2000 + value} if len(part) == 2 and part == match[4] else set()
        yield Quantity(frozenset({value, *years}))


def _times(match: regex.Match) -> Iterator[Quantity]:
    hour, minute = int(_digits(match[1])), int(_digits(match[2] or "0"))
    yield Quantity(frozenset(), frozenset({(60 * hour + minute) % 720}))


def _number(match: regex.Match, side: str, code: str, clock: bool) -> Quantity:
    suffix = match["suffix"]
    written = _digits(match[0].removesuffix(suffix)).translate(str.maketrans("٫٬’", ".,'"))
    values = set(_values(written))
    scale = _HAN_SCALES.get(side[match.end() : match.end() + 1])
    values |= {value * scale for value in list(values)} if scale else set()
    year = len(written) == 4 and written.isdecimal() and 1000 <= int(written) < 3000
    if year and suffix == "s" and written.endswith("0"):
        values.add(float(written[2:]))  # the 1960s are gli anni '60
    if year:
        values |= {v - ahead for v in list(values) for ahead in _CALENDARS.get(code, ())}
    times = set()
    if clock and written.replace(".", "").isdecimal():
        hour, _, minute = written.partition(".")
        if int(hour) <= 24 and len(minute) in (0, 2):
            times.add((60 * int(hour) + int(minute or 0)) % 720)
    behind = side[match.end() - len(suffix) : match.end() + measures.LONGEST]
    said = measures.read(behind, min(values), code)
    weak = bool(suffix) and not said
    return Quantity(frozenset(values), frozenset(times), frozenset(said), weak, year and not suffix)


def _values(written: str) -> Iterator[float]:
    """'1.250,50' -> 1250.5; '1,500' -> 1500 and 1.5; '1.2.3' -> 123."""
    marks = [c for c in written if not c.isdecimal()]
    plain = written.replace("'", "").replace("," if marks and marks[-1] == "." else ".", "")
    last = marks[-1] if marks else ""
    rest = written.rpartition(last)[2] if last and last != "'" else ""
    if not last or last == "'" or len(rest) == 3 or marks.count(last) > 1:
        yield float("".join(c for c in written if c.isdecimal()))
    if last and last != "'" and marks.count(last) == 1:
        yield float(plain.replace(",", "."))


def _han(side: str) -> Iterator[Quantity]:
    """Numbers in Chinese characters: '一九八七' and '三十五'. They may go unmatched: '一一' is a word too."""
    for match in _HAN.finditer(side):
        total, one = 0, 0
        for c in match[0]:
            if c in _HAN_TENS:
                total, one = total + max(1, one) * _HAN_TENS[c], 0
            else:
                one = one * 10 + _HAN_DIGITS[c]
        yield Quantity(frozenset({float(total + one)}), weak=True)


def match(a: Quantity, b: Quantity) -> bool:
    """Whether two numbers may mean the same."""
    if a.values & b.values or a.times & b.times:
        return True
    if any(
        one == other and measures.close(one, x, y)
        for one, x in a.measures
        for other, y in b.measures
    ):
        return True
    # '3,900' is 3900 here: as 3.9 it would be ten thousandth of 39,000.
    return bool(a.values and b.values) and _scaled(max(a.values), max(b.values))


def _scaled(x: float, y: float) -> bool:
    small, large = sorted((abs(x), abs(y)))
    return small > 0 and any(math.isclose(large, small * scale, rel_tol=1e-6) for scale in _SCALES)


_SPACED = regex.compile(r"(?<![\p{Nd}.,])\p{Nd}{1,3}(?: \p{Nd}{3})+(?![\p{Nd}]| \p{Nd})")


def differ(sides: Sequence[str], codes: Sequence[str]) -> bool:
    """Whether two sentences have numbers that contradict each other, also where '1 250 000' is one.

    Each has one that the other lacks; or one has a year and the other no number at all. A number
    that one side lacks beside others may be written out there.
    """
    if not any(c.isdecimal() for side in sides for c in side):
        return False
    if not _contradict(sides, codes):
        return False
    plain = [unicodedata.normalize("NFKC", side) for side in sides]
    joined = [_SPACED.sub(lambda m: m[0].replace(" ", ""), side) for side in plain]
    return joined == plain or _contradict(joined, codes)


def _contradict(sides: Sequence[str], codes: Sequence[str]) -> bool:
    clock = any(_CLOCK.search(side) or _TIME.search(side) for side in sides)
    first, second = (found(side, code, clock) for side, code in zip(sides, codes))
    alone = [
        [q for q in ours if not q.weak and not any(match(q, other) for other in theirs)]
        for ours, theirs in ((first, second), (second, first))
    ]
    if all(alone):
        return True
    return any(q.year for q in alone[0] + alone[1]) and not (first and second)
