"""Pieces that a text spells: control pieces stay text, user-defined ones become what they should."""

import random

import pytest
import toy_hf
from sentencepiece import sentencepiece_model_pb2
from toy_vocabularies import train

from polylm_jax.checkpoints.hf import literals, tokenizer_files
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.hf.token_ids import compare, differing_ids
from polylm_jax.checkpoints.hf.tokenizer_files import write_tokenizer
from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import Tokenizer

OWN = ["▁▁▁", "▁▁▁▁▁▁", "<|user|>", "<|u", "x▁y", "a b"]  # the last never stands in a text
NORMALIZERS = [
    {},
    {"add_dummy_prefix": True},
    {"byte_fallback": False},
    {
        "add_dummy_prefix": True,
        "remove_extra_whitespaces": True,
        "normalization_rule_name": "nmt_nfkc",
    },
]
PARTS = ["</s>", "<s>", "<unk>", "<0x0A>", "<0xFF>", "<", "  ", "   ", " ", "x y", "a b", "<|user|>",
         "<|u", "cat", "快速", "\n", "สุ", "a"]  # fmt: skip


@pytest.fixture(scope="module")
def texts():
    """Texts in which everything stands beside everything."""
    chance = random.Random(0)
    return ["".join(chance.choices(PARTS, k=chance.randint(1, 9))) for _ in range(2000)]


def differing(tokenizer, folder, texts):
    write_tokenizer(tokenizer, folder, max_length=128)
    return differing_ids(tokenizer, folder, texts)


@pytest.mark.parametrize("own", [[], OWN])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_bpe_gives_sentencepieces_ids(own, normalizer, texts, tmp_path):
    tokenizer = train(tmp_path, "bpe", user_defined_symbols=own, **normalizer)
    assert differing(tokenizer, tmp_path, texts) == []
    assert compare(tokenizer, tmp_path)[0]


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_unigram_gives_sentencepieces_ids_but_for_ties(normalizer, texts, tmp_path):
    tokenizer = train(tmp_path, "unigram", **normalizer)
    assert differing(tokenizer, tmp_path, texts) == []


def test_only_runs_of_blanks_differ_in_unigram(texts, tmp_path):
    """'▁' + '▁▁▁' is as likely as '▁▁▁' + '▁': each library takes one of them."""
    tokenizer = train(tmp_path, "unigram", user_defined_symbols=OWN)
    other = differing(tokenizer, tmp_path, texts)
    assert all("    " in text for text in other) and len(other) < 20


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_no_text_becomes_a_control_or_byte_piece_by_name(kind, tmp_path):
    tokenizer = train(tmp_path, kind, user_defined_symbols=["<|user|>"])
    proto = tokenizer_files.model_proto(tokenizer)
    names = [literal for literal, _, _ in literals.cuts(proto)]
    assert {"<unk>", "<s>", "</s>", "<0x0A>", "<0xFF>"} <= set(names) and len(names) == 259
    texts = [
        f"{before}{name}{after}" for name in names for before in ("", "a") for after in ("", "b")
    ]
    assert differing(tokenizer, tmp_path, texts) == []


def model(*pieces: str, byte_fallback: bool = False) -> sentencepiece_model_pb2.ModelProto:
    """A vocabulary of `</s>` and some normal pieces."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.byte_fallback = byte_fallback
    proto.pieces.add(piece="</s>", type=literals.CONTROL)
    for piece in pieces:
        proto.pieces.add(piece=piece, type=literals.NORMAL)
    return proto


@pytest.mark.parametrize(
    ("pieces", "place", "across"),
    [
        (["<", "s"], 1, []),
        (["<", "/", "s", "</"], 2, []),
        (["<", "/", "s", "x</s"], 3, []),
        (["<", "/", "s", "</", "/s", "s>"], 1, ["</"]),
        (["<", "/", "s", "p</p", "/x"], 1, []),  # neither can stand there
        (["s"], 2, []),  # unknown characters side by side are one piece
    ],
)
def test_a_literal_is_cut_where_no_piece_reaches_across(pieces, place, across):
    assert literals.cuts(model(*pieces)) == [("</s>", place, across)]


def test_bytes_are_known_where_characters_are_not():
    assert literals.cuts(model("s", byte_fallback=True)) == [("</s>", 1, [])]


@pytest.mark.parametrize(
    ("kind", "options", "word"),
    [
        ("bpe", {"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix"),
        ("char", {}, "model_type 4"),
        ("bpe", {"user_defined_symbols": ["Ⅳ"], "normalization_rule_name": "nmt_nfkc"}, "'Ⅳ'"),
        ("bpe", {"user_defined_symbols": ["a  b"], "remove_extra_whitespaces": True}, "'a  b'"),
    ],
)
def test_what_transformers_cannot_load_is_refused_first(kind, options, word, tmp_path):
    vocabulary = str(tmp_path / f"{kind}.model")
    train(tmp_path, kind, **options)
    toy_hf.checkpoint(tmp_path / "run", vocabulary)
    with pytest.raises(InputError, match=word) as error:
        export(str(tmp_path / "run"), str(tmp_path / "out"), vocabulary)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_text_that_differs_is_shown(tmp_path):
    tokenizer = train(tmp_path, "bpe")
    write_tokenizer(train(tmp_path, "unigram"), tmp_path, max_length=128)
    good, told = compare(tokenizer, tmp_path)
    assert not good and "the first is 'The ferry leaves" in told


def test_pieces_that_are_never_made_are_not_found_in_a_text(tmp_path):
    tokenizer = train(tmp_path, "unigram")
    proto = tokenizer_files.model_proto(tokenizer)
    piece = max((p for p in proto.pieces if p.type == literals.NORMAL), key=lambda p: len(p.piece))
    text = piece.piece.replace("▁", " ")
    assert len(tokenizer.encode(text)) == 1
    piece.type = literals.UNUSED
    unused = Tokenizer.from_bytes(proto.SerializeToString(), "unused")
    assert len(unused.encode(text)) > 1
    assert differing(unused, tmp_path, [text, f"a{text}b"]) == []
