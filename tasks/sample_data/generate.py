"""Writes the sample corpus: `python -m tasks.sample_data.generate FOLDER`.

A document is a kind (`frames.toml`), the values of its slots and the sentences it takes, drawn
once for all languages; each language then says it in its own words. So documents of one id
translate each other sentence by sentence, and text held out by id is held out everywhere.
"""

import argparse
import json
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polylm_jax.errors import InputError
from tasks.sample_data import snippets
from tasks.sample_data.templates import Book, Value, Word, read_book

FOLDER = Path(__file__).parent
MINUTES = ("15", "30", "45")
HOURS = range(7, 11)  # plural in Portuguese (às) and early enough for school and work
PAIRS_PER_DOCUMENT = 3
MOST_PER_FRAME = 2000  # so that no kind of document or snippet runs out of what it can say


@dataclass(frozen=True)
class Draw:
    """A document before it has a language: its sentences' numbers ('|' breaks the line)."""

    id: str
    frame: str
    plan: tuple[str, ...]
    slots: Mapping[str, Value]


@dataclass(frozen=True)
class Document:
    """A document in one language; sentence i translates sentence i in every other."""

    id: str
    sentences: tuple[str, ...]
    text: str


def languages() -> tuple[str, ...]:
    """Codes of the languages that have a lexicon here, English first."""
    codes = sorted(path.stem for path in (FOLDER / "lexicon").glob("*.toml"))
    return tuple(sorted(codes, key=lambda code: code != "en"))


def books() -> dict[str, Book]:
    """Everything written here, by language."""
    gender = _spec()["gender"]
    return {code: read_book(FOLDER, code, gender) for code in languages()}


def documents(books: Mapping[str, Book], per_frame: int, seed: int) -> dict[str, list[Document]]:
    """All documents in every language, aligned by place and id: stories, then drawn ones."""
    draws = list(_draws(books["en"], per_frame, seed))
    return {
        code: [*_stories(book), *(_render(draw, book) for draw in draws)]
        for code, book in books.items()
    }


def pairs(documents: Mapping[str, Sequence[Document]], seed: int) -> list[tuple[int, int]]:
    """(document, sentence) to take as pairs, at most `PAIRS_PER_DOCUMENT` of one document.

    Only sentences that stand in one document and no other, in all languages: so no sentence of
    a held-out document is also a pair, or half of one, to train on.
    """
    rng = random.Random(f"pairs {seed}")
    counts = {
        code: Counter(s for document in written for s in document.sentences)
        for code, written in documents.items()
    }
    chosen = []
    for place, document in enumerate(documents["en"]):
        once = [
            i
            for i in range(len(document.sentences))
            if all(counts[c][written[place].sentences[i]] == 1 for c, written in documents.items())
        ]
        for i in sorted(rng.sample(once, min(PAIRS_PER_DOCUMENT, len(once)))):
            chosen.append((place, i))
    return chosen


def write(folder: str | Path, per_frame: int = 60, seed: int = 0) -> dict[str, int]:
    """Writes LL.jsonl {"id", "text"}, en-LL.jsonl {"id", "en", "LL"} and code.jsonl.

    In en-id.jsonl "id" is the Indonesian sentence; the document's id stands under "doc" there.

    Args:
        folder: where to; made if it isn't there.
        per_frame: how many documents of each of the 14 kinds.
        seed: equal seeds write equal bytes.

    Returns:
        Name of each file -> number of its records.

    Raises InputError when per_frame isn't from 1 to `MOST_PER_FRAME`.
    """
    if not 1 <= per_frame <= MOST_PER_FRAME:
        raise InputError(f"per_frame is {per_frame}: give a number from 1 to {MOST_PER_FRAME}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = documents(books(), per_frame, seed)
    places = pairs(written, seed)
    counts = {"code.jsonl": _write(folder / "code.jsonl", snippets.records(6 * per_frame, seed))}
    for code, texts in written.items():
        records = ({"id": document.id, "text": document.text} for document in texts)
        counts[f"{code}.jsonl"] = _write(folder / f"{code}.jsonl", records)
        if code != "en":
            sides = _pair_records(written["en"], texts, code, places)
            counts[f"en-{code}.jsonl"] = _write(folder / f"en-{code}.jsonl", sides)
    return counts


def _pair_records(
    english: Sequence[Document],
    other: Sequence[Document],
    code: str,
    places: Iterable[tuple[int, int]],
) -> Iterator[dict[str, str]]:
    key = "doc" if code == "id" else "id"
    for place, i in places:
        sides = {"en": english[place].sentences[i], code: other[place].sentences[i]}
        yield {key: english[place].id, **sides}


def _write(path: Path, records: Iterable[Mapping[str, str]]) -> int:
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return len(lines)


def _spec() -> dict:
    return tomllib.loads((FOLDER / "frames.toml").read_text(encoding="utf-8"))


def _draws(english: Book, per_frame: int, seed: int) -> Iterator[Draw]:
    """Draws of every kind in turn, none of them twice."""
    spec = _spec()
    seen = set()
    for number in range(per_frame):
        for frame in english.frames:
            rng = random.Random(f"{frame} {number} {seed}")
            while True:
                plan = tuple(_plan(spec[frame]["plan"], rng))
                slots = _slots(spec[frame]["slots"], spec["sets"], english, rng)
                key = (plan, tuple(slots.items()))
                if key not in seen:
                    break
            seen.add(key)
            yield Draw(f"{frame}-{number:04d}", frame, plan, slots)


def _plan(plan: str, rng: random.Random) -> Iterator[str]:
    """The sentences that a document takes: '1 2? 3/4 |' -> '1', '4', '|'."""
    for step in plan.split():
        if step.endswith("?") and rng.random() < 0.5:
            continue
        yield rng.choice(step.rstrip("?").split("/"))


def _slots(
    wanted: Mapping[str, str], sets: Mapping[str, str], english: Book, rng: random.Random
) -> dict[str, Value]:
    slots: dict[str, Value] = {}
    for name, what in wanted.items():
        if re.search(r"\d", what):
            slots[name] = rng.choice(_numbers(what))
        elif match := re.fullmatch(r"([a-z]+)([*+-])([a-z]+)", what):
            left, right = slots[match[1]], slots[match[3]]
            assert isinstance(left, int) and isinstance(right, int), what
            slots[name] = _sum(left, match[2], right)
        else:
            slots[name] = _word(what, sets, english, set(slots.values()), rng)
    return slots


def _word(
    what: str, sets: Mapping[str, str], english: Book, taken: set[Value], rng: random.Random
) -> Word:
    """A word of a category or set that no other slot of the document holds."""
    if what == "time":
        return Word("time", rng.choice(MINUTES), rng.choice(HOURS))
    category, items = what, list(english.words[what]) if what not in sets else []
    if what in sets:
        category, listed = sets[what].split(": ")
        items = listed.split()
    return rng.choice([word for i in items if (word := Word(category, i)) not in taken])


def _numbers(what: str) -> Sequence[int]:
    """'2..9' -> 2 to 9; '120..480/20' -> 120, 140 ... 480; '15,20' -> 15, 20."""
    if ".." not in what:
        return [int(n) for n in what.split(",")]
    start, _, stop = what.partition("..")
    stop, _, step = stop.partition("/")
    return range(int(start), int(stop) + 1, int(step or 1))


def _sum(left: int, sign: str, right: int) -> int:
    return {"*": left * right, "+": left + right, "-": left - right}[sign]


def _render(draw: Draw, book: Book) -> Document:
    lines: list[list[str]] = [[]]
    sentences: list[str] = []
    for step in draw.plan:
        if step == "|":
            lines.append([])
            continue
        sentence = book.fill(book.frames[draw.frame][step], draw.slots)
        sentences.append(sentence)
        lines[-1].append(sentence)
    text = "\n".join(book.space.join(line) for line in lines)
    return Document(draw.id, tuple(sentences), text)


def _stories(book: Book) -> Iterator[Document]:
    for name, (title, *lines) in book.stories.items():
        text = f"{title}\n{book.space.join(lines)}"
        yield Document(f"story-{name}", (title, *lines), text)


def main() -> None:
    """Command line: FOLDER, and how much."""
    parser = argparse.ArgumentParser(description="Write the sample corpus in 18 languages.")
    parser.add_argument("folder")
    parser.add_argument("--per_frame", type=int, default=60, help="documents of each kind")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    counts = write(args.folder, args.per_frame, args.seed)
    print(f"{args.folder}: {len(counts)} files, {sum(counts.values()):,} records")


if __name__ == "__main__":
    main()
