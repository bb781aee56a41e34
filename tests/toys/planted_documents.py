"""Faults of whole documents and pairs planted into real text, and the clean text that must stay."""

import json
import pathlib
import random

import numpy as np
from datatrove.data import Document
from planted_faults import Text

from polylm_jax.corpus import duplicates, pairs, repetition, steps
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.tally import Tally
from polylm_jax.languages.registry import LANGUAGES, PAPER_CODES

PAIR_FAULTS = ("empty side", "identical sides", "length ratio", "side not", "numbers disagree")


def clean_documents(data_dir: pathlib.Path, code: str, most: int | None = None) -> list[str]:
    """UDHR whole and in pieces of four lines, and every page of tldr, up to `most` of them."""
    whole = (data_dir / "udhr" / f"{code}.txt").read_text(encoding="utf-8")
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    texts = [whole, *("\n".join(lines[n : n + 4]) for n in range(0, len(lines), 4))]
    pages = data_dir / "tldr" / f"{code}.jsonl"
    if pages.is_file():
        rows = pages.read_text(encoding="utf-8").splitlines()[:most]
        texts += [json.loads(row)["text"] for row in rows]
    return texts


def dropped_paragraphs(texts: list[str], code: str) -> tuple[int, int, dict[str, int]]:
    """(paragraphs dropped, paragraphs, reasons): by language, repairs and rules, each line counted."""
    tally, gone, total = Tally("unused"), 0, 0
    chain = [
        steps.Identify(tally, Identifier(PAPER_CODES), 0.5),
        steps.Repair(tally),
        steps.Rules(tally, {}),
    ]
    for text in texts:
        before = [line for line in repetition.lines(text)]
        total += len(before)
        documents = [Document(text, "x", metadata={"source": "clean", "language": code})]
        for step in chain:
            documents = list(step(documents))
        moved = documents and documents[0].metadata["language"] != code
        after = repetition.lines(documents[0].text) if documents and not moved else []
        gone += len(before) - len(after)
    refused = {k: n for k, (n, _) in tally.counts.items() if not k[0].startswith("note ")}
    reasons = {f"{stage}: {why}": n for (stage, _, _, why), n in refused.items()}
    return gone, total, reasons


def foreign(t: Text, others: dict[str, Text]) -> str:
    """A text in another language than the one that it is claimed to be in."""
    return "\n".join(others[t.rng.choice([c for c in others if c != t.code])].some(3, 5))


def overlapping(t: Text, similarity: float) -> tuple[str, str, float]:
    """(a text, another, their Jaccard similarity): the second has new words in some places.

    The words are made up, of letters of the language, so that n-grams only meet where planned.
    """
    rng, size = t.rng, repetition.word_size(t.language)
    letters = sorted({c for line in t.all for c in line if c.isalpha()})

    def unit() -> str:
        return "".join(rng.choice(letters) for _ in range(7 if t.language.spaces else size))

    words = [unit() for _ in range(240)]
    shared = 2 * similarity / (1 + similarity)  # of each text's n-grams
    cut = int(len(words) * shared)
    other = words[:cut] + [unit() for _ in range(len(words) - cut)]
    first, second = t.joined(words), t.joined(other)
    sets = [set(duplicates.shingled(text, t.code, 5).tolist()) for text in (first, second)]
    return first, second, len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def share_a_band(first: str, second: str, code: str, signer: duplicates.SignNear) -> bool:
    """Whether MinHash takes two texts for near-duplicates."""
    bands = [
        signer.get_signature(duplicates.shingled(text, code, signer.config.n_grams)[:, None])
        for text in (first, second)
    ]
    return any(a == b for a, b in zip(*bands))


def pair_rows(data_dir: pathlib.Path, code: str) -> list[tuple[str, str]]:
    """The aligned sentences of tldr in English and another language."""
    rows = (data_dir / "tldr" / f"en-{code}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["en"], row[code]) for row in map(json.loads, rows)]


def good_rows(rows: list[tuple[str, str]], code: str, most: int) -> list[tuple[str, str]]:
    """The first pairs that have no fault yet, to plant one in."""
    return [row for row in rows[:most] if pairs.fault(row, ["en", code], PAPER_CODES) is None]


def faulty_pair(kind: str, rows: list[tuple[str, str]], code: str, rng: random.Random, others):
    """A pair with one planted fault; None where this pair can't have it."""
    first, second = rng.choice(rows)
    if kind == "empty side":
        return rng.choice([("", second), (first, ""), (first, " \u3000")])
    if kind == "identical sides":
        return rng.choice([(first, first), (second, second), (first, first.upper())])
    if kind == "length ratio":
        more = " ".join(row[1] for row in rng.sample(rows, 12))
        return first, f"{second} {more}"
    if kind == "side not":
        return first, rng.choice(
            [x for x in others.all if len(x) >= (70 if others.language.spaces else 25)]
        )
    if not any(c.isdecimal() for c in first + second):
        return f"{first} {rng.randint(2, 999)}", f"{second} {rng.randint(1000, 9999)}"
    return None


def pair_caught(kind: str, pair: tuple[str, str], code: str) -> bool:
    """Whether this very fault is found; a sentence in another language is often too long as well."""
    if kind == "side not":
        return pairs.wrong_language(pair[1], code, PAPER_CODES)
    reason = pairs.fault(pair, ["en", code], PAPER_CODES) or ""
    return reason.startswith(kind)


def jittered(t: Text, text: str) -> str:
    """The same text for a reader: other case, other spacing, other punctuation."""
    swapped = "".join(
        c.upper() if t.rng.random() < 0.3 and len(c.upper()) == 1 else c for c in text
    )
    spaced = swapped.replace(" ", "  ") if LANGUAGES[t.code].spaces else swapped
    return np.random.default_rng(t.rng.randrange(1 << 30)).choice(
        [spaced, f"«{spaced}»", spaced.replace(",", " ,") + "!"]
    )
