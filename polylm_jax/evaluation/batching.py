"""Requests into batches of few shapes: sorted by length, rows shared where one text begins another.

Shapes: P parts of the batch, one for each place that rows lie in, R rows of a part, B = P x R, T
tokens of a row, K = R x T places for labels in a part.

A batch is a matrix of token ids and, apart from it, a list of which positions are asked about and
which label each of them is asked for. So the vocabulary is only multiplied where a label is, and
requests that differ in their last token alone (A, B, C or D) are one row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax.evaluation.requests import Request
from polylm_jax.inference.generation.buckets import doubled

SMALLEST = 32


class Span(NamedTuple):
    """Where the labels of a request stand: part, first place and number of them."""

    request: int
    part: int
    first: int
    labels: int


class Batch(NamedTuple):
    """tokens int32 [B, T]; places and labels int32 [P, K]; fullest: labels of the fullest part.

    A place is slot x T + position: rows p x R ... p x R + R - 1 are the slots of part p.
    """

    tokens: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    fullest: int
    spans: list[Span]


class Row(NamedTuple):
    """A text that the model reads, and the requests whose text it is or begins with."""

    ids: np.ndarray
    requests: list[int]


def lengths(max_length: int, multiple: int = 1) -> list[int]:
    """The row lengths that batches have: powers of two and their halves between, 32 at least.

    multiple: what they must divide by. 2,048 tokens: 32, 48, 64, 96, ... 1,536, 2,048.
    """
    rounded = {
        -(-length // multiple) * multiple for length in doubled(SMALLEST, max_length, halves=True)
    }
    return sorted(length for length in rounded if length < max_length) + [max_length]


def share_rows(requests: Sequence[Request], chosen: Sequence[int]) -> list[Row]:
    """The rows that answer the chosen requests, longest first.

    A request whose text begins another's rides on that row, as long as the row has no more labels
    than tokens. In the order of their ids, backwards, a text comes right after those it begins.
    """
    texts = {}
    for number in chosen:
        context, continuation = requests[number]
        texts[number] = np.concatenate([context, continuation[:-1]])
    key = {number: text.astype(">u4").tobytes() for number, text in texts.items()}
    rows: list[Row] = []
    bytes_of_row, room = b"", 0
    for number in sorted(chosen, key=key.__getitem__, reverse=True):
        labels = len(requests[number].continuation)
        if not bytes_of_row.startswith(key[number]) or labels > room:
            rows.append(Row(texts[number], []))
            bytes_of_row, room = key[number], len(texts[number])
        rows[-1].requests.append(number)
        room -= labels
    return sorted(rows, key=lambda row: -len(row.ids))


def cut(rows: Sequence[Row], lengths: Sequence[int], parts: int, tokens: int) -> list[list[Row]]:
    """The rows in batches; a batch is full but for the last one, its length the first row's.

    tokens: of a part of a batch, about.
    """
    batches, start = [], 0
    while start < len(rows):
        size = parts * rows_of_part(length_for(len(rows[start].ids), lengths), tokens)
        batches.append(list(rows[start : start + size]))
        start += size
    return batches


def length_for(tokens: int, lengths: Sequence[int]) -> int:
    """The smallest of `lengths` that holds so many tokens."""
    return next(length for length in lengths if length >= tokens)


def rows_of_part(length: int, tokens: int) -> int:
    return max(1, tokens // length)


def assemble(
    rows: Sequence[Row], requests: Sequence[Request], length: int, parts: int, slots: int
) -> Batch:
    """The arrays of one batch; its rows go round the parts, so that no part has much more to do."""
    tokens = np.zeros((parts * slots, length), np.int32)
    places = np.zeros((parts, slots * length), np.int32)
    labels = np.zeros_like(places)
    filled, spans = [0] * parts, []
    for number, row in enumerate(rows):
        part, slot = number % parts, number // parts
        tokens[part * slots + slot, : len(row.ids)] = row.ids
        for index in row.requests:
            context, continuation = requests[index]
            first, count = filled[part], len(continuation)
            start = slot * length + len(context) - 1
            places[part, first : first + count] = np.arange(start, start + count)
            labels[part, first : first + count] = continuation
            spans.append(Span(index, part, first, count))
            filled[part] += count
    return Batch(tokens, places, labels, max(filled), spans)
