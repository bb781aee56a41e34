"""SentencePiece, called so that no text is lost and every digit is one token.

What no piece may cross, SentencePiece never sees together: text is cut at line ends, tabs and other
controls (they stay bytes), and around each digit of any script (category Nd), since its own
`split_digits` knows only 0-9 and the fullwidth ones. Nothing depends on its undocumented marks.

    'ซื้อ 25 อัน\\tab'  ->  'ซื้อ '  '2'  '5'  ' อัน'  'ab'
"""

import dataclasses
import io
import re
from collections.abc import Iterable, Iterator

import regex
import sentencepiece

from polylm_jax.errors import InputError
from polylm_jax.runtime.ranges import Count, Share
from polylm_jax.tokenizer.tokenizer import BOS, EOS, UNK

MAX_LINE_BYTES = 4192  # SentencePiece leaves longer ones out, with only a warning
# Controls, U+2028 and U+2029 stay bytes; SentencePiece leaves out lines with U+2585, its own mark.
_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u2585]+")
_DIGIT = re.compile(r"(\d)")  # in a str: exactly category Nd
_GRAPHEME = regex.compile(r"\X")
# Pieces in every vocabulary: ASCII, Arabic-Indic, Extended Arabic-Indic, Thai and fullwidth digits.
DIGITS = "".join(chr(zero + d) for zero in (0x30, 0x660, 0x6F0, 0xE50, 0xFF10) for d in range(10))
SMALLEST = 3 + 256 + len(DIGITS) + 1  # control and byte pieces, the digits, and a space
_TOO_LARGE = re.compile(r"set it to a value <= (\d+)")
_TOO_SMALL = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


class Feed:
    """The sample as SentencePiece reads it, one fragment at a time.

    Attributes:
      lines, cut_lines: how many were read, and how many of them were longer than MAX_LINE_BYTES.
    """

    def __init__(self, texts: Iterable[str]):
        self.lines = self.cut_lines = 0
        self._texts = texts

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            for line in _BREAK.split(text):
                parts = cut_line(line)
                self.lines += bool(line)
                self.cut_lines += len(parts) > 1
                for part in parts:
                    yield from filter(None, _DIGIT.split(part))


def cut_line(line: str, limit: int = MAX_LINE_BYTES) -> list[str]:
    """`line` in parts of at most `limit` bytes, cut before a space where one is in the second half.

    Elsewhere between two graphemes, and inside one only where it is longer than `limit` by itself.

    >>> cut_line("aaa bbb ccc", limit=8)
    ['aaa bbb', ' ccc']
    """
    if len(line) * 4 <= limit or len(data := line.encode()) <= limit:
        return [line]
    parts, start = [], 0
    while len(data) - start > limit:
        head = data[start : start + limit].decode(errors="ignore")
        beyond = data[start : start + limit + 4].decode(errors="ignore")
        stop = head.rfind(" ")
        if stop <= len(head) // 2:
            ends = (match.end() for match in _GRAPHEME.finditer(beyond, 0, len(head) + 1))
            stop = max((end for end in ends if end <= len(head)), default=len(head))
        parts.append(head[:stop])
        start += len(head[:stop].encode())
    return [*parts, data[start:].decode()]


@dataclasses.dataclass(frozen=True)
class Pieces:
    """What SentencePiece makes of a sample.

    vocab_size: pieces in all, with `<unk>` 0, `<s>` 1, `</s>` 2 and 256 bytes.
    model_type: 'bpe', or 'unigram'.
    character_coverage: the share of the sample's characters with a piece; rarer ones are bytes.
    num_threads: of SentencePiece; recorded, since unigram training depends on it.
    """

    vocab_size: Count = 256_000
    model_type: str = "bpe"
    character_coverage: Share = 0.9995
    num_threads: Count = 16


def train(texts: Iterable[str], pieces: Pieces) -> tuple[bytes, Feed]:
    """A SentencePiece model file of `texts`: the same bytes for the same texts, options and threads.

    Raises:
      InputError: the texts can't give so many pieces, or need more.
    """
    feed, written = Feed(texts), io.BytesIO()
    # The suffix array of unigram's seed pieces counts characters in 32 bits unless told otherwise.
    extremely_large = sum(map(len, texts)) > 2**31 - 1
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(feed),
            model_writer=written,
            **dataclasses.asdict(pieces),
            max_sentence_length=MAX_LINE_BYTES,
            train_extremely_large_corpus=extremely_large,
            required_chars=DIGITS,
            split_digits=True,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            unk_piece=UNK,
            bos_piece=BOS,
            eos_piece=EOS,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _refusal(str(error), pieces.vocab_size) or error from error
    return written.getvalue(), feed


def _refusal(said: str, vocab_size: int) -> InputError | None:
    """What SentencePiece's C++ says of a vocabulary's size, as one sentence."""
    if most := _TOO_LARGE.search(said):
        return InputError(
            f"vocab_size = {vocab_size} is more than the sample gives: set it to {most[1]} or "
            "less, or give more text."
        )
    if least := _TOO_SMALL.search(said):
        return InputError(
            f"vocab_size = {vocab_size} is less than the {least[1]} pieces that bytes and single "
            "characters take: set it to more, or lower character_coverage."
        )
    return None
