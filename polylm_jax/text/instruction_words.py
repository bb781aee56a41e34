"""Words of instruction records in many languages: the headings of their parts, and what says that one is empty.

One table for all who read such records: what models answer (self_instruct), published files
(tasks.instructions), and the defects that are counted in them (instruction_defects).
"""

import re

from polylm_jax.text.held_out import normalise

FIELDS = ("instruction", "input", "output")
# How the three parts are headed. No word is here that could begin an answer's own line ("Answer:").
HEADINGS: dict[str, tuple[str, str, str]] = {
    "en": ("instruction", "input", "output"),
    "zh": ("指令|指示", "输入|輸入", "输出|輸出"),
    "ru": ("инструкция", "ввод|вход|входные данные", "вывод|выход|выходные данные"),
    "es": ("instrucción|instruccion", "entrada", "salida"),
    "de": ("anweisung|instruktion", "eingabe", "ausgabe"),
    "fr": ("instruction|consigne", "entrée|entree", "sortie"),
    "it": ("istruzione", "ingresso", "uscita"),
    "pt": ("instrução|instrucao", "entrada", "saída|saida"),
    "ja": ("指示", "入力", "出力"),
    "vi": ("hướng dẫn|chỉ dẫn|yêu cầu", "đầu vào", "đầu ra"),
    "id": ("instruksi|perintah", "masukan", "keluaran|luaran"),
    "pl": ("instrukcja|polecenie", "wejście|dane wejściowe", "wyjście|dane wyjściowe"),
    "nl": ("instructie", "invoer", "uitvoer"),
    "ar": (
        "التعليمات|تعليمات|التعليمة|تعليمة",
        "المدخلات|مدخلات|المدخل|الإدخال",
        "المخرجات|مخرجات|المخرج|الإخراج",
    ),
    "tr": ("talimat|yönerge", "girdi|giriş", "çıktı|çıkış"),
    "th": ("คำสั่ง|คำแนะนำ", "อินพุต|ข้อมูลนำเข้า|ข้อมูลเข้า", "เอาต์พุต|ผลลัพธ์|ข้อมูลออก"),
    "he": ("הוראה|הנחיה|הוראות", "קלט", "פלט"),
    "ko": ("지시문|지시사항|지시 사항|지시|명령", "입력", "출력"),
}
# The word, in lower case, -> its field, over all languages: none means two fields.
FIELD_OF = {
    word: FIELDS[place]
    for words in HEADINGS.values()
    for place, alternatives in enumerate(words)
    for word in alternatives.split("|")
}

NO_INPUT = "<noinput>"
NONE = ("none", "null", "nan", "n/a")
# An input that is a word for nothing.
NOTHING_IN: dict[str, tuple[str, ...]] = {
    "en": (
        *NONE, "nothing", "empty", "not applicable", "no input", "no input needed", "no input required",
        "no input provided", "no input is needed", "no input is required", "no input necessary",
    ),
    "zh": ("无", "無", "没有", "无输入", "無輸入", "没有输入", "不需要输入", "无需输入"),
    "ru": ("нет", "нет ввода", "отсутствует", "не требуется", "без ввода"),
    "es": ("ninguno", "ninguna", "no aplica", "nada", "vacío", "sin entrada"),
    "de": ("keine", "keiner", "keins", "keine eingabe", "entfällt", "nicht erforderlich"),
    "fr": ("aucun", "aucune", "aucune entrée", "sans objet", "néant"),
    "it": ("nessuno", "nessuna", "nessun input", "non applicabile"),
    "pt": ("nenhum", "nenhuma", "não se aplica", "não aplicável", "vazio", "sem entrada"),
    "ja": (
        "なし", "無し", "無", "ない", "無い", "特になし", "該当なし", "ありません", "不要", "必要なし",
    ),
    "vi": ("không có", "không áp dụng", "không có đầu vào", "không cần đầu vào"),
    "id": ("tidak ada", "tidak ada masukan", "tidak ada input", "tidak berlaku"),
    "pl": ("brak", "brak danych", "brak danych wejściowych", "nie dotyczy"),
    "nl": ("geen", "geen invoer", "niet van toepassing"),
    "ar": ("لا يوجد", "لا شيء", "لا يوجد مدخل", "لا يوجد إدخال", "لا توجد مدخلات", "غير متوفر"),
    "tr": ("yok", "girdi yok", "giriş yok"),
    "th": ("ไม่มี", "ไม่มีอินพุต", "ไม่มีข้อมูลนำเข้า", "ไม่มีข้อมูล"),
    "he": ("אין", "אין קלט", "ללא קלט"),
    "ko": ("없음", "해당 없음", "입력 없음", "없습니다"),
}  # fmt: skip
_NOTHING = frozenset(normalise(word) for words in NOTHING_IN.values() for word in words)
# A short input that says so in a phrase, as `normalise` writes it (without spaces): "No se requiere
# ninguna entrada.", "Nenhum input é necessário.", "入力は必要ありません".
_PHRASE = re.compile(
    r"(?:no_?input|n/a)|nospecific\w*needed"
    r"|(?:no(?:hay|serequiere|senecesita|esnecesario)|sin|ningun[oa]?)\w*(?:entrada|input)"
    r"|(?:nenhuma?|sem|nãohá|nãoé|nãose)\w*(?:entrada|input|necessári[oa]|especificad[oa])"
    r"|ningun[oa]\(noinput|入力\w*(?:なし|無し|不要|ありません)"
)
_PHRASE_LENGTH = 70
_ENDS = ".。…!！()（）[]<>「」\"'*-–—_ "


def bare(text: str) -> str:
    """A text as `normalise` writes it, without what may stand round a word."""
    return normalise(text).strip(_ENDS)


def says_nothing(text: str) -> bool:
    """Whether an input is a word or phrase for there being none.

    >>> tuple(map(says_nothing, ("N/A", "Ninguna.", "入力は必要ありません", "No tengo tiempo.")))
    (True, True, True, False)
    """
    said = normalise(text)
    for word, field in FIELD_OF.items():  # "Input: None": the heading once more
        if field == FIELDS[1] and said.startswith(f"{normalise(word)}:"):
            said = said.partition(":")[2]
    if said.strip(_ENDS) in _NOTHING:
        return True
    return len(said.strip(_ENDS)) < _PHRASE_LENGTH and bool(_PHRASE.match(said.strip(_ENDS)))


def is_no_input(text: str) -> bool:
    """Whether an input stands for none: empty, `<noinput>`, or in words."""
    return bare(text) in ("", bare(NO_INPUT)) or says_nothing(text)
