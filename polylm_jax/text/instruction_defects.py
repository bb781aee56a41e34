"""What is wrong with an instruction record: MultiAlpaca's own defects, as counted in its files.

A record is left out for a reason or kept as it is: nothing is edited.
"""

import re
from collections.abc import Callable, Mapping

from polylm_jax.text.held_out import normalise

OPENING, CLOSING = "\"'「『“”„«‹‘《〈＂", "\"'」』”“»›’》〉＂"
PAIRS = dict(zip("「『“«‹‘《〈„", "」』”»›’》〉”", strict=True))
NUMBERING = re.compile(
    r"^\s*\d+\s*[.)．。、]\s*(?:instruction|input|output|instrucción|entrada|salida|instrução|saída"
    r"|指示|入力|出力)\s*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
NONE = ("none", "null", "nan", "n/a")
# An input that is a word for nothing.
NOTHING = frozenset(
    normalise(word)
    for word in (
        *NONE, "nothing", "empty", "not applicable",
        "ninguno", "ninguna", "no aplica", "nada", "vacío", "nenhum", "nenhuma", "não se aplica",
        "não aplicável", "vazio", "なし", "無し", "無", "ない", "無い", "特になし", "該当なし",
        "ありません", "不要", "必要なし", "aucun", "aucune", "sans objet", "keine", "keiner", "keins",
        "tidak ada", "нет", "không có", "无", "無", "没有", "없음", "해당 없음", "لا يوجد", "لا شيء",
        "ไม่มี", "yok", "geen", "brak", "אין", "nessuno", "nessuna",
    )
)  # fmt: skip
# A short input that says so in a phrase, as `normalise` writes it (without spaces): "No se requiere
# ninguna entrada.", "Nenhum input é necessário.", "入力は必要ありません".
PHRASE = re.compile(
    r"(?:no_?input|n/a)|nospecific\w*needed"
    r"|(?:no(?:hay|serequiere|senecesita|esnecesario)|sin|ningun[oa]?)\w*(?:entrada|input)"
    r"|(?:nenhuma?|sem|nãohá|nãoé|nãose)\w*(?:entrada|input|necessári[oa]|especificad[oa])"
    r"|ningun[oa]\(noinput|入力\w*(?:なし|無し|不要|ありません)"
)
PHRASE_LENGTH = 70
_ENDS = ".。…!！()（）[]<>「」\"'*-–—_ "


def reason(record: Mapping) -> str:
    """Why a record is left out, '' where it is kept; the first rule that applies."""
    for name, applies in RULES.items():
        if applies(record):
            return name
    return ""


def wrapped(text: str) -> bool:
    """Whether the whole of a text stands between quotation marks: '"Add 1 and 2."', not '"a" or "b"'.

    Marks that tell opening from closing must pair, or not match at all ('「...\"').
    """
    text = text.strip()
    if len(text) < 3 or text[0] not in OPENING or text[-1] not in CLOSING:
        return False
    inner, close = text[1:-1], PAIRS.get(text[0])
    if close == text[-1]:
        return _closes_last(text, text[0], close)
    if text[0] == text[-1]:
        return inner.count(text[0]) % 2 == 0 and not re.match(
            rf"[^{text[0]}]*{text[0]}[\s,;、，と].*[\s,;、，と]{text[0]}", inner, re.DOTALL
        )
    return True


def _closes_last(text: str, opening: str, closing: str) -> bool:
    depth = 0
    for place, character in enumerate(text):
        depth += (character == opening) - (character == closing)
        if depth == 0:
            return place == len(text) - 1
    return True


def _text(record: Mapping, field: str) -> str:
    value = record.get(field)
    return value if isinstance(value, str) else ""


def _says_none(record: Mapping) -> bool:
    said = normalise(_text(record, "input"))
    if said == "<noinput>" or not said:
        return False
    bare = said.strip(_ENDS)
    return bare in NOTHING or (len(bare) < PHRASE_LENGTH and bool(PHRASE.match(bare)))


RULES: dict[str, Callable[[Mapping], bool]] = {
    "the output is 'None'": lambda r: normalise(_text(r, "output")).strip(_ENDS) in NONE,
    "the output is empty": lambda r: "output" in r and not _text(r, "output").strip(),
    "the instruction stands in quotes": lambda r: wrapped(_text(r, "instruction")),
    "numbering of the prompt is left over": lambda r: any(
        NUMBERING.search(_text(r, field)) for field in ("instruction", "input", "output")
    ),
    "the input says in words that there is none": _says_none,
}
