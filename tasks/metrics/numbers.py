"""The number that an answer ends with, in the digits of any script."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

# Digits with separators between them: 1,234.5 and 1 234,5 and ١٬٢٣٤.
_NUMBER = re.compile(r"-?\d+(?:[.,\u066b\u066c\u00a0\u202f']\d+)*")
_GROUP = re.compile(r"[,.\u066c\u00a0\u202f'](?=\d{3}(?:\D|$))")


def number(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str]
) -> Mapping[str, float]:
    """{'number': percent of answers whose last number is the right one}.

    >>> number([["1000"]], ["so it is 1,000."])
    {'number': 100.0}
    """
    hits = 0
    for target, prediction in zip(targets, predictions, strict=True):
        wanted = [target] if isinstance(target, str) else target
        found = last(prediction)
        hits += found is not None and any(found == last(str(one)) for one in wanted)
    return {"number": 100 * hits / len(predictions)}


def last(text: str) -> Decimal | None:
    """The last number of a text; a separator before just three digits groups them.

    >>> last("first 3, then 1,234.5"), last("๑๒"), last("none")
    (Decimal('1234.5'), Decimal('12'), None)
    """
    found = _NUMBER.findall(text)
    if not found:
        return None
    digits = "".join(_digit(character) for character in _GROUP.sub("", found[-1]))
    try:
        return Decimal(digits.replace(",", ".").replace("\u066b", "."))
    except InvalidOperation:
        return None


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)
