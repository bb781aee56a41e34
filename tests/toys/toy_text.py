"""Small documents in several scripts, with digits of each, drawn by seed; and vocabularies of them."""

import functools
import json
import pathlib
import random

from polylm_jax.tokenizer import sentencepiece_trainer
from polylm_jax.tokenizer.tokenizer import Tokenizer

SENTENCES = {
    "en": "the river runs past an old stone house where children read books every winter",
    "de": "der Fluss fließt über grüne Wiesen an einem schönen alten Haus vorbei",
    "th": "แม่น้ำ ไหล ผ่าน บ้าน เก่า ที่ เด็ก อ่าน หนังสือ ทุก ฤดูหนาว",
    "ar": "النهر يجري قرب بيت قديم حيث يقرأ الأطفال الكتب كل شتاء",
    "ja": "川 は 古い 家 の そば を 流れ 子供 たち が 本 を 読み ます",
    "ko": "강은 아이들이 겨울마다 책을 읽는 오래된 돌집 옆을 흐른다",
}
WORDS = {language: sentence.split() for language, sentence in SENTENCES.items()}
WORDS["code"] = ["def", "return", "    x", "        y", "=", "(a,", "b):", "\tif", "not"]
DIGITS = {"th": "๐๑๒๓๔๕๖๗๘๙", "ar": "٠١٢٣٤٥٦٧٨٩"}
CONTROL_TEXT = "</s><s><unk><0x0A> "  # what a user may type, and no piece may come of it


def document(language: str, seed: int) -> str:
    """Some lines of words, with numbers in the language's digits."""
    draw = random.Random(f"{language} {seed}")
    space = "" if language in ("th", "ja") else " "
    digits = DIGITS.get(language, "0123456789")
    lines = []
    for _ in range(draw.randint(2, 5)):
        words = [draw.choice(WORDS[language]) for _ in range(draw.randint(4, 12))]
        words.insert(draw.randrange(5), "".join(draw.choices(digits, k=draw.randint(1, 5))))
        lines.append(space.join(words))
    return "\n".join(lines)


def documents(language: str, count: int) -> list[str]:
    return [document(language, seed) for seed in range(count)]


def write_jsonl(path: pathlib.Path, texts: list[str]) -> str:
    """The texts as JSONL with an id each; returns the path."""
    lines = (json.dumps({"id": f"{path.stem}{n}", "text": t}) for n, t in enumerate(texts))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@functools.cache
def vocabulary(model_type: str = "bpe", vocab_size: int = 700, num_threads: int = 2) -> bytes:
    """A model file trained on 60 documents of each language, and on text that looks like control."""
    texts = [text for language in WORDS for text in documents(language, 60)]
    pieces = sentencepiece_trainer.Pieces(vocab_size, model_type, num_threads=num_threads)
    return sentencepiece_trainer.train([*texts, *[CONTROL_TEXT] * 50], pieces)[0]


def tokenizer(model_type: str = "bpe") -> Tokenizer:
    return Tokenizer.from_bytes(vocabulary(model_type), "toy.model")
