"""Dates and times as the 18 languages write them, to tell a calendar or a log from prose."""

import functools

import regex

# Month names beside a number; where a month is written with a number the digits' pattern has it.
MONTHS = {
    "en": "January February March April May June July August September October November December "
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
    "listopada grudnia",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "tr": "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "he": "ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר",
    "th": "มกราคม กุมภาพันธ์ มีนาคม เมษายน พฤษภาคม มิถุนายน กรกฎาคม สิงหาคม กันยายน ตุลาคม พฤศจิกายน ธันวาคม",
}

_NUMERIC = (
    r"(?<![\p{Nd}.])\p{Nd}{1,4}([-/.])\p{Nd}{1,2}\1\p{Nd}{1,4}(?![\p{Nd}.])"  # 2024-01-05, ٥/١/٢٠٢٤
    r"|(?<!\p{Nd})\p{Nd}{1,2}:\p{Nd}{2}(?::\p{Nd}{2})?(?!\p{Nd})"  # 14:30, 14:30:59
    r"|[\p{Nd}〇一二三四五六七八九十]{2,4}\s?[年년]"  # 2024年1月5日, 2024년 1월 5일
    r"(?:\s?[\p{Nd}一二三四五六七八九十]{1,3}\s?[月월])?"
    r"(?:\s?[\p{Nd}一二三四五六七八九十]{1,3}\s?[日일])?"
    r"|[\p{Nd}一二三四五六七八九十]{1,3}\s?[月월]\s?[\p{Nd}一二三四五六七八九十]{1,3}\s?[日일]"
    r"|(?i:ngày\s)?\p{Nd}{1,2}\s(?i:tháng)\s\p{Nd}{1,2}(?:\s?(?:,\s?)?(?i:năm)?\s\p{Nd}{4})?"
)


@functools.cache
def pattern(code: str) -> regex.Pattern:
    """What a date looks like in a language: numbers as everywhere, and its months' names."""
    names = "|".join(sorted(MONTHS.get(code, MONTHS["en"]).split(), key=len, reverse=True))
    of = r"(?:\s(?:de|del|of))?"
    named = (
        rf"(?<!\p{{Nd}})\p{{Nd}}{{1,2}}(?:\.|er|º|st|nd|rd|th)?{of}\s?ב?(?:{names})(?!\p{{L}})"
        rf"(?:,?{of}\s\p{{Nd}}{{4}})?"
        rf"|(?<!\p{{L}})(?:{names})\s\p{{Nd}}{{1,2}}(?:st|nd|rd|th)?(?:,?\s\p{{Nd}}{{4}})?(?!\p{{Nd}})"
    )
    return regex.compile(rf"{named}|{_NUMERIC}", regex.IGNORECASE)


def characters_in_dates(text: str, code: str) -> int:
    """How many characters, spaces left out, stand in dates and times."""
    return sum(len("".join(found[0].split())) for found in pattern(code).finditer(text))
