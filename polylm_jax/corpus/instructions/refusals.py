"""How models refuse, in the languages that they are asked in."""

import regex

# At the beginning of an answer, as is "As an AI ...".
_PHRASES = {
    "en": r"(?:I'?m |I am )?(?:very |so |really )?sorry,? (?:but|I)\b.{0,40}(?:can'?t|cannot|can not|am not able|unable|won't)"
    r"|I (?:can'?t|cannot|am unable to|am not able to|won't|will not) (?:help|assist|comply|fulfil|provide|answer|generate|create|do that|write|continue|translate|complete)"
    r"|I(?:'m| am) (?:unable|not able) to",
    "zh": r"(?:很)?(?:抱歉|对不起|對不起).{0,20}(?:无法|不能|無法)|我(?:无法|不能)(?:提供|协助|回答|满足|帮助|生成)",
    "ru": r"(?:извините|простите|к сожалению),?.{0,40}(?:не могу|не в состоянии|не способ)|я не могу (?:помочь|предоставить|ответить|выполнить)",
    "es": r"(?:lo siento|lo lamento|disculp\w+|perdón),?.{0,40}(?:no puedo|no soy capaz|no me es posible)|no puedo (?:ayudar|proporcionar|responder a esa|cumplir)",
    "de": r"(?:es tut mir (?:sehr )?leid|tut mir leid|entschuldigung|leider),?.{0,40}(?:kann ich|ich kann).{0,40}nicht|ich kann (?:dir|ihnen)? ?(?:dabei|das|diese\w*).{0,40}nicht",
    "fr": r"(?:je suis )?(?:désolée?|navrée?),?.{0,40}je ne (?:peux|puis|suis)|je ne (?:peux|puis) pas (?:vous aider|fournir|répondre à cette)",
    "it": r"mi dispiace,?.{0,40}non (?:posso|sono in grado)|non posso (?:aiutar|fornire|rispondere a questa)",
    "pt": r"(?:sinto muito|lamento|desculp\w+),?.{0,40}não (?:posso|consigo|sou capaz)|não posso (?:ajudar|fornecer|atender)",
    "ja": r"(?:大変)?(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい|残念ながら).{0,40}(?:できません|できかね|いたしかね|お答えでき)|(?:お手伝い|お答え|ご要望にお応え)(?:する(?:こと)?)?(?:は)?(?:できません|できかねます)",
    "vi": r"(?:tôi )?(?:rất )?(?:xin lỗi|rất tiếc),?.{0,40}không thể|tôi không thể (?:giúp|cung cấp|trả lời|hỗ trợ)",
    "id": r"(?:maaf|mohon maaf),?.{0,40}(?:tidak (?:dapat|bisa)|tak bisa)|saya tidak (?:dapat|bisa) (?:membantu|memberikan|menjawab|memenuhi)",
    "pl": r"(?:przepraszam|przykro mi|niestety),?.{0,40}nie mogę|nie mogę (?:pomóc|udzielić|spełnić)",
    "nl": r"(?:het )?spijt me,?.{0,40}(?:kan|niet)|sorry,?.{0,30}kan ik|ik kan (?:je|u) (?:hier|daar)\w* niet",
    "ar": r"(?:عذرا|عذرًا|آسف|أعتذر|للأسف).{0,40}(?:لا أستطيع|لا يمكنني|لا استطيع|غير قادر)|لا (?:أستطيع|يمكنني) (?:المساعدة|مساعدتك|تقديم|الإجابة)",
    "tr": r"(?:üzgünüm|maalesef|özür dilerim),?.{0,60}(?:yapamam|edemem|veremem|olamam|yardımcı ol\w*m[ıia]y)",
    "th": r"(?:ขออภัย|ขอโทษ|เสียใจ).{0,40}ไม่สามารถ|(?:ฉัน|ผม|ดิฉัน)ไม่สามารถ(?:ช่วย|ให้|ตอบ)",
    "he": r"(?:מצטער|סליחה|אני מצטערת?|לצערי).{0,40}(?:לא (?:יכול|אוכל)|אין באפשרותי)|אני לא יכולה? (?:לעזור|לספק|לענות)",
    "ko": r"(?:죄송(?:합니다|하지만|해요)|미안).{0,40}(?:수 없|어렵|드릴 수|못)|(?:도와드릴|제공해 드릴|답변(?:해 )?드릴) 수 없",
}  # fmt: skip
_MACHINE = (
    r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b"
    r"|作为(?:一个|一名)?(?:AI|人工智能|语言模型|大型语言模型)"
    r"|как (?:языковая модель|искусственный интеллект|ии)\b|como (?:(?:un |una )?(?:modelo de lenguaje|inteligencia artificial|IA)|(?:um |uma )?(?:modelo de linguagem|inteligência artificial|IA))\b"
    r"|als (?:KI|künstliche intelligenz|(?:ein )?(?:KI-)?sprachmodell|AI-taalmodel|taalmodel)\b|en tant qu(?:e modèle de langage|'(?:IA|intelligence artificielle|assistant IA))"
    r"|come (?:modello linguistico|intelligenza artificiale)\b|(?:AI|人工知能)(?:言語)?(?:モデル)?として(?:は|、)|言語モデルとして"
    r"|là (?:một )?(?:mô hình ngôn ngữ|AI|trí tuệ nhân tạo)(?=[,\s])|sebagai (?:model bahasa|AI|kecerdasan buatan)\b"
    r"|jako (?:model językowy|sztuczna inteligencja)\b|(?:بصفتي|كوني|باعتباري) (?:نموذج|ذكاء|مساعد)|bir (?:yapay zeka|dil) modeli olarak"
    r"|(?:ในฐานะ|เป็น)(?:โมเดลภาษา|ปัญญาประดิษฐ์|AI)|כמודל שפה|בתור (?:מודל שפה|בינה מלאכותית)"
    r"|(?:AI|인공지능)(?: 언어)?(?: ?모델)?(?:로서|이기 때문에)|언어 ?모델로서"
)  # fmt: skip
_START = r"^[\s\W]*(?:" + "|".join(_PHRASES.values()) + r")"
_REFUSAL = regex.compile(_START, regex.IGNORECASE)
_SAYS_MACHINE = regex.compile(_MACHINE, regex.IGNORECASE)
BEGINNING = 80  # characters: later a text may speak of AI


def is_one(text: str) -> bool:
    """Whether a text begins as a refusal does.

    >>> is_one("I'm sorry, but I can't help with that."), is_one("죄송합니다. 도와드릴 수 없습니다.")
    (True, True)
    >>> is_one("I'm sorry that the jug arrived cracked.")
    False
    """
    return bool(_REFUSAL.search(text[:500]) or _SAYS_MACHINE.search(text[:BEGINNING]))
