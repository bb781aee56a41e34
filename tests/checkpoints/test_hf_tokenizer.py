"""The exported tokenizer files give SentencePiece's ids, on every script and on hostile text."""

import json

import hypothesis
import pytest
import sentencepiece
from hypothesis import strategies as st

from polylm_jax.checkpoints.hf.token_ids import differing_ids
from polylm_jax.checkpoints.hf.tokenizer_files import write_tokenizer
from polylm_jax.tokenizer.tokenizer import Tokenizer

TEXTS = [
    "The cat sat on the mat, and 12345 mice ran.",
    "快速的棕色狐狸跳过懒狗。",
    "Быстрая лиса прыгает через ленивую собаку.",
    "El veloz murciélago hindú comía feliz cardillo y kiwi.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "素早い茶色の狐がのろまな犬を飛び越える。",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามหมาขี้เกียจ ๑๒๓๔",
    "الثعلب البني السريع يقفز فوق الكلب الكسول ١٢٣",
    "השועל החום המהיר קופץ מעל הכלב העצלן",
    "빠른 갈색 여우가 게으른 개를 뛰어넘는다.",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig. Iğdır'ın ılık suyu.",
]
HOSTILE = [
    "", " ", "   a  b ", "\n\n a\r\n\tb", "</s>", "<s> x <unk> <0x0A>", "😀👨‍👩‍👧 مرحبا ไทย hello",
    "\u2581x", "Ⅳ ﬁ ½", "\x00\x01", "e\u0301", "\ufeffa",
]  # fmt: skip


def train(folder, kind: str, **options) -> Tokenizer:
    plain = {"add_dummy_prefix": False, "normalization_rule_name": "identity"}
    options = plain | {"byte_fallback": True, "remove_extra_whitespaces": False} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_prefix=str(folder / kind), model_type=kind,
        vocab_size=600, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, hard_vocab_limit=False,
        split_digits=True, num_threads=1, minloglevel=2, **options,
    )  # fmt: skip
    return Tokenizer.load(str(folder / f"{kind}.model"))


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


def test_transformers_loads_it_and_makes_no_special_token_from_text(exported):
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
