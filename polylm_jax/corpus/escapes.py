"""Text that was escaped for HTML, for an address, for JSON or for mail, and never turned back.

A sentence is never written so; the letters come back where all of them do, and code is left alone.
"""

import html
import quopri
import re
import urllib.parse

_CODE = re.compile(r"(`[^`\n]*`)")
_ENTITY = re.compile(r"&(?:#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_ROUNDS = 3  # '&amp;amp;eacute;' was escaped three times
_HIGH_PERCENT = re.compile(r"%[89A-Fa-f][0-9A-Fa-f]")
_ADDRESS = re.compile(r"://|^www\.|^/|\?\w+=")
_UNICODE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_QUOTED = re.compile(r"=[89A-F][0-9A-F]")
LEAST = 8  # escapes of bytes or characters beyond ASCII, before a text is taken for an escaped one


def unescaped(text: str) -> tuple[str, list[str]]:
    """(the text, which escapes were turned back).

    >>> unescaped("caf&eacute; &amp;amp; `&lt;`")
    ('café & `&lt;`', ['HTML entities'])
    """
    done = []
    for sign, name, turn in (
        ("&", "HTML entities", _without_entities),
        ("%", "percent signs", _without_percents),
        ("\\u", "escaped characters", _without_unicode),
        ("=", "quoted-printable", _without_quoted),
    ):
        if sign in text and (turned := turn(text)) != text:
            text = turned
            done.append(name)
    return text, done


def _outside_code(text: str, turn) -> str:
    if "`" not in text:
        return turn(text)
    return "".join(part if part.startswith("`") else turn(part) for part in _CODE.split(text))


def _without_entities(text: str) -> str:
    for _ in range(_ROUNDS):
        before = text
        text = _outside_code(
            text, lambda part: _ENTITY.sub(lambda found: html.unescape(found[0]), part)
        )
        if text == before:
            break
    return text


def _without_percents(text: str) -> str:
    """Words that are addresses stay: they are written so."""

    def turn(word: str) -> str:
        if len(_HIGH_PERCENT.findall(word)) < LEAST or _ADDRESS.search(word):
            return word
        try:
            return urllib.parse.unquote(word, errors="strict")
        except UnicodeDecodeError:
            return word

    if len(_HIGH_PERCENT.findall(text)) < LEAST:
        return text
    return "".join(map(turn, re.split(r"(\s+)", text)))


def _without_unicode(text: str) -> str:
    def turn(found: re.Match) -> str:
        units = bytes.fromhex(found[0].replace("\\u", ""))
        try:
            return units.decode("utf-16-be")
        except UnicodeDecodeError:
            return found[0]

    def part_turned(part: str) -> str:
        return _UNICODE.sub(turn, part) if part.count("\\u") >= LEAST else part

    return _outside_code(text, part_turned)


def _without_quoted(text: str) -> str:
    if len(_QUOTED.findall(text)) < LEAST or not text.isascii():
        return text
    try:
        return quopri.decodestring(text.encode()).decode("utf-8")
    except UnicodeDecodeError:
        return text
