"""A task's tokens in batches, each document closed with EOS, counted per split and language.

Of a conversation, whose text comes in segments, each segment is tokenized by itself and each answer
closed with EOS; a second array of the same length, in the split `train.marks`, says of every token
whether it begins a conversation and whether it is part of an answer.

A pair's tokens are counted per side: a token belongs to the side in which its first byte lies, EOS
to the side that ends the text, and the template's tokens to 'template'.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import seqio

from polylm_jax.data.stores.store import ANSWER, BEGINS, MARKS, REJECTED
from polylm_jax.errors import InputError
from polylm_jax.text import task_text
from polylm_jax.text.task_text import SIDES, TEXT, BadLine, Batch, Unit
from polylm_jax.tokenizer.tokenizer import SPACE_MARK, Tokenizer

TEMPLATE = "template"  # the language of a side that has none


class Tokens(NamedTuple):
    """Documents of one split, one after the other.

    `counts` has 'documents', 'bytes' (of UTF-8), 'space_marks' (U+2581 in the text), and
    ('tokens', code) and ('bytes', code) per language.
    """

    split: str
    tokens: np.ndarray
    languages: frozenset[str]
    counts: Counter


def encoded(batch: Batch, tokenizer: Tokenizer) -> tuple[Batch, list[np.ndarray]]:
    """A text batch with the ids of its texts, on one thread; SentencePiece leaves Python the lock."""
    if "segments" in batch:
        return _conversations(batch, tokenizer)
    return batch, tokenizer.encode_batch([text.encode() for text in batch[TEXT]])


def _conversations(batch: Batch, tokenizer: Tokenizer) -> tuple[Batch, list[np.ndarray]]:
    """The ids of conversations without their last EOS, and `marks` with it."""
    if tokenizer.is_plain:
        flat = [segment.encode() for segments in batch["segments"] for segment in segments]
        pieces = iter(tokenizer.encode_batch(flat))
    else:
        pieces = _turn_by_turn(batch, tokenizer)
    eos = np.array([tokenizer.eos_id], np.int32)
    all_ids, all_marks = [], []
    for answers, learned, rejected in zip(*_flags(batch), strict=True):
        open_ids = [(next(pieces), answer) for answer in answers]
        ids = [np.concatenate([one, eos]) if answer else one for one, answer in open_ids]
        bits = [ANSWER * here + REJECTED * worse for here, worse in zip(learned, rejected)]
        marks = [np.full(len(one), bit) for one, bit in zip(ids, bits, strict=True)]
        marks[0][0] |= BEGINS
        if True in rejected:
            marks[rejected.index(True)][0] |= BEGINS
        all_ids.append(np.concatenate(ids)[:-1])
        all_marks.append(np.concatenate(marks))
    return {**batch, "marks": all_marks}, all_ids


def _flags(batch: Batch) -> tuple[list, list, list]:
    """Of each segment whether it is an answer, closed with EOS; is learned; is of what is rejected."""
    answers = batch["is_answer"]
    rejected = batch.get("rejected") or [[False] * len(one) for one in answers]
    return answers, batch.get("learned") or answers, rejected


def _turn_by_turn(batch: Batch, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """The ids of each segment where a vocabulary has a prefix or a normalizer of its own.

    A question and its answer are cut as one text, which is how a prompt goes on when it is answered;
    after `</s>` another text begins.
    """
    for segments, answers in zip(batch["segments"], batch["is_answer"], strict=True):
        turn: list[str] = []
        for segment, answer in zip(segments, answers, strict=True):
            turn.append(segment)
            if answer:
                yield from tokenizer.encode_parts(turn)
                turn = []


def token_batches(
    batches: Iterable[tuple[Batch, Sequence[np.ndarray]]], tokenizer: Tokenizer
) -> Iterator[Tokens]:
    """Text with its ids as tokens, split by split."""
    for batch, ids in batches:
        if ids:
            yield from _by_split(batch, ids, tokenizer)


def whole_batches(
    task: seqio.Task,
    unit: Unit,
    tokenizer: Tokenizer,
    batch_size: int,
    on_bad_line: BadLine | None,
) -> Iterator[Tokens]:
    """The tokens of a unit of a task that runs whole, through all of its own steps."""
    steps = [s for s in task.preprocessors if not isinstance(s, seqio.CacheDatasetPlaceholder)]
    data = task_text.dataset(task, unit, steps)
    spec = data.element_spec[TEXT]
    if not spec.dtype.is_integer or spec.shape.rank != 1:
        raise InputError(
            f"task {task.name!r} ends with {TEXT!r} as {spec}: a token store needs a sequence of "
            "token ids, so add seqio.preprocessors.tokenize."
        )
    with task_text.reporting(task.source, on_bad_line):
        for arrays in data.ragged_batch(batch_size).prefetch(2).as_numpy_iterator():
            yield from _by_split(*_from_ragged(arrays, task, unit, tokenizer), tokenizer)


def _from_ragged(
    arrays: dict, task: seqio.Task, unit: Unit, tokenizer: Tokenizer
) -> tuple[Batch, list[np.ndarray]]:
    eos = tokenizer.eos_id
    ids = [one[:-1] if len(one) and one[-1] == eos else one for one in _rows(arrays.pop(TEXT))]
    texts = arrays.pop(f"{TEXT}_pretokenized", None)
    batch = task_text.strings(arrays)
    if isinstance(texts, np.ndarray) and texts.ndim == 1 and texts.dtype == object:
        batch[TEXT] = [text.decode("utf-8", "replace") for text in texts.tolist()]
    else:
        batch[TEXT] = [tokenizer.decode(one) for one in ids]
    return task_text.labelled(batch, task, unit, batch[TEXT]), ids


def _rows(ragged: Any) -> list[np.ndarray]:
    if isinstance(ragged, np.ndarray):
        return list(ragged)
    return np.split(ragged.values, ragged.row_splits[1:-1])


def _by_split(batch: Batch, ids: Sequence[np.ndarray], tokenizer: Tokenizer) -> Iterator[Tokens]:
    splits = sorted(set(batch["split"]))
    for split in splits:
        kept = [one for one, name in zip(ids, batch["split"]) if name == split]
        chosen = batch if len(splits) == 1 else task_text.chosen(batch, split)
        yield _tokens(split, chosen, kept, tokenizer)
        if "marks" in chosen:
            marks = np.concatenate(chosen["marks"])
            yield Tokens(f"{split}{MARKS}", marks, frozenset(chosen["language"]), Counter())


def _tokens(split: str, batch: Batch, ids: Sequence[np.ndarray], tokenizer: Tokenizer) -> Tokens:
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    sizes = [len(t) if t.isascii() else len(t.encode()) for t in batch[TEXT]]
    counts: Counter = Counter(documents=len(ids), bytes=sum(sizes))
    counts["space_marks"] = sum(t.count(SPACE_MARK) for t in batch[TEXT] if not t.isascii())
    flat = np.concatenate(ids)
    if SIDES[0] in batch:
        counts.update(count_sides(flat, lengths, tokenizer.piece_bytes, *(batch[s] for s in SIDES)))
    else:
        for language, length, size in zip(batch["language"], lengths.tolist(), sizes):
            counts["tokens", language] += length + 1
            counts["bytes", language] += size
    closed = np.insert(flat, np.cumsum(lengths), tokenizer.eos_id)
    return Tokens(split, closed, frozenset(batch["language"]), counts)


def count_sides(
    tokens: np.ndarray,
    lengths: np.ndarray,
    piece_bytes: np.ndarray,
    side_languages: Sequence[Sequence[str]],
    side_bytes: Sequence[Sequence[int]],
) -> Counter:
    """Tokens (EOS included) and bytes of each language in pairs.

    Args:
      tokens: integers [n], the pairs one after the other, without EOS.
      lengths: int64 [pairs], tokens of each.
      piece_bytes: int32 [V], the bytes each token stands for.
      side_languages: [pairs][S], '' for the template's own text.
      side_bytes: [pairs][S], UTF-8 bytes of the successive sides of a text.

    Returns:
      ('tokens', code) and ('bytes', code) -> count.
    """
    ends_PS = np.cumsum(np.array(side_bytes, np.int64), axis=1)
    last_P = np.maximum(ends_PS[:, -1] - 1, 0)  # where a text's last byte lies, and its EOS
    bytes_before = np.concatenate([[0], np.cumsum(piece_bytes[tokens], dtype=np.int64)])
    starts_P = np.cumsum(lengths) - lengths
    pair = np.repeat(np.arange(len(lengths)), lengths)
    first_byte = bytes_before[:-1] - bytes_before[starts_P][pair]
    pair = np.concatenate([pair, np.arange(len(lengths))])
    first_byte = np.concatenate([np.minimum(first_byte, last_P[pair[: len(tokens)]]), last_P])
    side = np.minimum((first_byte[:, None] >= ends_PS[pair]).sum(1), ends_PS.shape[1] - 1)
    codes, number_PS = np.unique(np.array(side_languages), return_inverse=True)
    number_PS = number_PS.reshape(ends_PS.shape)
    token_counts = np.bincount(number_PS[pair, side], minlength=len(codes))
    byte_counts = np.bincount(number_PS.ravel(), np.array(side_bytes).ravel(), len(codes))
    counts: Counter[tuple[str, str]] = Counter()
    for code, tokens_of, bytes_of in zip(codes.tolist(), token_counts, byte_counts):
        counts["tokens", code or TEMPLATE] = int(tokens_of)
        counts["bytes", code or TEMPLATE] = int(bytes_of)
    return counts
