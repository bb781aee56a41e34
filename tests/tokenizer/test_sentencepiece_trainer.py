"""sentencepiece_trainer: digits alone, no piece across lines, long lines cut, equal bytes twice."""

import doctest
import pathlib
import re
import subprocess
import sys
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_text import CONTROL_TEXT, WORDS, document, documents, tokenizer, vocabulary

from polylm_jax.errors import InputError
from polylm_jax.tokenizer import sentencepiece_trainer
from polylm_jax.tokenizer.sentencepiece_trainer import (
    DIGITS,
    MAX_LINE_BYTES,
    Feed,
    Pieces,
    cut_line,
    train,
)
from polylm_jax.tokenizer.tokenizer import SPACE_MARK, Tokenizer

TESTS = pathlib.Path(__file__).parent
READ = {"capture_output": True, "text": True}
MODEL_TYPES = ("bpe", "unigram")
ZEROS = {
    "Latin": "0",
    "Arabic-Indic": "٠",
    "Extended Arabic-Indic": "۰",
    "Thai": "๐",
    "Devanagari": "०",
    "fullwidth": "\uff10",
    "mathematical": "\U0001d7ce",
}


def small(texts: list[str], model_type: str = "bpe", vocab_size: int = 400) -> Tokenizer:
    """A vocabulary of the texts, with every character of theirs."""
    content, _ = train(texts, Pieces(vocab_size, model_type, character_coverage=1.0, num_threads=1))
    return Tokenizer.from_bytes(content)


def largest(texts: list[str], model_type: str = "bpe") -> Tokenizer:
    """A vocabulary of as many pieces as the texts give."""
    with pytest.raises(InputError, match="set it to") as refused:
        small(texts, model_type, vocab_size=100_000)
    return small(texts, model_type, int(re.search(r"set it to (\d+)", str(refused.value))[1]))


def text_pieces(loaded: Tokenizer) -> list[str]:
    """The pieces that stand for text, without those of one byte."""
    sp = loaded.processor
    return [sp.id_to_piece(i) for i in range(3, loaded.vocab_size) if not sp.is_byte(i)]


def is_digit(character: str) -> bool:
    return unicodedata.category(character) == "Nd"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_digit_stands_alone_in_its_piece(model_type):
    zeros = [*ZEROS.values(), "᠐", "߀"]  # Mongolian, N'Ko: nobody listed these
    numbers = [chr(ord(z) + d) + chr(ord(z) + 7 - d) for z in zeros for d in range(8)]
    texts = [f"page {n} p{n}p{n}\u0301 {n}" for n in numbers] * 9 + documents("th", 40)
    loaded = largest(texts, model_type)
    pieces = text_pieces(loaded)
    assert [p for p in pieces if len(p) > 1 and any(map(is_digit, p))] == []
    assert set(DIGITS) | {"᠔", "߄", "४"} <= set(pieces)
    assert any(len(piece) > 3 for piece in pieces)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("zero", ZEROS.values(), ids=ZEROS)
def test_each_digit_is_a_token_or_bytes(zero, model_type):
    loaded = tokenizer(model_type)
    number = "".join(chr(ord(zero) + d) for d in (2, 0, 5, 9, 9, 0))
    for text in (number, f"a {number}b", f"ก{number}ก"):
        ids = loaded.encode(text)
        alone = [loaded.encode(digit) for digit in number]
        digits = [token for one in alone for token in one]
        assert [token for token in ids if token in digits] == digits
        assert all(len(one) in (1, len(zero.encode())) for one in alone)
    if zero in DIGITS:
        assert len(loaded.encode(number)) == 6


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_no_piece_holds_a_line_end_a_tab_or_a_control(model_type):
    ends = ("\n", "\r\n", "\t", "\0", "\u2028", "\x85", "\x0b")
    texts = [end.join(document("en", seed).split()) for seed in range(60) for end in ends]
    pieces = text_pieces(largest(texts, model_type))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", "".join(pieces))
    assert {"children", "winter"} <= set(pieces)
    assert len(max(pieces, key=len)) == len("children")


def test_runs_of_spaces_are_pieces_but_spaces_end_no_word():
    pieces = text_pieces(tokenizer())
    assert SPACE_MARK * 2 in pieces
    assert not [p for p in pieces if SPACE_MARK in p.lstrip(SPACE_MARK)]


def test_lines_with_reserved_marks_are_trained_on():
    loaded = largest(["zebra\u2585quagga " + CONTROL_TEXT] * 60)
    assert {"zebra", "quagga"} <= set(text_pieces(loaded))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_same_text_gives_the_same_bytes(model_type):
    code = (
        "import hashlib, toy_text;"
        f"print(hashlib.sha256(toy_text.vocabulary({model_type!r})).hexdigest())"
    )
    command = [sys.executable, "-c", code]
    again = subprocess.run(
        command, check=True, cwd=TESTS, env={"PYTHONPATH": "../..:../toys"}, **READ
    )
    assert again.stdout.strip() == tokenizer(model_type).fingerprint
    assert vocabulary(model_type) != vocabulary(model_type, num_threads=3)  # it's in the file


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            ["a", "word ", " ", "ไทย", "กำ", "e\u0301\u0302", "🇹🇭", "👩‍👩‍👧", "각", "漢"]
        )
    ),
    st.integers(40, 90),
)
def test_cut_lines_are_short_and_whole(parts, limit):
    line = "".join(parts) * 5
    cut = cut_line(line, limit)
    assert "".join(cut) == line
    assert all(len(part.encode()) <= limit for part in cut)
    assert cut == [line] or all(part for part in cut)
    graphemes = [part for piece in cut for part in regex.findall(r"\X", piece)]
    assert graphemes == regex.findall(r"\X", line)


def test_a_long_grapheme_is_cut_between_characters():
    line = "e" + "\u0301" * 9000
    cut = cut_line(line)
    assert "".join(cut) == line and max(len(p.encode()) for p in cut) <= MAX_LINE_BYTES


def test_long_lines_are_cut_counted_and_trained_on():
    texts = ["short\n" + "ยาว" * 3000 + "\n" + "long " * 3000, "x" * MAX_LINE_BYTES]
    feed = Feed(texts)
    fragments = list(feed)
    assert (feed.lines, feed.cut_lines) == (4, 2)
    assert "".join(fragments) == "".join(texts).replace("\n", "")
    assert max(len(f.encode()) for f in fragments) <= MAX_LINE_BYTES
    assert "ยาว" in text_pieces(small(texts, vocab_size=330))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_too_large_a_vocabulary_is_refused_with_the_largest(model_type):
    texts = [" ".join(WORDS["de"]), *documents("th", 3)]
    with pytest.raises(InputError, match="vocab_size = 5000 is more than") as refused:
        small(texts, model_type, vocab_size=5000)
    most = int(re.search(r"set it to (\d+)", str(refused.value))[1])
    assert small(texts, model_type, vocab_size=most).vocab_size == most
    with pytest.raises(InputError, match=f"set it to {most} or"):
        small(texts, model_type, vocab_size=most + 1)


def test_a_vocabulary_below_its_characters_is_refused():
    texts = ["".join(map(chr, range(0x4E00, 0x4E00 + 300)))]
    with pytest.raises(InputError, match="vocab_size = 320 is less than the 609 pieces"):
        small(texts, vocab_size=320)


def test_the_docstrings_examples():
    assert doctest.testmod(sentencepiece_trainer).failed == 0
