"""JSON files that say whether they are what was written: a field `sha256` of all their others."""

import hashlib
import json
from collections.abc import Mapping

SEAL = "sha256"


def sealed(fields: Mapping) -> dict:
    """Fields as JSON gives them back, and their seal."""
    plain = json.loads(json.dumps(fields))
    return plain | {SEAL: _seal(plain)}


def opened(text: bytes, needs_seal: str = "") -> dict:
    """The fields of a sealed text; of one without a seal too, as earlier versions wrote them.

    needs_seal: a field that only sealed ones have. Any other text is a ValueError or a TypeError.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise TypeError("it is no JSON object")
    seal = fields.pop(SEAL, None)
    if seal is None and needs_seal and needs_seal in fields:
        raise ValueError(f"it has no {SEAL}")
    if seal is not None and seal != _seal(fields):
        raise ValueError(f"its {SEAL} is another")
    return fields


def _seal(fields: Mapping) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
