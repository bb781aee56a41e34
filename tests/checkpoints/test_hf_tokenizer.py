"""The exported tokenizer files give SentencePiece's ids, on every script and on hostile text."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st
from toy_vocabularies import TEXTS, train

from polylm_jax.checkpoints.hf.token_ids import differing_ids
from polylm_jax.checkpoints.hf.tokenizer_files import write_tokenizer

HOSTILE = [
    "", " ", "   a  b ", "\n\n a\r\n\tb", "</s>", "<s> x <unk> <0x0A>", "😀👨‍👩‍👧 مرحبا ไทย hello",
    "\u2581x", "Ⅳ ﬁ ½", "\x00\x01", "e\u0301", "\ufeffa",
]  # fmt: skip


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = train(folder, request.param)
    write_tokenizer(tokenizer, folder, max_length=128)
    return request.param, tokenizer, folder


def test_ids_are_sentencepieces(exported):
    kind, tokenizer, folder = exported
    differing = differing_ids(tokenizer, folder, TEXTS + HOSTILE)
    # A unigram vocabulary breaks ties its own way: its rate is measured, never promised.
    assert differing == [] if kind == "bpe" else len(differing) < 3


@hypothesis.settings(
    max_examples=200, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(text=st.text())
def test_ids_of_any_text_in_bpe(exported, text):
    kind, tokenizer, folder = exported
    if kind == "bpe":
        assert differing_ids(tokenizer, folder, [text]) == []


def test_text_makes_no_special_token_in_transformers(exported):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    kind, tokenizer, folder = exported
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS + HOSTILE:
        ids = loaded(text).input_ids
        if kind == "bpe":
            assert ids == tokenizer.encode(text)
            assert not {tokenizer.eos_id, tokenizer.bos_id} & set(ids)
        assert loaded.decode(tokenizer.encode(text)) == text.replace("\u2581", " ")
    assert (loaded.eos_token_id, loaded.bos_token_id, loaded.model_max_length) == (2, 1, 128)


def test_a_vocabulary_keeps_its_own_normalizer(tmp_path):
    options = {"normalization_rule_name": "nmt_nfkc", "add_dummy_prefix": True}
    tokenizer = train(tmp_path, "bpe", **options)
    write_tokenizer(tokenizer, tmp_path, max_length=128)
    lines = ["a\r\nb", "\r\n", "\n\r", "x\r", *(f"x{chr(code)}y" for code in range(1, 0x3000))]
    assert differing_ids(tokenizer, tmp_path, TEXTS + HOSTILE + lines) == []


def test_a_vocabulary_with_a_prefix_keeps_it(tmp_path):
    tokenizer = train(tmp_path, "bpe", add_dummy_prefix=True)
    write_tokenizer(tokenizer, tmp_path, max_length=128)
    assert differing_ids(tokenizer, tmp_path, TEXTS) == []
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["add_prefix_space"]
