"""Held-out text: which documents no model and no tokenizer is trained on.

A document belongs to a group (`group_of`), and a keyed hash of the group decides, so everything
that shares an `id` (the translations of a page, the sentence pairs taken from it, both directions
of a pair) falls on the same side in every task, on every machine and in every run. The salt is
one for the whole project. Text without an `id` is its own group, as `normalise` writes it.
"""

import hashlib
import math
import unicodedata
from collections.abc import Mapping

from polylm_jax.errors import InputError

HELD_OUT_FRACTION = 0.01
ASCII_SPACE = bytes(n for n in range(128) if chr(n).isspace())
# The white space beyond ASCII that NFKC doesn't turn into a plain space.
OTHER_SPACE = [c.encode() for c in "\x85\u1680\u2028\u2029"]
SALT = b"PolyLM held out"  # blake2b takes 16 bytes at most; another salt is another split
_EMPTY = hashlib.blake2b(digest_size=8, salt=SALT)


def normalise(text: str) -> str:
    """NFKC, casefold, no white space.

    Chinese, Japanese and Thai have spaces at the writer's taste, so none tells two texts apart.

    >>> normalise("  Ｓtraße\\n\\nN° 5 ")
    'strassen°5'
    """
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    # A tenth of the time of "".join(folded.split()): every document of a corpus comes through here.
    data = folded.encode("utf-8", "surrogatepass").translate(None, ASCII_SPACE)
    for mark in OTHER_SPACE if not text.isascii() else ():
        data = data.replace(mark, b"")
    return data.decode("utf-8", "surrogatepass")


def group_of(identifier: str, text: str) -> str:
    """The group of a document: its `id` where it has one (not ''), else its normalised text."""
    return identifier or normalise(text)


def identifier(value: object) -> str:
    """What a record's `id` says, as text; '' where it says nothing.

    A missing value is no id: null, and NaN, which pandas writes for it. All records that lack
    one would else be one group.

    >>> identifier("7"), identifier(7), identifier(float("nan")), identifier(None)
    ('7', '7', '', '')
    """
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None or isinstance(value, bool | Mapping | list) else str(value)


def hash64(group: str) -> int:
    """A stable hash of a group, uniform on [0, 2**64)."""
    digest = _EMPTY.copy()  # half the time of a new one
    digest.update(group.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest(), "little")


def is_held_out(group: str, fraction: float = HELD_OUT_FRACTION) -> bool:
    """Whether a group is held out of training; `fraction` of all groups are.

    What a fraction holds out, every larger one holds out too.
    """
    return hash64(group) < fraction * 2**64


def check_fraction(fraction: float) -> float:
    """The fraction, when it's one: raises InputError unless 0 <= fraction < 1."""
    if not 0 <= fraction < 1:
        raise InputError(
            f"held_out is {fraction!r}: give the fraction of documents to hold out, "
            f"0 or more and below 1 ({HELD_OUT_FRACTION} by default)."
        )
    return fraction
