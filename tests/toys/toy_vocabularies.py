"""Small SentencePiece vocabularies of any kind, trained on a sentence in each of eleven languages."""

import sentencepiece

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


def train(folder, kind: str, **options) -> Tokenizer:
    plain = {"add_dummy_prefix": False, "normalization_rule_name": "identity"}
    options = plain | {"byte_fallback": True, "remove_extra_whitespaces": False} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_prefix=str(folder / kind), model_type=kind,
        vocab_size=600, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, hard_vocab_limit=False,
        split_digits=True, num_threads=1, minloglevel=2, **options,
    )  # fmt: skip
    return Tokenizer.load(str(folder / f"{kind}.model"))
