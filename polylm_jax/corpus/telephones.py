"""Telephone numbers in running text, by the numbering plans of the countries that a language is spoken in.

phonenumbers knows what numbers a country gives out and how they are written. Text is full of other
digits, though: dates, money, clauses, catalogue numbers. So a number counts that a country has and
that is written as there, or that a word says is one ('Tel.'); never one that goes on in the next line.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator

import phonenumbers
import regex
from phonenumbers import PhoneNumberFormat, PhoneNumberType

# The countries where most who write a language live: their numbers stand there without a prefix.
REGIONS = {
    "ar": "SA EG AE JO MA DZ IQ", "bn": "BD IN", "cs": "CZ", "da": "DK", "de": "DE AT CH",
    "el": "GR CY", "en": "US GB AU IN IE NZ ZA", "es": "ES MX AR CO CL PE", "fa": "IR AF", "fi": "FI",
    "fr": "FR BE CH SN", "he": "IL", "hi": "IN", "hu": "HU", "id": "ID", "it": "IT CH",
    "ja": "JP", "km": "KH", "ko": "KR", "ms": "MY SG", "nl": "NL BE", "no": "NO", "nb": "NO",
    "pl": "PL", "pt": "BR PT", "ro": "RO MD", "ru": "RU BY KZ", "sv": "SE", "sw": "KE TZ",
    "ta": "IN LK", "th": "TH", "tr": "TR", "uk": "UA", "ur": "PK IN", "vi": "VN", "zh": "CN TW HK SG",
}  # fmt: skip
_SEPARATOR = r"[ \u00a0\u2009.\-‐‑–/·]"
_ENOUGH = re.compile(r"\d(?:[^\d\n]{0,4}\d){6}")  # digits near each other; most texts have none
_CANDIDATE = regex.compile(  # of one line; 7 to 17 digits in groups, with or without + and brackets
    rf"(?=[\p{{Nd}}+＋(（])(?<![\p{{Nd}}\p{{Latin}}_#§№$€£¥₹%=@])(?<!\p{{Nd}}[.,:/\-–]|[§№] ?)"
    rf"(?:[+＋] ?)?[(（]?\p{{Nd}}(?:\p{{Nd}}|{_SEPARATOR}{{0,2}}[(（]?\p{{Nd}}"
    rf"|[)）]{_SEPARATOR}?\p{{Nd}}){{5,20}}(?![\p{{Nd}}_%°]|[.,:/]\p{{Nd}}|\p{{Latin}})"
)
# What stands before or behind a number and says that it's none: money, measures, catalogues.
_NOT_BEFORE = regex.compile(
    r"(?:[$€£¥₹]|\b(?:ISBN|ISSN|EAN|UPC|DOI|GTIN|IBAN|SSN|PIN|ID|SKU|OIB|NIP|PESEL|INN|ИНН|ОГРН|MAC|IP|"
    r"Nr|No(?=\.)|Art|§|№|order|item|card|bestell\w*|artikel\w*|rechnung\w*|factura|facture|invoice|version|v)"
    r"\b)[.:#]?\s{0,2}$",
    regex.IGNORECASE,
)
_NOT_BEHIND = regex.compile(r"^\s?(?:[%‰°]|[NOEWS]\b)")
# Units as whole words; where no spaces stand between words, or endings are glued on, as they begin.
_UNIT_BEHIND = regex.compile(
    r"^\s?(?:[$€£¥₹]|(?-i:EUR|USD|GBP|CHF|PLN|JPY|CNY|RMB|RUB|BRL|TRY|IDR|INR|KRW|THB|VND|ILS|SAR|AED|EGP|MXN|CZK|SEK|NOK|DKK)\b"
    r"|(?:euros?|dollar\w*|dólar\w*|рубл\w*|руб|zł\w*|kr|kron\w*|kč|yen|won|km|kg|cm|mm|m²|m³|people|personas|"
    r"personnes|Einwohner\w*|habitant\w*|человек\w*|lei|lira\w*|rupiah|juta|đồng|triệu|tỷ)(?!\p{L})"
    r"|元|円|원|万|億|亿|人|บาท|ريال|دولار|שקל)",
    regex.IGNORECASE,
)
# Words that announce a telephone number, in the 18 languages.
_SAYS_SO = regex.compile(
    r"(?:\b(?:te?lf?|t[eé]l[eé]?f\w*|telepon\w*|telp|phone|ph|call\w*|mobil\w*|m[oó]vil\w*|telem[oó]ve\w*|portable|cell\w*|wa|cel|celular|fax|handy|whats\s?app|"
    r"hotline|ring|dial|sms|anruf\w*|ruf|rufen|appel\w*|llam\w*|chiam\w*|ligu?e?|ligar|bel|bellen|"
    r"zadzwoń|dzwoń|kontakt|contact|contatt[oi]|contat[oe]|contacto|reserv\w*|réserv\w*|prenot\w*|rezerw\w*|kom|komórk\w*|hubungi|hp|gọi|điện thoại|đt|sđt|ara(?:yın|yin|yabilir\w*|ma)|gsm|cep)\b"
    r"|тел|звон|моб|факс|телефон|電話|电话|手机|手機|携帯|致电|拨打|热线|联系|連絡|전화|연락|휴대|문의|"
    r"โทร|มือถือ|ติดต่อ|هاتف|اتصل|للتواصل|للاستفسار|واتس|جوال|موبايل|تلفون|الهاتف|טל|נייד|התקשר|פקס|פלאפון|फ़?ोन|मोबाइल|संपर्क)",
    regex.IGNORECASE,
)
_BEFORE = 45  # characters in which such a word may stand, another number between
_DATE = regex.compile(
    r"^\p{Nd}{1,2}([-./ ])\p{Nd}{1,2}\1\p{Nd}{2,4}$|^\p{Nd}{4}([-./ ])\p{Nd}{1,2}\2\p{Nd}{1,2}$"
    r"|^(?:1[5-9]|20)\p{Nd}{2}[-–](?:1[5-9]|20)?\p{Nd}{2}(?:\P{Nd}|$)"
)
_THOUSANDS = regex.compile(r"^[+＋]?\s?\p{Nd}{1,3}(?:([ .\u00a0\u2009])\p{Nd}{3})(?:\1\p{Nd}{3})+$")
# The plan of North America, where made-up numbers begin 555 and no such area is given out.
_AMERICAN = regex.compile(
    r"^(?:\+?1[ .-]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-.]\d{4}$"
)
_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def found(text: str, code: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each telephone number in a text in a language."""
    if not _ENOUGH.search(text):
        return
    regions = tuple(REGIONS.get(code, "").split())
    for match in _CANDIDATE.finditer(text):
        written = match[0]
        if not 7 <= sum(map(str.isdecimal, written)) <= 15 or _DATE.match(written):
            continue
        line = text[max(0, match.start() - _BEFORE) : match.start()].rpartition("\n")[2]
        after = text[match.end() : match.end() + 14].partition("\n")[0]
        if _is_something_else(written, line, after):
            continue
        start_of_line = text.rfind("\n", 0, match.start()) + 1
        alone = not text[start_of_line : match.start()].strip() and not after.strip()
        if _is_number(_plain(written), regions, bool(_SAYS_SO.search(line)), alone):
            yield match.span()


def _is_something_else(written: str, line: str, after: str) -> bool:
    """Whether what stands around a number says that it's money, a measure or a catalogue's.

    An amount begins with no 0 and no bracket, and with a + only where its digits stand in thousands:
    '03-3581-4111 人' is a telephone number before a word that begins as people are counted.
    """
    amount = bool(_THOUSANDS.match(written))
    if not amount and written[0] in "+＋":
        return False
    if _NOT_BEFORE.search(line):
        return True
    if not amount and written[0] in "(（":
        return False
    begins_with_0 = unicodedata.decimal(written[0], 1) == 0
    unit = _UNIT_BEHIND.match(after) if amount or not begins_with_0 else None
    return bool(unit or _NOT_BEHIND.match(after))


def _plain(written: str) -> str:
    """Digits of any script as 0 to 9, full-width signs as ASCII's."""
    return "".join(
        str(unicodedata.decimal(c)) if c.isdecimal() else c
        for c in unicodedata.normalize("NFKC", written)
    ).strip()


@functools.lru_cache(maxsize=4096)
def _is_number(written: str, regions: tuple[str, ...], said: bool, alone: bool) -> bool:
    if "US" in regions and _AMERICAN.match(written):
        return True
    if written.startswith("+"):
        return _valid(written, None) is not None
    thousands = bool(_THOUSANDS.match(written))
    for region in regions:
        if said and _possible(written, region):
            return True
        number = _valid(written, region)
        if number is None:
            continue
        if said:
            return True
        if thousands or alone:  # a sum of money, a column of numbers
            continue
        if written.isdecimal():
            if _plainly_mobile(written, number, region):
                return True
        elif _as_there(written, number, region):
            return True
    return False


def _valid(written: str, region: str | None):
    """The number, if the country gives out such ones, else None."""
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    if region is None:
        return number if phonenumbers.is_valid_number(number) else None
    return number if phonenumbers.is_valid_number_for_region(number, region) else None


def _possible(written: str, region: str) -> bool:
    """Of the length that numbers have there, from the 0 on that is dialled first: also a made-up one."""
    if written[0] not in "(0" or sum(map(str.isdecimal, written)) < 9:
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False


def _plainly_mobile(written: str, number, region: str) -> bool:
    """Digits alone: eleven of a Chinese mobile, or one with the 0 that its country puts before it."""
    if phonenumbers.number_type(number) not in _MOBILE:
        return False
    return region == "CN" or (written.startswith("0") and len(written) >= 10)


def _as_there(written: str, number, region: str) -> bool:
    """Whether the digits are grouped as the country groups them, or as one that dials a 0 or 8 may."""
    groups = [len(group) for group in regex.split(r"\D+", written) if group]
    if len(groups) < 2 or min(groups) < 2 and groups[0] != 1:
        return False
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    theirs = [len(group) for group in regex.split(r"\D+", national) if group]
    if groups == theirs:
        return _sign_or_long(written, groups)
    if written[0] in "(0" or (region in ("RU", "KZ", "BY") and written[0] == "8"):
        signs = bool(regex.search(r"[-()]", written)) and max(groups) <= 8
        return signs or (groups[0] >= 3 and 5 <= max(groups) <= 8)
    return False


def _sign_or_long(written: str, groups: list[int]) -> bool:
    """Pairs of digits are also bus times and lottery numbers: then there must be five of them."""
    return max(groups) > 2 or len(groups) >= 5
