"""What is wrong with an instruction record: MultiAlpaca's own defects, as counted in its files.

A record is left out for a reason or kept as it is: nothing is edited.
"""

import re
from collections.abc import Callable, Mapping

from polylm_jax.text.instruction_words import FIELD_OF, FIELDS, NONE, bare

OPENING, CLOSING = "\"'「『“”„«‹‘《〈＂", "\"'」』”“»›’》〉＂"
PAIRS = dict(zip("「『“«‹‘《〈„", "」』”»›’》〉”", strict=True))
_WORDS = "|".join(re.escape(word) for word in sorted(FIELD_OF, key=len, reverse=True))
NUMBERING = re.compile(
    rf"^\s*\d+\s*[.)．。、]\s*(?:{_WORDS})\s*[:：]", re.IGNORECASE | re.MULTILINE
)


def reason(record: Mapping) -> str:
    """Why a record is left out, '' where it is kept; the first rule that applies."""
    for name, applies in RULES.items():
        if applies(record):
            return name
    return ""


def wrapped(text: str) -> bool:
    """Whether the whole of a text stands between quotation marks: '"Add 1 and 2."', not '"a" or "b"'.

    Marks that tell opening from closing must pair, or not match at all ('「...\"').
    """
    text = text.strip()
    if len(text) < 3 or text[0] not in OPENING or text[-1] not in CLOSING:
        return False
    inner, close = text[1:-1], PAIRS.get(text[0])
    if close == text[-1]:
        return _closes_last(text, text[0], close)
    if text[0] == text[-1]:
        return inner.count(text[0]) % 2 == 0 and not re.match(
            rf"[^{text[0]}]*{text[0]}[\s,;、，と].*[\s,;、，と]{text[0]}", inner, re.DOTALL
        )
    return True


def _closes_last(text: str, opening: str, closing: str) -> bool:
    depth = 0
    for place, character in enumerate(text):
        depth += (character == opening) - (character == closing)
        if depth == 0:
            return place == len(text) - 1
    return True


def _text(record: Mapping, field: str) -> str:
    value = record.get(field)
    return value if isinstance(value, str) else ""


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


RULES: dict[str, Callable[[Mapping], bool]] = {
    "the output is 'None'": lambda r: bare(_text(r, "output")) in NONE,
    "the output is empty": lambda r: _is_blank(r.get("output", "?")),
    "the instruction stands in quotes": lambda r: wrapped(_text(r, "instruction")),
    "numbering of the prompt is left over": lambda r: any(
        NUMBERING.search(_text(r, field)) for field in FIELDS
    ),
}
