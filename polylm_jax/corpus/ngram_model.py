"""A model of a language's characters from a gold sample, as the ARPA file that KenLM loads.

KenLM's own trainer is no part of its Python package. This is interpolated Kneser-Ney of characters
(Chen & Goodman 1998, one discount per order), good for a few megabytes of text; models that `lmplz`
made from gigabytes are loaded the same way.
"""

import math
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

ORDER = 5
MAX_CHARACTERS = 2_000_000  # of the gold sample; more would change little at this order
BEGIN, END, UNKNOWN = "\x02", "\x03", "\x04"
_WRITTEN = {BEGIN: "<s>", END: "</s>", UNKNOWN: "<unk>", " ": "▁"}


def lines_of(text: str) -> list[str]:
    """The lines of a text as the model sees them: one space between words, no control characters."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return ["".join(c for c in line if c >= " ") for line in lines if line]


def spelled(line: str) -> str:
    """A line as KenLM's words: its characters, spaces written '▁'."""
    return " ".join("▁" if c == " " else c for c in line)


def count(lines: Iterable[str], order: int) -> list[Counter]:
    """counts[n-1]: how often each n-gram stands, of each line from its begin to its end."""
    counts: list[Counter[str]] = [Counter() for _ in range(order)]
    left = MAX_CHARACTERS
    for line in lines:
        text = f"{BEGIN}{line[:left]}{END}"
        for n in range(1, order + 1):
            counts[n - 1].update(text[i : i + n] for i in range(len(text) - n + 1))
        left -= len(line)
        if left <= 0:
            break
    return counts


def _continuations(counts: Sequence[Counter]) -> list[Counter]:
    """Below the highest order: in how many different places an n-gram stands, not how often."""
    smoothed: list[Counter[str]] = [Counter() for _ in counts]
    smoothed[-1] = counts[-1]
    for n in range(len(counts) - 1):
        for gram in counts[n + 1]:
            smoothed[n][gram[1:]] += 1
        for gram, times in counts[n].items():
            if gram[0] == BEGIN and len(gram) > 1:
                smoothed[n][gram] = times  # nothing stands before a line's begin
    return smoothed


def _discount(counts: Counter) -> float:
    """n1 / (n1 + 2 n2), of how many n-grams stand once and twice."""
    ones = sum(c == 1 for c in counts.values())
    twos = sum(c == 2 for c in counts.values())
    return ones / (ones + 2 * twos) if ones and twos else 0.5


def train(lines: Iterable[str], path: pathlib.Path, order: int = ORDER) -> None:
    """Writes the model of some lines as an ARPA file."""
    counts = _continuations(count(lines, order))
    characters = [c for c in counts[0] if c != BEGIN]
    probabilities: dict[str, float] = {"": 1.0 / (len(characters) + 1)}
    backoffs: list[dict[str, float]] = []
    levels: list[dict[str, float]] = []
    for n in range(1, order + 1):
        level, backoff = _level(counts[n - 1], probabilities)
        if n == 1:
            level[UNKNOWN] = backoff[""] * probabilities[""]
            level[BEGIN] = 1e-99
        levels.append(level)
        backoffs.append(backoff)
        probabilities = level
    _write(path, levels, backoffs)


def _level(counts: Counter, lower: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """(probability of each n-gram's last character, weight of the lower order per history)."""
    discount = _discount(counts)
    total: dict[str, int] = defaultdict(int)
    kinds: dict[str, int] = defaultdict(int)
    for gram, times in counts.items():
        if gram != BEGIN:
            total[gram[:-1]] += times
            kinds[gram[:-1]] += 1
    backoff = {history: discount * kinds[history] / total[history] for history in total}
    level = {}
    for gram, times in counts.items():
        if gram != BEGIN:
            below = lower[gram[1:]] if len(gram) > 1 else lower[""]
            share = max(times - discount, 0.0) / total[gram[:-1]]
            level[gram] = share + backoff[gram[:-1]] * below
    return level, backoff


def _write(path: pathlib.Path, levels: list[dict[str, float]], backoffs: list[dict[str, float]]):
    with path.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {n}={len(level)}\n" for n, level in enumerate(levels, 1))
        for n, level in enumerate(levels, 1):
            file.write(f"\n\\{n}-grams:\n")
            higher = backoffs[n] if n < len(levels) else {}
            for gram in sorted(level):
                words = " ".join(_WRITTEN.get(c, c) for c in gram)
                weight = f"\t{math.log10(higher[gram]):.6f}" if gram in higher else ""
                file.write(f"{math.log10(level[gram]):.6f}\t{words}{weight}\n")
        file.write("\n\\end\\\n")
