"""Requests: what is scored given what, as token ids, cut where lm_eval 0.4 cuts them.

    ("Il gatto ", "dorme")  ->  context ids of "Il gatto", continuation ids of " dorme"
    ("", "Il gatto")        ->  context [EOS], continuation ids of "Il gatto"

Context and continuation are encoded as one text, and the ids after as many as the context alone
has are the continuation's. So a piece that spans the border counts as the text's tokenization has
it, not as two texts' would.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax.tokenizer.tokenizer import Tokenizer

Ids = np.ndarray  # int32 [tokens]


class Request(NamedTuple):
    """Token ids: log p of `continuation` given `context`, each with one token at least."""

    context: Ids
    continuation: Ids

    @property
    def input_length(self) -> int:
        """Tokens that the model reads: all but the last."""
        return len(self.context) + len(self.continuation) - 1


def encode_pairs(
    tokenizer: Tokenizer, pairs: Iterable[tuple[str, str]], num_threads: int = -1
) -> list[Request]:
    """(context, continuation) texts -> requests.

    White space that ends a context goes to its continuation; an empty context is EOS. A
    continuation that a piece of the context swallows whole is encoded by itself.
    """
    moved = [_spaces_moved(context, continuation) for context, continuation in pairs]
    contexts = [*dict.fromkeys(context for context, _ in moved)]  # choices share theirs
    found = tokenizer.encode_batch(contexts, num_threads)
    context_ids = dict(zip(contexts, found, strict=True))
    whole_ids = tokenizer.encode_batch([c + t for c, t in moved], num_threads)
    return [
        _cut(tokenizer, context_ids[context], whole, continuation)
        for (context, continuation), whole in zip(moved, whole_ids, strict=True)
    ]


def _spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _cut(tokenizer: Tokenizer, context: Ids, whole: Ids, continuation: str) -> Request:
    eos = np.array([tokenizer.eos_id], np.int32)
    if not len(context):
        return Request(eos, whole)
    rest = whole[len(context) :]
    if not len(rest):
        rest = np.array(tokenizer.encode(continuation), np.int32)
    return Request(context, rest)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], num_threads: int = -1) -> list[Ids]:
    """The ids of whole texts, nothing added."""
    return tokenizer.encode_batch(list(texts), num_threads)


def windows(texts: Iterable[Ids], prefix: int, max_length: int) -> tuple[list[Request], list[int]]:
    """`rolling` of many texts: (their requests, for each the number of its text)."""
    found: list[Request] = []
    owner: list[int] = []
    for number, ids in enumerate(texts):
        some = rolling(ids, prefix, max_length)
        found += some
        owner += [number] * len(some)
    return found, owner


def rolling(ids: Ids, prefix: int, max_length: int) -> list[Request]:
    """A text of any length as requests that score each of its tokens once, after `prefix`.

    The last window has as much context as the model takes. With max_length 4, prefix P:

        tokens  0 1 2 3 4 5 6 7 8 9
        read    P 0 1 2 | 3 4 5 6 | 5 6 7 8
        scored  0 1 2 3 | 4 5 6 7 |     8 9
    """
    text = np.concatenate([np.array([prefix], np.int32), np.asarray(ids, np.int32)])
    windows = []
    for first in range(1, len(text), max_length):
        stop = min(first + max_length, len(text))
        start = max(0, stop - max_length - 1)
        windows.append(Request(text[start:first], text[first:stop]))
    return windows
