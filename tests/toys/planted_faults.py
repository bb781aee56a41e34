"""Faults planted into real text: one maker per rule, of cases that the rule must catch in any language."""

import random
import re
import string
import unicodedata

from polylm_jax.corpus import dates, limits, repairs, repetition, rules, stop_words
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.languages.scripts import unicode_names

# A phone number and a mail address as each country writes them.
PHONES = {
    "en": "+1 (212) 555-0142", "zh": "010-6552-9988", "ru": "+7 495 123-45-67",
    "es": "+34 912 34 56 78", "de": "030 901820 11", "fr": "01 23 45 67 89", "it": "+39 06 1234 5678",
    "pt": "(11) 3333-4444", "ja": "03-1234-5678", "vi": "024 3825 2916", "id": "(021) 345-6789",
    "pl": "+48 22 123 45 67", "nl": "020-1234567", "ar": "+٩٦٦ ١١ ٢٣٤ ٥٦٧٨",
    "tr": "0212 555 01 42", "th": "02-123-4567", "he": "03-123-4567", "ko": "02-2100-1234",
}  # fmt: skip


class Text:
    """The declaration's lines in one language, and ways to take from them."""

    def __init__(self, lines: list[str], code: str, rng: random.Random):
        self.all, self.code, self.rng = lines, code, rng
        self.language = LANGUAGES[code]
        self.long = [line for line in lines if len(line) >= (40 if self.language.spaces else 25)]

    def some(self, low: int = 5, high: int = 9) -> list[str]:
        """Different lines, in any order."""
        return self.rng.sample(self.long, self.rng.randint(low, high))

    def words(self, count: int) -> list[str]:
        """Running words, or as many short pieces where no spaces stand."""
        text = " ".join(self.rng.sample(self.long, min(len(self.long), 12)))
        size = repetition.word_size(self.language)
        words = text.split() if self.language.spaces else re.findall(f".{{1,{size}}}", text)
        start = self.rng.randrange(max(1, len(words) - count))
        return words[start : start + count]

    def joined(self, words: list[str]) -> str:
        return (" " if self.language.spaces else "").join(words)

    def sprinkled(self, text: str, marks: str, share: float) -> str:
        """Marks put in between until they are `share` of the characters without spaces."""
        size = len("".join(text.split()))
        count = int(size * share / (1 - share)) + 1
        places = sorted(self.rng.randrange(len(text)) for _ in range(count))
        pieces, last = [], 0
        for place in places:
            pieces += [text[last:place], self.rng.choice(marks)]
            last = place
        return "".join([*pieces, text[last:]])


def characters(t: Text, others) -> str:
    low = limits.limits_of(t.language.script)["characters"][0]
    return t.rng.choice(t.long)[: t.rng.randint(5, max(6, int(low * 0.9)))]


def word_length(t: Text, others) -> str | None:
    if not t.language.spaces:
        return None
    words = " ".join(t.some()).split()
    size = t.rng.randint(5, 7) * repetition.word_size(t.language)
    return " ".join("".join(words[n : n + size]) for n in range(0, len(words), size))


def sprinkled(signs: str, least: float, most: float):
    """A fault: a text with so many of these signs in it."""
    return lambda t, others: t.sprinkled("\n".join(t.some()), signs, t.rng.uniform(least, most))


def date_lines(t: Text, others) -> str:
    rng, months = t.rng, dates.MONTHS.get(t.code, "").split()[:12]

    def one() -> str:
        d, m, y = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2025)
        forms = [f"{y}-{m:02}-{d:02}", f"{d}/{m}/{y}", f"{d:02}.{m:02}.{y} {m:02}:{d:02}"]
        if months:
            forms += [f"{d} {months[m - 1]} {y}"] * 3
        elif t.code in ("zh", "ja"):
            forms += [f"{y}年{m}月{d}日"] * 3
        elif t.code == "ko":
            forms += [f"{y}년 {m}월 {d}일"] * 3
        else:
            forms += [f"ngày {d} tháng {m} năm {y}"] * 3
        return rng.choice(forms)

    return "\n".join([*t.some(2, 3), *(one() for _ in range(rng.randint(60, 90)))])


def script(t: Text, others) -> str:
    ours = set(unicode_names(t.language.script))
    code = t.rng.choice([c for c in others if not ours & {*unicode_names(LANGUAGES[c].script)}])
    return "\n".join(others[code].some())


def ellipsis_lines(t: Text, others) -> str:
    mark, lines = t.rng.choice(["...", "…", " ..."]), t.some(6, 10)
    many = t.rng.randint(len(lines) * 2 // 5 + 1, len(lines))
    return "\n".join(line[:60] + mark if n < many else line for n, line in enumerate(lines))


def bullet_lines(t: Text, others) -> str:
    """Items of a list; with a dash, a sentence to its end would be what somebody says."""
    mark = t.rng.choice("•*·●" if t.code == "th" else "•-*·●")
    return "\n".join(f"{mark} {line[:40].rstrip('.,;:。、，；')}" for line in t.some(11, 15))


def mojibake(t: Text, others) -> str:
    text = "\n".join(t.some())
    if text.isascii() or t.code in ("en", "id", "nl", "it"):  # too few letters beyond ASCII
        text = t.sprinkled(text, "’“”–é…", 0.06)
    if t.rng.random() < 0.5:
        return text.encode().decode("latin-1")
    return "".join(_as_browsers_read(byte) for byte in text.encode())


def _as_browsers_read(byte: int) -> str:
    """Windows-1252 with the five bytes that it leaves open as they are."""
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


def keywords(t: Text, others) -> str:
    known = {word.casefold() for word in stop_words.WORDS[t.code].split()}
    text = " ".join(t.all)
    if t.language.spaces:
        found = [w.strip(string.punctuation + "،؛。") for w in text.split()]
        found = [
            re.sub("[은는이가을를의에로와과도다며고]+$", "", w) if t.code == "ko" else w
            for w in found
        ]
        least = {"ko": 1, "vi": 2}.get(t.code, 4)
        found = [w for w in found if len(w) > least]
        found = [w for w in found if not known & {*re.split(r"\W", w.casefold())}]
        separator, count = ", ", 300 if t.code == "vi" else 160
    else:
        cut = "|".join(sorted(known, key=len, reverse=True)) + r"|\W|\d|[0-9]"
        found = [w for w in re.split(cut, text) if len(w) >= 2]
        separator, count = "、" if t.code != "th" else " ", 300
    return separator.join(t.rng.choice(found) for _ in range(count))


def duplicate_lines(t: Text, others) -> str:
    lines = t.some(5, 8)
    return "\n".join([*lines, *[lines[0]] * t.rng.randint(2 * len(lines), 4 * len(lines))])


def duplicate_line_characters(t: Text, others) -> str:
    """Few lines, but the longest ones: under the share of lines, above the share of characters."""
    by_size = sorted(t.all, key=len)
    long = t.rng.choice(by_size[-6:])
    return "\n".join([*by_size[: 3 * t.rng.randint(4, 5)], *[long] * 6])


def duplicate_paragraphs(t: Text, others) -> str:
    parts = ["\n".join(t.some(2, 3)) for _ in range(4)]
    return "\n\n".join([*parts, *[parts[0]] * t.rng.randint(6, 10)])


def duplicate_paragraph_characters(t: Text, others) -> str:
    by_size = sorted(t.all, key=len)
    long = "\n".join(t.rng.sample(by_size[-8:], 2))
    return "\n\n".join([*by_size[: 3 * t.rng.randint(4, 5)], *[long] * 6])


def top_gram(n: int):
    def make(t: Text, others) -> str:
        """One phrase of n words again and again, another word between."""
        phrase = t.words(n)
        between = t.words(60)
        times = t.rng.randint(40, 50)
        return t.joined(
            [
                w
                for k in range(times)
                for w in [*phrase, *(between[k : k + 1] if k % 12 == 0 else [])]
            ]
        )

    return make


def duplicate_gram(n: int):
    def make(t: Text, others) -> str:
        """A sentence longer than n words that comes back, inside longer lines."""
        sentence = t.joined(t.words(max(14, 2 * n)))
        return "\n".join(f"{line[:30]} {sentence} {sentence}" for line in t.some(8, 9))

    return make


# Rule -> how to break it. What another rule catches as well counts for this one only if it does.
RULES = {
    "characters": characters, "word_length": word_length,
    "letters": sprinkled("0123456789=+|$<>,.;:!?/()", 0.62, 0.8),
    "digits": sprinkled("0123456789 ", 0.4, 0.6),
    "symbols": sprinkled("★►|=+$€™►▓█→", 0.35, 0.6),
    "punctuation": sprinkled(",.;:!?/()-", 0.45, 0.7),
    "dates": date_lines, "script": script,
    "ellipsis_lines": ellipsis_lines, "bullet_lines": bullet_lines,
    "garbled": sprinkled("\ufffd\ufffd\ue012\x93", 0.015, 0.1),
    "mojibake": mojibake, "stop_words": keywords, "duplicate_lines": duplicate_lines,
    "duplicate_line_characters": duplicate_line_characters,
    "duplicate_paragraphs": duplicate_paragraphs,
    "duplicate_paragraph_characters": duplicate_paragraph_characters,
    **{f"top_{n}_gram": top_gram(n) for n in repetition.TOP},
    **{f"duplicate_{n}_grams": duplicate_gram(n) for n in repetition.DUPLICATE},
}  # fmt: skip


def texts(data_dir, seed: int = 0) -> dict[str, Text]:
    """The declaration in each of the 18 languages."""
    found = {}
    for path in sorted((data_dir / "udhr").glob("*.txt")):
        text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8"))
        lines = [line.strip() for line in text.splitlines()]
        lines = list(dict.fromkeys(line for line in lines if line))
        found[path.stem] = Text(lines, path.stem, random.Random(f"{seed} {path.stem}"))
    return found


def caught(rule: str, all_texts: dict[str, Text], code: str, cases: int) -> tuple[int, int]:
    """(caught by this very rule, planted); (0, 0) where the rule doesn't apply to the language."""
    t, found, planted = all_texts[code], 0, 0
    ranges = limits.limits_of(t.language.script)
    for _ in range(cases):
        text = RULES[rule](t, all_texts)
        if text is None:
            return 0, 0
        planted += 1
        found += rule in set(rules.violations(text, t.language, ranges))
    return found, planted


def repaired_right(kind: str, t: Text) -> bool:
    """Whether a fault of one line goes and all the rest stays."""
    lines = [" ".join(line.split()) for line in t.some()]
    clean = "\n".join(lines)
    place = t.rng.randrange(len(lines))
    word = "".join(
        t.rng.choice(string.ascii_letters + "+/") for _ in range(t.rng.randint(101, 300))
    )
    if kind == "URL lines":
        url = f"https://{word[:8].lower()}.example/{word[8:40]}"
        lines.insert(
            place, t.rng.choice([url, f"- {url}", f"<{url}> | {url}", f"www.{word[:6]}.example"])
        )
    elif kind == "long words":
        lines[place] += f" {word}"
    elif kind == "white space":
        lines[place] = lines[place].replace(" ", "\u00a0 \t") + " \u3000 "
        lines.insert(place, " \t ")
        clean = "\n".join([*clean.split("\n")[:place], "", *clean.split("\n")[place:]]).strip("\n")
    return repairs.repaired("\r\n".join(lines))[0] == clean


REPAIRS = ("URL lines", "long words", "white space")


def invisible(t: Text) -> str:
    return t.sprinkled(
        "\n".join(t.some()), "\u200b\u2060\ufeff\u00ad\x07", t.rng.uniform(0.02, 0.2)
    )


def personal(kind: str, t: Text) -> tuple[str, str]:
    """(a line with one personal detail inside, the detail), that nobody takes for something else.

    Words without digits, that no number goes on in the text; an address whose parts are no version's.
    """
    rng = t.rng
    words = [word for word in t.words(16) if not any(map(str.isdecimal, word))]
    if kind == "email":
        name = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 10)))
        detail = rng.choice(
            [f"{name}@example.org", f"{name}.b-{rng.randint(1, 99)}@mail.example.co"]
        )
    elif kind == "ip":
        detail = rng.choice([".".join(["93", *(str(rng.randint(10, 255)) for _ in range(3))]),
                             f"2001:db8::{rng.randint(1, 0xFFFF):x}:{rng.randint(1, 0xFFFF):x}"])  # fmt: skip
    else:
        detail = re.sub(r"(?<=\d)\d(?=\d*$)", lambda _: str(rng.randint(0, 9)), PHONES[t.code])
    return f"{t.joined(words[:6])} {detail} {t.joined(words[6:])}", detail
