"""Bits per byte and per character of text, from its log-probability; the mean over languages."""

import math
from collections.abc import Mapping, Sequence

Sizes = tuple[int, int]  # UTF-8 bytes, characters (code points)


def sizes(text: str) -> Sizes:
    """How many UTF-8 bytes and code points a text has; a Thai character is three bytes.

    >>> sizes("ไทย")
    (9, 3)
    """
    return len(text.encode()), len(text)


def bits(targets: Sequence[Sizes], scores: Sequence[tuple[float, int]]) -> Mapping[str, float]:
    """Bits per byte, bits per character and nats per token of documents taken together.

    Args:
        targets: per document its bytes and characters.
        scores: per document (sum of log-probabilities in nats, number of tokens).
    """
    nats = -sum(total for total, _ in scores)
    n_bytes, n_characters = (sum(column) for column in zip(*targets, strict=True))
    return {
        "bits_per_byte": nats / math.log(2) / n_bytes,
        "bits_per_character": nats / math.log(2) / n_characters,
        "nats_per_token": nats / sum(tokens for _, tokens in scores),
        "items": len(targets),
    }
