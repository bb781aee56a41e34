"""E-mail addresses, telephone numbers and IP addresses, replaced by markers and counted."""

import ipaddress
from collections import Counter

import regex

MARKERS = {"email": "<EMAIL>", "phone": "<PHONE>", "ip": "<IP>"}
_EMAIL = regex.compile(
    r"(?<![\p{L}\p{M}\p{Nd}._%+-])[\p{L}\p{M}\p{Nd}._%+-]{1,64}@(?:[\p{L}\p{M}\p{Nd}-]{1,63}\.){1,8}\p{L}{2,24}",
)
_IPV4 = regex.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)")
_IPV6 = regex.compile(
    r"(?<![0-9A-Fa-f:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![0-9A-Fa-f:])"
)
# With a country's code, or with an area's code in brackets or after a 0; 8 to 15 digits of any
# script. A long number alone is no telephone number.
_PHONE = regex.compile(
    r"(?<![\p{L}\p{Nd}./-])(?<!\p{Nd}[\s,.])(?:"
    r"[+＋]\s?\p{Nd}{1,3}(?:[\s.\-–()（）]{0,2}\p{Nd}{1,5}){2,6}"
    r"|[(（]\p{Nd}{2,5}[)）][\s.-]?\p{Nd}{2,4}(?:[\s.\-–]\p{Nd}{2,5}){1,3}"
    r"|[0٠۰]\p{Nd}{1,4}(?:[\s.\-–]\p{Nd}{2,5}){2,4}"
    r"|[0٠۰]\p{Nd}{1,4}[\s\-–]\p{Nd}{5,8}(?:[\s\-–]\p{Nd}{1,4})?"
    r")(?![\p{Nd}]|[-/.]\p{Nd})"
)
_DATE = regex.compile(r"\p{Nd}{1,2}([-./])\p{Nd}{1,2}\1\p{Nd}{4}")


def masked(text: str) -> tuple[str, Counter]:
    """(the text with markers, how many of each kind were replaced).

    >>> masked("Write to ann@example.org or 192.0.2.7")[0]
    'Write to <EMAIL> or <IP>'
    """
    found = Counter()
    if "@" in text:
        text, found["email"] = _EMAIL.subn(MARKERS["email"], text)
    if text.count(".") > 2:
        text = _replaced(_IPV4, _is_address, "ip", text, found)
    if text.count(":") > 1:
        text = _replaced(_IPV6, _is_address, "ip", text, found)
    text = _replaced(_PHONE, _is_phone, "phone", text, found)
    return text, +found


def _replaced(pattern: regex.Pattern, right, kind: str, text: str, found: Counter) -> str:
    def marker(match: regex.Match) -> str:
        if not right(match[0]):
            return match[0]
        found[kind] += 1
        return MARKERS[kind]

    return pattern.sub(marker, text)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 or len(text) > 6  # '::' and '::1' are also code


def _is_phone(text: str) -> bool:
    digits = sum(c.isdecimal() for c in text)
    return 8 <= digits <= 15 and not _DATE.search(text)
