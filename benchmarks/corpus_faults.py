"""Planted faults caught and clean text wrongly dropped, per rule and language: `corpus_faults.py DATA [CASES]`.

DATA is a folder with udhr/LL.txt, tldr/LL.jsonl and tldr/en-LL.jsonl. Prints a JSON line per row.
"""

import json
import pathlib
import random
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / n) for n in ("", "tests/toys")]

import planted_documents as documents
import planted_faults as faults

from polylm_jax.corpus import duplicates, personal_data, repairs, shingles
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.languages.registry import PAPER_CODES

PAIRED = [c for c in PAPER_CODES if c not in ("en", "he", "vi")]


def show(**row) -> None:
    print(json.dumps(row, ensure_ascii=False), flush=True)


def rows_of(rule: str, counts: dict[str, tuple[int, int]]) -> None:
    counts = {code: count for code, count in counts.items() if count[1]}
    caught, planted = (sum(count[n] for count in counts.values()) for n in (0, 1))
    least = min(counts, key=lambda code: counts[code][0] / counts[code][1])
    show(rule=rule, languages=len(counts), planted=planted, caught=caught, worst=least,
         worst_share=round(counts[least][0] / counts[least][1], 4), per_language=counts)  # fmt: skip


def main(data: pathlib.Path, cases: int) -> None:
    texts = faults.texts(data)
    clean(data)
    for rule in faults.RULES:
        rows_of(rule, {code: faults.caught(rule, texts, code, cases) for code in texts})
    for kind in faults.REPAIRS:
        rows_of(
            kind,
            {
                c: (sum(faults.repaired_right(kind, t) for _ in range(cases)), cases)
                for c, t in texts.items()
            },
        )
    rows_of("invisible characters", {c: (sum(repairs.invisible_share(faults.invisible(t)) > repairs.MAX_INVISIBLE
                                    for _ in range(cases)), cases) for c, t in texts.items()})  # fmt: skip
    for kind in personal_data.ADDRESSES:
        rows_of(
            f"personal data: {kind}",
            {c: (sum(masked(kind, t) for _ in range(cases)), cases) for c, t in texts.items()},
        )
    identify = Identifier(PAPER_CODES)
    rows_of("another language", {c: (sum(identify(documents.foreign(t, texts))[0] != c for _ in range(cases)), cases)
                                 for c, t in texts.items()})  # fmt: skip
    rows_of(
        "exact duplicate",
        {c: (sum(same(t) for _ in range(cases)), cases) for c, t in texts.items()},
    )
    near_duplicates(texts, cases)
    pairs(data, texts, cases)


def clean(data: pathlib.Path) -> None:
    for code in PAPER_CODES:
        gone, total, reasons = documents.dropped_paragraphs(
            documents.clean_documents(data, code), code
        )
        show(
            clean=code,
            paragraphs=total,
            dropped=gone,
            share=round(gone / total, 5),
            reasons=reasons,
        )


def masked(kind: str, text: faults.Text) -> bool:
    line, detail = faults.personal(kind, text)
    return personal_data.masked(line, text.code)[0] == line.replace(
        detail, personal_data.MARKERS[kind]
    )


def same(text: faults.Text) -> bool:
    original = "\n".join(text.some())
    return shingles.whole(original) == shingles.whole(documents.jittered(text, original))


def near_duplicates(texts: dict[str, faults.Text], cases: int) -> None:
    """Caught / planted beside the curve at the similarities that the pairs really have."""
    for bands, rows in ((14, 8), (20, 5)):
        signer = duplicates.SignNear("unused", duplicates.minhash_config(5, bands, rows))
        for similarity in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9):
            caught, expected, count = 0, 0.0, 0
            for code, text in texts.items():
                for _ in range(cases):
                    first, second, real = documents.overlapping(text, similarity)
                    caught += documents.share_a_band(first, second, code, signer)
                    expected += duplicates.curve(real, bands, rows)
                    count += 1
            show(near=similarity, bands=bands, rows=rows, pairs=count, caught=round(caught / count, 4),
                 curve=round(expected / count, 4))  # fmt: skip


def pairs(data: pathlib.Path, texts: dict[str, faults.Text], cases: int) -> None:
    for kind in documents.PAIR_FAULTS:
        counts = {}
        for code in PAIRED:
            rows = documents.good_rows(documents.pair_rows(data, code), code, 1000)
            rng, found = random.Random(code), []
            while len(found) < cases:
                other = texts[rng.choice([c for c in texts if c not in (code, "en")])]
                pair = documents.faulty_pair(kind, rows, code, rng, other)
                if pair is not None:
                    found.append(documents.pair_caught(kind, pair, code))
            counts[f"en-{code}"] = (sum(found), len(found))
        rows_of(f"pairs: {kind}", counts)
    for code in PAIRED:
        rows = documents.pair_rows(data, code)
        gone = sum(
            documents.pairs.fault(pair, ["en", code], PAPER_CODES) is not None for pair in rows
        )
        show(clean=f"en-{code}", pairs=len(rows), dropped=gone, share=round(gone / len(rows), 5))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60)
