"""tokenizer: no text is lost, no text becomes a control piece, and every byte is accounted for."""

import hashlib
import pickle

import numpy as np
import pytest
from gcs_server import GcsServer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy_text import CONTROL_TEXT, WORDS, documents, tokenizer, vocabulary

from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import Tokenizer

MODEL_TYPES = ("bpe", "unigram")
# All of Unicode but surrogates, which UTF-8 hasn't, and U+2581, which reads back as a space.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")
FREQUENT = st.sampled_from([" ", "\n", "\t", "\0", "e", "5", "๕", "ไทย", "\u0301", *WORDS["ar"]])
TEXT = st.lists(st.one_of(CHARACTERS, FREQUENT)).map("".join)
AWKWARD = (
    "",
    " ",
    "     ",
    "  a  ",
    "\0",
    "a\0b\0",
    "\r\n\r\n",
    "\n leading and trailing \n",
    "\t\tif x:\n\t\t    pass",
    "\ufeffbyte order mark\ufeff",
    "e\u0301\u0301 กำ ก\u0e4d\u0e32 ﬁ Å \u212b",  # normalization would change each
    "\u2028\u2029\x85\x0b\x0c",
    "\ufffd\ufffe\uffff\U0010ffff\u2047 \u2585",
    "👩‍👩‍👧‍👦🇹🇭🏽\u200d\u2068עברית\u2069",
    CONTROL_TEXT,
)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@example(text="".join(map(chr, range(0x3100))).replace("\u2581", ""))
def test_decoding_gives_the_text_back(model_type, text):
    loaded = tokenizer(model_type)
    ids = loaded.encode(text)
    assert loaded.decode(ids) == text
    assert loaded.piece_bytes[ids].sum() == len(text.encode())
    assert loaded.piece_characters[ids].sum() == len(text)
    assert not {loaded.unk_id, loaded.bos_id, loaded.eos_id} & set(ids)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("text", AWKWARD)
def test_decoding_gives_awkward_text_back(model_type, text):
    loaded = tokenizer(model_type)
    ids = loaded.encode(text)
    assert loaded.decode(ids) == text
    assert min(ids, default=3) > 2


def test_every_character_of_unicode_comes_back():
    loaded = tokenizer()
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    text = "".join(map(chr, points)).replace("\u2581", "")
    blocks = [text[i : i + 4096] for i in range(0, len(text), 4096)]
    assert [loaded.decode(ids) for ids in loaded.encode_batch(blocks, 2)] == blocks


def test_the_space_mark_reads_back_as_a_space():
    loaded = tokenizer()
    ids = loaded.encode("a\u2581b")
    assert loaded.decode(ids) == "a b"
    assert loaded.piece_bytes[ids].sum() == len("a b")


def test_ids():
    loaded = tokenizer()
    assert (loaded.unk_id, loaded.bos_id, loaded.eos_id) == (0, 1, 2)
    assert loaded.processor.pad_id() == -1
    assert loaded.vocab_size == 700
    assert loaded.piece_bytes.dtype == np.int32
    assert loaded.piece_bytes[:259].tolist() == [0] * 3 + [1] * 256
    assert (loaded.piece_bytes[259:] > 0).all()
    assert loaded.decode([1, *loaded.encode("river"), 2]) == "river"


def test_batches_encode_as_single_texts_do():
    loaded = tokenizer()
    texts = ["", *AWKWARD, *documents("th", 5), *documents("code", 5)]
    for threads in (1, 3):
        batch = loaded.encode_batch(texts, threads)
        assert [ids.tolist() for ids in batch] == [loaded.encode(text) for text in texts]
        assert {ids.dtype for ids in batch} == {np.dtype(np.int32)}
        raw = loaded.encode_batch([text.encode() for text in texts], threads)
        assert [ids.tolist() for ids in raw] == [ids.tolist() for ids in batch]
    assert loaded.decode(batch[-1]) == texts[-1]


def test_loading_from_disk_and_from_a_bucket(tmp_path):
    content = vocabulary()
    (tmp_path / "v.model").write_bytes(content)
    with GcsServer() as server:
        server.buckets["bucket"]["some/v.model"] = (1, content)
        remote = Tokenizer.load("gs://bucket/some/v.model")
    local = Tokenizer.load(str(tmp_path / "v.model"))
    for loaded in (local, remote, pickle.loads(pickle.dumps(local))):
        assert loaded.fingerprint == hashlib.sha256(content).hexdigest()
        assert loaded.encode("ไทย 12") == tokenizer().encode("ไทย 12")
    assert local.path == str(tmp_path / "v.model")


def test_what_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "empty.model").touch()
    (tmp_path / "text.model").write_text("not a model")
    for name in ("missing.model", "empty.model", "text.model", ""):
        with pytest.raises(InputError, match="vocabulary = .*: .*train_tokenizer"):
            Tokenizer.load(str(tmp_path / name))
    with GcsServer(), pytest.raises(InputError, match="gs://bucket/x.model"):
        Tokenizer.load("gs://bucket/x.model")
