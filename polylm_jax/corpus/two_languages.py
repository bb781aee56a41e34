"""Pages of two languages: an English banner over a Russian text, half and half, a glossary of both.

The lines in another language than the text's go, so that each file holds its own language; a text
whose very lines mix two goes whole.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex

from polylm_jax.corpus import characters, detection, language_id, layout, machine_text, stop_words
from polylm_jax.corpus.detection import UNKNOWN
from polylm_jax.languages.registry import LANGUAGES

ENGLISH, SEVERAL = "en", "mul"
FOREIGN = 0.04  # of a text's bytes, before its lines are looked at one by one
LEAST_LETTERS = 30  # weighed, of a line whose language is asked
CLOSE_LETTERS = 80  # of a line in a language of the same script: a shorter one is easily mistaken
CLEAR = 0.7  # how much like its language such a line must be
MOST_OTHER = 0.35  # of the bytes that may stay in another language, inside of lines
LEAST_LITTLE = 5  # little words of each, before it's believed that the lines mix two
ENGLISH_WEIGHT = 0.4  # banners and footers are English, whatever the page is
LEAST_ROWS, SURE = 5, 0.75  # of a glossary, and how sure each of its columns' languages is
FOOTER = 400  # characters of a text's end, where a banner may stand
BUTTON_WORDS, BUTTON = 5, 40  # words, characters of a banner's heading or button
_SCRIPTS = [
    regex.compile(rf"\p{{{name}}}")
    for name in ("Latin", "Cyrillic", "Arabic", "Hebrew", "Thai", "Hangul", "Han", "Greek",
                 "Devanagari", "Hiragana", "Georgian", "Armenian")
]  # fmt: skip
_DASHES = (" – ", " — ", " - ")
_COLUMNS = regex.compile(r"^(.{2,60}?)(?:\s+[–—=-]\s+|\t+|\s+\|\s+)(.{2,80})$")


@dataclass(frozen=True)
class Parted:
    """Attributes:
    code: the text's language; '' where its lines mix two and none is it.
    text: what of it is in that language.
    gone: how many lines in another language were left out.
    """

    code: str
    text: str
    gone: int = 0


def parted(text: str, wanted: Sequence[str], claimed: str, guess: Callable) -> Parted | None:
    """The text without its lines in other languages; None where it is of one language anyway.

    wanted: the languages that are looked for. claimed: what the source says it is in, or 'und'.
    guess: text -> (language, how sure), for the columns of a list.
    """
    found = detection.detected(language_id.prose(text))
    others = [part for part in found.parts if part[0] != found.code and part[1] >= FOREIGN]
    if _glossary(text, guess):
        return Parted("", text)
    asks = layout.asks_consent(text[-FOOTER:].split("\n"))
    if not (others or asks or _beginning_differs(text, found.code)):
        return None
    lines = text.split("\n")
    plain = language_id.lines_without_code(text)
    codes = [_code(*line) for line in zip(lines, plain)]
    main = _main(lines, codes, wanted, claimed)
    if not main:
        return None
    goes = [_foreign(*line, main, wanted) for line in zip(lines, plain, codes)]
    _whole_banners(lines, codes, goes, main)
    _with_their_buttons(lines, goes, main)
    kept = [line for line, gone in zip(lines, goes) if not gone]
    gone = len(lines) - len(kept)
    rest = "\n".join(kept).strip("\n")
    if _mixed(rest, main):
        return Parted("", text)
    return Parted(main, rest, gone) if gone else None


def _whole_banners(lines: list[str], codes: list[str | None], goes: list[bool], main: str) -> None:
    """Marks what asks for consent in another language before the text's first line, or behind its last.

    Of a close language a line must be long to go by itself; what speaks of cookies need not be. What
    stands between the banner and that line stays: it may be a heading.
    """
    own = [n for n, code in enumerate(codes) if code == main]
    if not own:
        return
    for places in (range(own[0]), range(len(lines) - 1, own[-1], -1)):
        ends = [
            k
            for k, n in enumerate(places)
            if codes[n] not in (None, main) or layout.is_consent(lines[n])
        ]
        banner = places[: ends[-1] + 1] if ends else places[:0]
        said = [lines[n] for n in banner]
        if layout.is_manual("\n".join(said)):
            continue
        if any(codes[n] for n in banner) and layout.asks_consent(said):
            for n in banner:
                goes[n] = True


def _with_their_buttons(lines: list[str], goes: list[bool], main: str) -> None:
    """Marks the headings and buttons of a banner, which are too short to tell a language by.

    They stand next to lines that go: in the same paragraph with nothing else in it, or in another
    script than the text, or they say what buttons of banners say.
    """
    for first, last in _paragraphs(lines):
        marks = goes[first:last]
        if not any(marks):
            continue
        whole = all(gone or _is_button(line) for gone, line in zip(marks, lines[first:last]))
        for places in (range(first, last), range(last - 1, first - 1, -1)):
            near = False
            for n in places:
                goes[n] |= near and _is_button(lines[n]) and (
                    whole or _another_script(lines[n], main) or layout.is_consent(lines[n])
                )  # fmt: skip
                near = goes[n]


def _paragraphs(lines: list[str]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each run of lines without a blank one."""
    start = 0
    for n, line in enumerate([*lines, ""]):
        if not line.strip():
            if n > start:
                yield start, n
            start = n + 1


def _is_button(line: str) -> bool:
    words = len(line.split())
    return words <= BUTTON_WORDS and len(line) <= BUTTON and not layout.is_sentence(line)


def _mixed(text: str, main: str) -> bool:
    """Whether the lines themselves are in two languages, little words of both among them."""
    text = language_id.without_code(text)
    for code, share, _ in detection.detected(text).parts:
        if code != main and share > MOST_OTHER:
            ours, theirs = stop_words.little_words(text, main, code)
            if min(ours, theirs) >= LEAST_LITTLE and 3 * min(ours, theirs) >= max(ours, theirs):
                return True
    return False


def _beginning_differs(text: str, code: str) -> bool:
    """CLD2 takes a small part for noise in a long text: a banner of one line is looked at by itself."""
    first = text.partition("\n")[0]
    words = language_id.without_code(first)
    return len(first) < len(text) and _code(first, words) not in (None, code)


@functools.lru_cache(maxsize=1 << 16)
def _script_of(character: str) -> int | None:
    return next((n for n, script in enumerate(_SCRIPTS) if script.match(character)), None)


def _code(line: str, words: str) -> str | None:
    """The language of a line that is long enough and clearly in one; SEVERAL for a list of languages.

    words: the line without code.
    """
    if machine_text.is_code(line):
        return None
    if not line.isascii() and len({_script_of(c) for c in {*line}} - {None}) >= 4:
        return SEVERAL
    short = 3 * len(words) < LEAST_LETTERS  # (no letter weighs more)
    if short or language_id.is_short(words, LEAST_LETTERS):
        return None
    found = detection.detected(words)
    if found.code == UNKNOWN or found.fluency < CLEAR or found.share < 0.8:
        return None
    return found.code


def _main(lines, codes, wanted: Sequence[str], claimed: str) -> str:
    """The language with the most bytes; English only with more than twice as many."""
    sizes: Counter[str] = Counter()
    for line, code in zip(lines, codes):
        if code and code != SEVERAL:
            sizes[code] += len(line.encode("utf-8", "replace"))
    if claimed in wanted and sizes[claimed] > 0.25 * sizes.total():
        return claimed
    if ENGLISH in sizes:
        sizes[ENGLISH] = int(sizes[ENGLISH] * ENGLISH_WEIGHT)
    here = {code: size for code, size in sizes.items() if code in wanted} or sizes
    best = max(here, key=here.__getitem__, default="")
    # Most of it in a language that nobody wants: then a few lines in a wanted one don't save it.
    return best if best and 3 * here[best] >= max(sizes.values()) else ""


def _foreign(line: str, words: str, code: str | None, main: str, wanted: Sequence[str]) -> bool:
    """Whether a line goes: of a close language only a long one, in a language that is looked for."""
    if code is None or code == main:
        return False
    if code == SEVERAL or _another_script(line, main):
        return True
    ours, theirs = stop_words.little_words(words, main, code)
    long = language_id.weighed_letters(words) >= CLOSE_LETTERS
    return long and theirs > ours and (code in wanted or code == ENGLISH)


def _another_script(line: str, code: str) -> bool:
    language = LANGUAGES.get(code)
    return language is not None and characters.share_of_script(line, language.script) < 0.3


def _glossary(text: str, guess: Callable) -> bool:
    """Whether the two columns of a list are in two languages."""
    if sum(map(text.count, _DASHES)) < LEAST_ROWS:  # no more lines have one
        return False
    if sum(any(dash in line for dash in _DASHES) for line in text.split("\n")) < LEAST_ROWS:
        return False  # (without code and symbols only dashes are left between columns)
    lines = [line for line in language_id.without_code(text).split("\n") if line.strip()]
    rows = [found for line in lines if (found := _COLUMNS.match(line))]
    if len(rows) < max(LEAST_ROWS, 0.7 * len(lines)) or layout.is_table(lines):
        return False
    (left, sure), (right, as_sure) = (
        guess("\n".join(row[column] for row in rows)) for column in (1, 2)
    )
    return left != right and min(sure, as_sure) >= SURE and UNKNOWN not in (left, right)
