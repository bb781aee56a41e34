"""A corpus of many kinds, written for the purpose in 18 languages, with what is right for each text.

`corpus/planted/LL.txt` has the texts under `== good KIND` and `== bad KIND`, `unwanted.txt` those in
languages that nobody asks for. Further bad ones are made here: wrong encodings, banners, menus in one
line.
"""

import json
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "corpus" / "planted"
KEEP, DROP, EITHER = "keep", "drop", "mend or drop"
BANNER = (
    "We use cookies to make this website work and to understand how visitors use it. By staying on "
    "this page you agree to this. Read more | Accept all | Reject all | Settings"
)
# What a language's pages were written in before UTF-8, and what such pages are read as.
OLD = {"ru": "cp1251", "pl": "iso8859-2", "tr": "cp1254", "he": "cp1255", "ar": "cp1256", "th": "cp874",
       "zh": "gb18030", "ja": "cp932", "ko": "cp949"}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """Attributes:
    id: 'de.recipe'. code: its language, 'und' for one that nobody asks for. kind: of text or fault.
    text: what the crawl has. right: whether it is kept, dropped, or mended or dropped.
    clean: the text that comes out, where one does.
    """

    id: str
    code: str
    kind: str
    text: str
    right: str
    clean: str = ""


def sections(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(heading, text) of each part of a file."""
    for part in path.read_text(encoding="utf-8").split("== ")[1:]:
        heading, _, text = part.partition("\n")
        yield heading.strip(), text.strip()


def documents() -> list[Planted]:
    """All of them, the same each time."""
    found = []
    for path in sorted(FOLDER.glob("[a-z][a-z].txt")):
        code, good = path.stem, {}
        for heading, text in sections(path):
            verdict, _, kind = heading.partition(" ")
            right = KEEP if verdict == "good" else DROP
            found.append(Planted(f"{code}.{kind}", code, kind, text, right, text))
            good[kind] = text
        found += made(code, good)
    for name, text in sections(FOLDER / "unwanted.txt"):
        found.append(Planted(f"unwanted.{name}", "und", "another language", text, DROP))
    return found


def made(code: str, texts: dict[str, str]) -> Iterator[Planted]:
    """Faults made of a language's own texts."""
    menu = " | ".join(texts["menu"].split("\n"))
    yield Planted(f"{code}.menu line", code, "menu line", menu, DROP)
    if code != "en":
        # Three texts together: with one of them alone they would be near-duplicates.
        first, second = (
            "\n".join(texts[kind] for kind in kinds)
            for kinds in (("book", "recipe", "questions"), ("news", "poem", "forum"))
        )
        for place, page, clean in (
            ("above", f"{BANNER}\n{first}", first),
            ("below", f"{second}\n{BANNER}", second),
        ):
            yield Planted(f"{code}.banner {place}", code, "banner", page, KEEP, clean)
    for kinds, read in (
        (("dialogue", "song", "book"), "cp1252"),
        (("recipe", "forum", "table"), "latin-1"),
    ):
        text = "\n".join(texts[kind] for kind in kinds)
        if not text.isascii():
            wrong = "".join(_drawn(byte, read) for byte in text.encode())
            yield Planted(f"{code}.utf-8 as {read}", code, "mojibake", wrong, EITHER, text)
    if code in OLD:
        text = "\n".join(texts[kind] for kind in ("questions", "dialogue", "news"))
        data = text.encode(OLD[code], "ignore")
        wrong = "".join(_drawn(byte, "cp1252") for byte in data)
        right = data.decode(OLD[code])
        yield Planted(f"{code}.{OLD[code]} as cp1252", code, "mojibake", wrong, EITHER, right)


def _drawn(byte: int, encoding: str) -> str:
    """A byte in a one-byte encoding; as it is where the encoding leaves it open, as browsers do."""
    try:
        return bytes([byte]).decode(encoding)
    except UnicodeDecodeError:
        return chr(byte)


def write(folder: pathlib.Path) -> None:
    """The corpus as a crawl of one JSONL file, in an order of its own, no language named."""
    ordered = sorted(documents(), key=lambda planted: planted.id[::-1])
    lines = [json.dumps({"id": p.id, "text": p.text}, ensure_ascii=False) for p in ordered]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "planted.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def judged(kept: dict[str, list[dict]]) -> list[tuple[Planted, str]]:
    """(document, outcome) of each, where the outcome is 'right' or says what is wrong.

    kept: language -> the rows of its file.
    """
    where = {row["id"]: (code, row["text"]) for code, rows in kept.items() for row in rows}
    return [(planted, _outcome(planted, where.get(planted.id))) for planted in documents()]


def _outcome(planted: Planted, found: tuple[str, str] | None) -> str:
    if found is None:
        return "lost" if planted.right == KEEP else "right"
    code, text = found
    if planted.right == DROP:
        return f"kept as {code}"
    if code != planted.code:
        return f"filed as {code}"
    return "right" if _plain(text) == _plain(planted.clean) else "kept with its fault"


def _plain(text: str) -> str:
    return "".join(text.split())


def rates(outcomes: list[tuple[Planted, str]]) -> dict[str, dict[str, tuple[int, int]]]:
    """{'good' or 'bad' or 'file': {language: (right, all)}}: recall of good and bad text, and of each
    file's texts the right ones."""
    counts: dict[str, dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    for planted, outcome in outcomes:
        group = "good" if planted.right == KEEP else "bad"
        counts[group][planted.code][outcome == "right"] += 1
        if planted.right == KEEP and outcome == "right":
            counts["file"][planted.code][True] += 1
        elif outcome.startswith(("kept as ", "filed as ")):
            counts["file"][outcome.rpartition(" ")[2]][False] += 1
        elif outcome == "kept with its fault":
            counts["file"][planted.code][False] += 1
    return {g: {c: (n[True], n.total()) for c, n in sorted(by.items())} for g, by in counts.items()}
