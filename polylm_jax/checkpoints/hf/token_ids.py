"""Token ids of an exported folder against SentencePiece's, on texts in 18 languages and hostile ones."""

import pathlib
from collections.abc import Iterable

from polylm_jax.checkpoints.hf import literals
from polylm_jax.checkpoints.hf.tokenizer_files import BPE, model_proto
from polylm_jax.tokenizer.tokenizer import SPACE_MARK, Tokenizer

TEXTS = {
    "en": "The ferry leaves at 7:45, so bring bread and a warm coat.",
    "zh": "渡轮七点四十五分开船,请带上面包和一件厚外套。",
    "ru": "Паром отходит в 7:45, возьмите хлеб и тёплое пальто.",
    "es": "El transbordador sale a las 7:45; traed pan y un abrigo de otoño.",
    "de": "Die Fähre fährt um 7:45 Uhr, nehmt Brot und einen wärmeren Mantel mit.",
    "fr": "Le bac part à 7 h 45 : apportez du pain et un manteau bien épais.",
    "it": "Il traghetto parte alle 7:45, perciò portate pane e un cappotto.",
    "pt": "A balsa sai às 7h45; tragam pão e um casaco de lã.",
    "ja": "フェリーは7時45分に出ます。パンと暖かいコートを持ってきてください。",
    "ar": "تغادر العبّارة في الساعة ٧:٤٥، فأحضروا الخبز ومعطفًا دافئًا.",
    "ko": "배는 7시 45분에 떠나니 빵과 따뜻한 외투를 챙기세요.",
    "vi": "Phà rời bến lúc 7:45, hãy mang bánh mì và một chiếc áo ấm.",
    "th": "เรือข้ามฟากออกเวลา ๗:๔๕ น. โปรดนำขนมปังและเสื้อกันหนาวมาด้วย",
    "id": "Kapal feri berangkat pukul 7.45, jadi bawalah roti dan mantel hangat.",
    "tr": "Vapur 7.45'te kalkıyor, yanınıza ekmek ve kalın bir palto alın.",
    "pl": "Prom odpływa o 7:45, weźcie chleb i ciepły płaszcz na później.",
    "nl": "De veerboot vertrekt om 7.45 uur, dus neem brood en een warme jas mee.",
    "he": "המעבורת יוצאת ב־7:45, אז הביאו לחם ומעיל חם.",
}
# What breaks tokenizers: nothing at all, runs of spaces, line ends, control pieces as text, emoji,
# a script that no piece covers, composed and decomposed letters.
HARD = [
    "", " ", "  two   three ", "\n\n\ttab\r\n", "</s>", "<s>x<unk><0x0A>", "👩‍👩‍👧‍👦 🇹🇭 мир world",
    "𐎠𐎡𐎢 ᚠᚢ", "1234567890 ٠١٢ ๓๔", "e\u0301 \u00e9 ﬁ Ⅳ", "\ufeffmark",
]  # fmt: skip


MOST_PIECES = 1000  # user-defined ones that are tried


def _of_pieces(pieces: Iterable[str]) -> list[str]:
    """Texts that spell user-defined pieces: alone, within a word, again and again."""
    spelt = [piece.replace(SPACE_MARK, " ") for piece in pieces]
    return [text for p in spelt for text in (p, f"x{p}y", f"{p}{p}{p} {p}\n {p}{p}7", f" {p} ")]


def differing_ids(tokenizer: Tokenizer, folder: pathlib.Path, texts: Iterable[str]) -> list[str]:
    """The texts whose ids from `folder`'s tokenizer.json differ from SentencePiece's.

    Special tokens are split, as tokenizer_config.json tells transformers to.
    """
    import tokenizers

    fast = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.encode_special_tokens = True
    texts = list(texts)
    encoded = fast.encode_batch(texts, add_special_tokens=False)
    pairs = zip(texts, encoded, strict=True)
    return [text for text, fast_ids in pairs if fast_ids.ids != tokenizer.encode(text)]


def compare(tokenizer: Tokenizer, folder: pathlib.Path) -> tuple[bool, str]:
    """(False where ids differ that must not, what to tell); a unigram vocabulary's are only told."""
    proto = model_proto(tokenizer)
    texts = [*TEXTS.values(), *HARD, *_of_pieces(literals.user_defined(proto)[:MOST_PIECES])]
    differing = differing_ids(tokenizer, folder, texts)
    finding = f"{len(differing)} of {len(texts)} texts in {len(TEXTS)} languages get other token ids from "
    finding += "tokenizer.json than from SentencePiece"
    if differing:
        finding += f", the first is {differing[0]!r}"
    if proto.trainer_spec.model_type == BPE:
        return not differing, finding
    return (
        True,
        f"{finding} (not a BPE vocabulary: where the ids must be the trained ones, use tokenizer.model)",
    )
