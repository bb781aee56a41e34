"""The little words that any real sentence has: without them a text is a list of keywords (Gopher, BLOOM)."""

import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import regex

from polylm_jax.corpus import shingles
from polylm_jax.languages.registry import LANGUAGES, Language

WORDS = {
    "en": "the be to of and that have with in is a for on as it or by this are from an not all",
    "de": "der die das und in zu den von mit ist des ein eine auf für im dem nicht auch als oder an "
    "werden hat jeder",
    "fr": "le la les de des du et à un une en est dans que pour sur par pas qui au avec ou ce se son",
    "es": "el la los las de y a en un una que por con para del se no o su es al como sin toda",
    "it": "il la lo le gli di e a in un una che per con del della dei è non da si nel o ogni sono al "
    "i",
    "pt": "o a os as de e em um uma que para com do da dos das no na por não se ou é ao todo sua",
    "nl": "de het een en van in op te voor met is dat die zijn aan niet of door tot om bij als heeft",
    "pl": "i w z na do się nie że o jest od za po lub oraz jak dla ma jego przez każdy to a we ze",
    "ru": "и в на с по не что для к из о от или а как его на при это он до быть имеет каждый за",
    "tr": "ve bir bu ile için da de olarak veya her olan gibi daha en çok ya kadar ne o hakkı sonra",
    "vi": "và của các là có được cho trong một không với người những này để khi về theo hay quyền mọi "
    "hoặc đã từ",
    "id": "dan yang di untuk dari dengan dalam atau pada ini tidak ke adalah oleh setiap sebuah itu "
    "akan hak sebagai orang",
    "ar": "في من على إلى أن و أو كل لا ما عن مع هذا هذه التي الذي له حق بين ولا ذلك هو قد أي",
    "he": "של את על או כל לא אדם זכאי עם אל זה הוא כי אין אם בין לו גם מן יש לכל בכל",
    "ko": "이 그 및 등 또는 모든 수 는 을 를 의 에 가 한 할 것 있는 위한 있다 대한 다른 가진다 위해",
    # Where no spaces stand: pieces of text, counted wherever they are.
    "zh": "的 是 在 和 一 有 不 以 为 或 用 与 这 所 对 及 个 上 中",
    "ja": "の に は を が と で た し て る い す れ",
    "th": "การ ที่ และ ใน ของ เป็น มี ได้ ให้ จะ ไม่ หรือ ความ จาก ด้วย นี้ คน",
}

# Languages that share most of their words and all of their letters: words that each has alone.
ALONE = {
    "id": "bahwa karena bisa uang kantor mobil sepeda kalau berbeda kebijakan perusahaan pemerintah "
    "warga dokter musik universitas polisi taksi kursi obat kamar lemari toko senin jumat maret agustus "
    "juni juli yaitu mencoba coba nomor siswa mahasiswa pabrik listrik situs ponsel para terhadap setiap "
    "siapapun apapun manapun dilakukan memperoleh kebebasan hukum dong sih banget gue aja udah nggak gak "
    "cuma nih kok sekarang sebuah beberapa bicara kemarin sore bumbu halus keju minggu sang dipakai",
    "ms": "bahawa kerana wang pejabat kereta basikal awak sahaja mahu syarikat kerajaan hendaklah "
    "antarabangsa perlembagaan sebarang sesiapa encik puan cikgu samarata iaitu ialah "
    "berbeza mencuba nombor pelajar kilang elektrik laman universiti muzik doktor polis teksi kerusi "
    "ubat bilik almari kedai isnin jumaat mac ogos jun julai tiada berasa pelbagai nak dah "
    "korang kat semalam ahad tersangat ternampak petang semasa sekiranya",
}


def closer(text: str, codes: tuple[str, ...]) -> str:
    """Which of some languages has more words that are its alone in a text; '' where none has."""
    words = [word.strip(".,;:!?\"'()") for word in text.lower().split()]
    own = {code: sum(word in _alone(code) for word in words) for code in codes}
    best = max(own, key=own.__getitem__)
    return best if sum(count == own[best] for count in own.values()) == 1 else ""


# Characters of words that Cantonese writes and Mandarin doesn't.
_CANTONESE = frozenset("喺嘅咗佢唔冇嗰啲嚟咁哋嘢咩乜睇嘥攞")
_LEAST_CANTONESE = 0.02  # of the text's characters; a quoted sentence has fewer
_LEAST_SHARE = 0.1  # of the words; of good English three in ten


def is_cantonese(text: str) -> bool:
    """Whether a Chinese text is written Cantonese."""
    return sum(map(text.count, _CANTONESE)) > _LEAST_CANTONESE * len(text)


def enough(text: str, code: str) -> bool:
    """Whether as many words of a text are little words as any real one's."""
    counts = _counted(text)
    return sum(counts[word] for word in of(code)) >= _LEAST_SHARE * counts.total()


def more_like(text: str, code: str, codes: Sequence[str]) -> str:
    """Which of some languages has twice as many little words of its own in a text as `code` has; '' for none.

    Of languages with spaces, in scripts of which each letter may be several languages'.
    """
    if code not in WORDS or not LANGUAGES[code].spaces:
        return ""
    script, counts = LANGUAGES[code].script, _counted(text)
    for other in codes:
        if other != code and other in WORDS and LANGUAGES[other].script == script:
            ours, theirs = _little(counts, code, other)
            if theirs >= 3 and theirs > 2 * ours + 1:
                return other
    return ""


def little_words(text: str, first: str, second: str) -> tuple[int, int]:
    """How many words of a text are little words of one language and not of the other, and the reverse."""
    return _little(_counted(text), first, second)


def _counted(text: str) -> Counter[str]:
    return Counter(word.strip(".,;:!?\"'()«»“”„") for word in text.lower().split())


def _little(counts: Counter[str], first: str, second: str) -> tuple[int, int]:
    one, other = (sum(counts[word] for word in words) for words in _apart(first, second))
    return one, other


@functools.cache
def _apart(first: str, second: str) -> tuple[frozenset[str], frozenset[str]]:
    """The little words of each of two languages that the other hasn't."""
    one, other = (of(code) for code in (first, second))
    return one - other, other - one


@functools.cache
def of(code: str) -> frozenset[str]:
    """The little words of a language; none where none are known."""
    return frozenset(WORDS.get(code, "").split())


@functools.cache
def _alone(code: str) -> frozenset[str]:
    return frozenset(ALONE[code].split())


@functools.cache
def _hashes(code: str) -> frozenset[int]:
    found = [shingles.units(word, True)[0] for word in WORDS[code].split()]
    return frozenset(np.concatenate(found).tolist())


def different(text: str, hashes: np.ndarray, language: Language) -> int:
    """How many different ones stand in a text, whose units' hashes are given; many if none are known."""
    if language.code not in WORDS:
        return len(hashes)
    if not language.spaces:
        return sum(word in text for word in WORDS[language.code].split())
    found = _hashes(language.code).intersection(hashes.tolist())
    particles = _korean_particles(text) if language.code == "ko" else 0
    return len(found) + particles


def keyword_share(hashes: np.ndarray, language: Language, word: int) -> float:
    """Of a text's words, those that are the commonest one, little words and numbers aside: 'casino casino'.

    hashes: of its units. word: units of a word; where it has several, the commonest run of as many counts.
    """
    passed = shingles.numbers() | (
        _hashes(language.code) if language.code in WORDS else frozenset()
    )
    size = len(hashes)
    if word > 1:
        if language.spaces:
            hashes = hashes[[value not in passed for value in hashes.tolist()]]
        grams = shingles.ngrams(hashes, word)
    else:
        grams = hashes
    if len(grams) < 2:
        return 0.0
    values, counts = np.unique(grams, return_counts=True)
    for place in np.argsort(-counts)[: len(passed) + 1].tolist():
        if int(values[place]) not in passed:
            at = grams == values[place]
            once = np.count_nonzero(at) - np.count_nonzero(at[1:] & at[:-1])  # "la la la" is one
            return float(once) * word / size
    return 0.0


def commonest(hashes: np.ndarray, language: Language, n: int = 3) -> float:
    """The share of a text's words that its n commonest ones make, little words and numbers aside."""
    if len(hashes) < 2:
        return 0.0
    values, counts = np.unique(hashes, return_counts=True)
    passed = shingles.numbers()
    passed = passed | _hashes(language.code) if language.code in WORDS else passed
    order = np.argsort(-counts)[: len(passed) + n].tolist()
    found = [int(counts[at]) for at in order if int(values[at]) not in passed][:n]
    return sum(found) / len(hashes)


# What a label has none of, where nothing but spaces parts labels: (its most letters, what no label has).
_SPACED_LABELS = {
    "zh": (4, regex.compile("[的了是在吗呢]")),
    "ja": (10, regex.compile("[はがをもやねよ]|です|ます|[にでの](?=.)")),
    "th": (12, regex.compile("ที่|และ|ของ|เป็น|ได้|ให้|จะ|ไม่|หรือ|จาก|ด้วย|นี้")),
    "ko": (6, regex.compile("[은는이가을를에로와과도다며고요서면지게니야까라네죠]$")),
}
_LEAST_SPACED = 15  # pieces between spaces in a line


def spaced_labels(text: str, code: str) -> float:
    """Of the letters of a text in Chinese, Japanese, Thai or Korean, those in labels between spaces; else 0."""
    if code not in _SPACED_LABELS:
        return 0.0
    longest, never = _SPACED_LABELS[code]
    total = labels = 0
    for line in text.split("\n"):
        pieces = [(piece, sum(map(str.isalpha, piece))) for piece in line.split()]
        total += sum(letters for _, letters in pieces)
        if sum(letters > 0 for _, letters in pieces) >= _LEAST_SPACED:
            labels += sum(n for piece, n in pieces if n <= longest and not never.search(piece))
    return labels / max(1, total)


def _korean_particles(text: str) -> int:
    """Korean writes its particles onto the word before: how many kinds end a word here."""
    ends = {word[-1] for word in text.split() if len(word) > 1}
    return len(ends & set("은는이가을를의에로와과도다며고"))
