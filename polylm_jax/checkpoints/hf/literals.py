"""Pieces that a text may spell and must not become, and those that it must: cuts before the model.

A control piece or a byte piece ('</s>', '<0x0A>') that a user writes is text: SentencePiece spells it
with other pieces. The tokenizers library's models know no types of pieces, so such a text is cut
in two, '<' and '/s>', at a place that no piece of the vocabulary reaches across: then the cut
changes nothing else.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from sentencepiece import sentencepiece_model_pb2

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # SentencePiece.Type
BYTES = [f"<0x{value:02X}>" for value in range(256)]

Model: TypeAlias = sentencepiece_model_pb2.ModelProto


def user_defined(proto: Model) -> list[str]:
    """The user-defined pieces that a text can become.

    One with a blank (not U+2581) never does: blanks are U+2581 by the time that it is looked for.
    """
    pieces = (piece.piece for piece in proto.pieces if piece.type == USER_DEFINED)
    return [piece for piece in pieces if " " not in piece]


def longest_first(texts: Iterable[str]) -> str:
    """A regular expression that finds, at each place, the longest of some texts."""
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def cut_pattern(proto: Model) -> str:
    """A regular expression for the heads of control and byte pieces in a text; '' without any."""
    by_head: dict[str, list[str]] = {}
    for literal, place, _ in cuts(proto):
        by_head.setdefault(literal[:place], []).append(literal[place:])
    return "|".join(f"{re.escape(head)}(?={_any(rests)})" for head, rests in by_head.items())


def _any(texts: Sequence[str]) -> str:
    """One of some texts; the rests of all 256 byte pieces as one range."""
    every = {text[1:] for text in BYTES}
    if not every <= set(texts):
        return "|".join(map(re.escape, texts))
    others = [re.escape(text) for text in texts if text not in every]
    return "|".join([*others, "0x[0-9A-F][0-9A-F]>"])


def cuts(proto: Model) -> list[tuple[str, int, list[str]]]:
    """(control or byte piece, where to cut it, pieces that reach across that place).

    The first place that none reaches across; where there is no such, the first one. `<unk>` reaches
    across where neither side is known, since unknown characters side by side are one.
    """
    made = [p.piece for p in proto.pieces if p.type in (NORMAL, USER_DEFINED)]
    having = functools.cache(lambda pair: [piece for piece in made if pair in piece])
    known = set(made)
    unknown = [] if proto.trainer_spec.byte_fallback else [proto.trainer_spec.unk_piece]
    found = []
    for literal in (p.piece for p in proto.pieces if p.type in (UNKNOWN, CONTROL, BYTE)):
        across = {
            place: [
                p for p in having(literal[place - 1 : place + 1]) if _reaches(p, literal, place)
            ]
            + (unknown if known.isdisjoint(literal[place - 1 : place + 1]) else [])
            for place in range(1, len(literal))
        }
        if across:  # of a single character there is nothing to cut
            place = next((place for place, pieces in across.items() if not pieces), 1)
            found.append((literal, place, across[place]))
    return found


def _reaches(piece: str, literal: str, place: int) -> bool:
    """Whether a piece can stand over the place within the literal: '</' or 'x<' + '/' over 1 of '</s>'."""
    left, right = literal[:place], literal[place:]
    for border in range(1, len(piece)):
        before, after = piece[:border], piece[border:]
        fits_left = left.endswith(before) or before.endswith(left)
        if fits_left and (right.startswith(after) or after.startswith(right)):
            return True
    return False
