"""E-mail addresses, telephone numbers, IP addresses and, if asked, account numbers, replaced by markers."""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Container, Sequence

import regex

from polylm_jax.corpus import telephones
from polylm_jax.errors import InputError, nearest

MARKERS = {"email": "<EMAIL>", "ip": "<IP>", "iban": "<IBAN>", "card": "<CARD>", "id": "<ID>",
           "phone": "<PHONE>"}  # fmt: skip
ADDRESSES = ("email", "ip", "phone")  # what PERSONAL_DATA = True masks
# ASCII first: where no spaces stand, letters of the sentence touch the address.
_EMAIL = regex.compile(
    r"(?<![A-Za-z0-9._%+/@-])[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?[@＠]"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(?!\d)[A-Za-z][A-Za-z0-9-]{1,23}(?![A-Za-z0-9@])(?!:[\w/])"
    r"|(?<![\p{L}\p{M}\p{N}._%+/@-])[\p{L}\p{M}\p{Nd}._%+-]{1,64}[@＠](?:[\p{L}\p{M}\p{Nd}-]{1,63}\.){1,8}"
    r"\p{L}[\p{L}\p{M}]{1,23}(?![\p{L}\p{M}\p{Nd}@])(?!:[\w/])"
)
_SPELLED = regex.compile(  # 'ann [at] example [dot] org'
    r"(?<![\w.])[\w.+-]{1,64} ?[\[({] ?(?:at|ät|arroba|chez|собака) ?[\])}] ?[\w-]{1,63}"
    r"(?: ?[\[({] ?(?:dot|punkt|punto|point|ponto|точка) ?[\])}] ?[\w-]{2,63}|\.[\w-]{2,63}){1,4}",
    regex.IGNORECASE,
)
_MAYBE_SPELLED = re.compile(r"[\[({] ?(?:at|ät|arroba|chez|собака)\b", re.IGNORECASE)
_IPV4 = regex.compile(
    r"(?<![\w.§-])(?<![§№] ?)(?<!\b(?:v|ver|version|versions|release|clause|art\.|article|section|sec|ziffer|abschnitt"
    r"|пункт|пункта|версия|версии|版本|バージョン|第)\.? ?)(?:\d{1,3}\.){3}\d{1,3}(?![\w%]|\.\d)",
    regex.IGNORECASE,
)
# A browser says its version behind its name, with small numbers: 'Firefox 115.0.2.1', 'Firefox/115.0.2.1'.
_NAMED = regex.compile(r"(?:\b\p{Lu}[\p{L}\p{N}+.]*[ /]|[A-Za-z]/)$")
_SAID = regex.compile(  # what says that an address follows, whatever its numbers are
    r"(?:\b(?:ip|ipv4|dns|ping|traceroute)\b[^\d\n]{0,20}|\b(?:host|server|serv(?:eur|idor)|nameserver|resolver|gateway|proxy|"
    r"address|adress\w*|adres\w*|direcci[oó]n|endere[cç]o|indirizzo|alamat|địa chỉ|адрес\w*|сервер\w*)\b(?:\s+(?:ip|at|is|"
    r"unter|auf|von|est|es|è|en|em|is|op|to|на|по))+:?\s|(?:地址|アドレス|サーバー|서버|주소|عنوان|خادم|כתובת|שרת)[^\d\n]{0,6})$",
    regex.IGNORECASE,
)
_BEFORE = 40  # characters before an address that are looked at
_IPV6 = regex.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])(?!\.\d)")
# Kept for examples in books; here they stand for public ones, as they do in real text.
_EXAMPLES = [ipaddress.ip_network(net) for net in
             ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]  # fmt: skip
_LEAST_OCTET = (
    32  # the largest of four below it is a clause or a version; of addresses 1 in 4,096 is so
)
_SMALL = 10  # parts of a version are; of two in three parts of an address 1 in 190
_IBAN = regex.compile(r"(?<![\w])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![\w])")
_CARD = regex.compile(r"(?<![\w.,-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\w]|[.,-]\d)")
_CHINESE_ID = regex.compile(r"(?<![A-Za-z\d])[1-9]\d{16}[\dXx](?![A-Za-z\d])")
_AMERICAN_ID = regex.compile(
    r"(?<=\bSSN:? ?|\bsocial security (?:number|no\.?):? ?)\d{3}-\d{2}-\d{4}(?!\d)",
    regex.IGNORECASE,
)


def kinds_of(asked: bool | Sequence[str]) -> tuple[str, ...]:
    """PERSONAL_DATA -> the kinds that are masked: True is addresses, () or False none."""
    if isinstance(asked, bool):
        return ADDRESSES if asked else ()
    for kind in (asked,) if isinstance(asked, str) else asked:
        if kind not in MARKERS:
            hint = nearest(str(kind), MARKERS)
            raise InputError(
                f"PERSONAL_DATA has {kind!r}: give True, or some of {', '.join(MARKERS)}.{hint}"
            )
    return (asked,) if isinstance(asked, str) else tuple(asked)


def masked(text: str, code: str = "", kinds: Sequence[str] = ADDRESSES) -> tuple[str, Counter]:
    """(the text with markers, how many of each kind were replaced).

    code: the text's language, which says whose national telephone numbers to look for.

    >>> masked("Write to ann@example.org or 192.0.2.77")[0]
    'Write to <EMAIL> or <IP>'
    """
    found: Counter[str] = Counter()
    for kind in MARKERS:
        if kind in kinds:
            text = _MASKS[kind](text, code, found)
    return text, +found


def _emails(text: str, code: str, found: Counter) -> str:
    if "@" in text or "＠" in text:
        lines = (  # no address goes over two, and few lines have one
            _replaced(_EMAIL, _is_email, "email", line, found)
            if "@" in line or "＠" in line
            else line
            for line in text.split("\n")
        )
        text = "\n".join(lines)
    if _MAYBE_SPELLED.search(text):
        text = _replaced(_SPELLED, lambda _: True, "email", text, found)
    return text


def _addresses(text: str, code: str, found: Counter) -> str:
    if text.count(".") > 2:
        versions = {m[0].partition(".")[0] for m in _IPV4.finditer(text) if _is_version(m)}
        text = _IPV4.sub(lambda match: _masked_address(match, found, versions), text)
    if text.count(":") > 1:
        text = _replaced(_IPV6, _is_public, "ip", text, found)
    return text


def _is_version(match: regex.Match) -> bool:
    """Whether four small numbers stand behind a name, and no word says that they're an address."""
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    named = _NAMED.search(before) and not _SAID.search(before)
    return bool(named) and _has_small_parts(match[0])


def _has_small_parts(address: str) -> bool:
    return sum(int(part) < _SMALL for part in address.split(".")[1:]) > 1


def _masked_address(match: regex.Match, found: Counter, versions: Container[str]) -> str:
    """The marker, or the match where it is a version, a clause or nobody's own address.

    versions: how the versions in the text begin; what is like them is another one.
    """
    said = _SAID.search(match.string[max(0, match.start() - _BEFORE) : match.start()]) is not None
    version = match[0].partition(".")[0] in versions and _has_small_parts(match[0])
    if (version and not said) or not _is_public(match[0], said):
        return match[0]
    found["ip"] += 1
    return MARKERS["ip"]


def _telephones(text: str, code: str, found: Counter) -> str:
    pieces, last = [], 0
    for start, end in telephones.found(text, code):
        pieces += [text[last:start], MARKERS["phone"]]
        last = end
        found["phone"] += 1
    return "".join([*pieces, text[last:]])


def _of_checksum(pattern: regex.Pattern, right: Callable[[str], bool], kind: str):
    return lambda text, code, found: _replaced(pattern, right, kind, text, found)


def _replaced(pattern: regex.Pattern, right, kind: str, text: str, found: Counter) -> str:
    def marker(match: regex.Match) -> str:
        if not right(match[0]):
            return match[0]
        found[kind] += 1
        return MARKERS[kind]

    return pattern.sub(marker, text)


def _is_email(text: str) -> bool:
    """No package with its version ('pip@23.1.dev'): at most the name before the last is a number."""
    labels = regex.split("[@＠]", text)[1].split(".")
    return not any(label.isdigit() for label in labels[:-2]) and labels[0] != "localhost"


def _is_public(text: str, said: bool = False) -> bool:
    """An address that somebody has: no private, loopback or reserved one, no clause, no code.

    said: whether the words before it say that it's an address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 4 and not said and max(map(int, text.split("."))) < _LEAST_OCTET:
        return False
    if address.version == 6 and not any(c.isdigit() for c in text):
        return False
    return address.is_global or any(
        address in net for net in _EXAMPLES if net.version == address.version
    )


def _is_iban(text: str) -> bool:
    """ISO 13616: the country and check digits go to the end, letters are 10 to 35, mod 97 is 1."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """Luhn: every second digit from the right twice, its digits summed, makes a multiple of ten."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_chinese_id(text: str) -> bool:
    """GB 11643: weights 2**17 to 2, mod 11."""
    total = sum(int(c) * pow(2, 17 - n, 11) for n, c in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _identities(text: str, code: str, found: Counter) -> str:
    text = _replaced(_CHINESE_ID, _is_chinese_id, "id", text, found)
    return _replaced(_AMERICAN_ID, lambda _: True, "id", text, found)


_MASKS: dict[str, Callable[[str, str, Counter], str]] = {
    "email": _emails,
    "ip": _addresses,
    "phone": _telephones,
    "iban": _of_checksum(_IBAN, _is_iban, "iban"),
    "card": _of_checksum(_CARD, _is_card, "card"),
    "id": _identities,
}
