"""The pool check beside plain comparison: `pool_check.py DATA [--pool=50000] [--candidates=1000]`; a JSON line per language.

Instructions are MultiAlpaca's (DATA/multialpaca/LL.jsonl). Beyond those that there are, the first half
of one is joined with the second half of another. The peer is rapidfuzz's `extractOne` over the whole
pool, in C++; plain comparison in Python, timed on two candidates, is beside it. All three must
answer the same.
"""

import argparse
import json
import pathlib
import random
import sys
import time

from rapidfuzz import process
from rapidfuzz.distance import Indel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from polylm_jax.corpus.instructions.likeness import Pool
from polylm_jax.languages.registry import find
from polylm_jax.languages.words import segments


def instructions(path: pathlib.Path, count: int, spaces: bool) -> list[str]:
    """`count` of them, no two the same."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    known = [row["instruction"] for row in rows]
    rng, joint = random.Random(0), " " if spaces else ""
    found = dict.fromkeys(known)
    while len(found) < count:
        one, other = (x.split() if spaces else list(x) for x in rng.sample(known, 2))
        found[joint.join(one[: len(one) // 2] + other[len(other) // 2 :])] = None
    chosen = [*found]
    rng.shuffle(chosen)
    return chosen[:count]


def encoded(texts: list[list[str]]) -> list[str]:
    """A character per segment, as rapidfuzz compares fastest."""
    letters: dict[str, str] = {}
    for text in texts:
        for segment in text:
            point = len(letters) + 1
            letters.setdefault(segment, chr(point + 0x800 * (point >= 0xD800)))
    return ["".join(map(letters.__getitem__, text)) for text in texts]


def plain(one: list[str], other: list[str]) -> float:
    """ROUGE-L's F by the table of all prefixes."""
    row = [0] * (len(other) + 1)
    for x in one:
        last, row = row, [0]
        for j, y in enumerate(other):
            row.append(last[j] + 1 if x == y else max(last[j + 1], row[j]))
    return 2 * row[-1] / max(len(one) + len(other), 1)


def measure(code: str, data: pathlib.Path, size: int, candidates: int) -> dict:
    """The three ways on one pool."""
    language = find(code)
    path = data / "multialpaca" / f"{code}.jsonl"
    texts = instructions(path, size + candidates, language.spaces)
    pool, asked = Pool(code), texts[size:]
    start = time.perf_counter()
    for text in texts[:size]:
        pool.add(text)
    built = time.perf_counter() - start
    start = time.perf_counter()
    ours = [pool.closest(text) is not None for text in asked]
    indexed = time.perf_counter() - start

    cut = [segments(text, code) for text in texts]
    written = encoded(cut)
    start = time.perf_counter()
    theirs = [
        process.extractOne(
            one, written[:size], scorer=Indel.normalized_similarity, score_cutoff=0.7 - 1e-9
        )
        is not None
        for one in written[size:]
    ]
    compared = time.perf_counter() - start
    few = max(1, candidates // 500)
    start = time.perf_counter()
    python = [any(plain(one, other) >= 0.7 for other in cut[:size]) for one in cut[size:][:few]]
    by_hand = (time.perf_counter() - start) / few * candidates
    return {
        "language": code,
        "pool": size,
        "candidates": candidates,
        "alike": sum(ours),
        "same": ours == theirs and ours[:few] == python,
        "build_s": round(built, 2),
        "index_s": round(indexed, 2),
        "rapidfuzz_s": round(compared, 2),
        "python_s": round(by_hand),
        "ratio_to_rapidfuzz": round(compared / indexed, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--pool", type=int, default=50_000)
    parser.add_argument("--candidates", type=int, default=1_000)
    parser.add_argument("--languages", default="es,ja")
    given = parser.parse_args()
    for code in given.languages.split(","):
        print(json.dumps(measure(code, given.data, given.pool, given.candidates)), flush=True)


if __name__ == "__main__":
    main()
