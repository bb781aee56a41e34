"""Preferences for the language that is asked in, made of instructions alone: `python -m tasks.instructions.language_pairs OUT es=FILE ja=FILE ...`

Each record's own answer is chosen; rejected is an answer in another language. With `--aligned` record
n is the same in all files, and the rejected answer says the same in another language, in turn; else it
is the other languages' answer whose length in bytes is the nearest, so that length tells nothing.

    OUT/es.jsonl ...    {"prompt": "¿Qué es?", "chosen": "Un gato.", "rejected": "猫です。"}
"""

import argparse
import bisect
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from polylm_jax.errors import InputError, Refusal
from tasks.instructions.conversations import Conversations
from tasks.instructions.layouts import ASSISTANT, USER

Answered = tuple[str, str]  # question, answer


def read(path: str) -> list[Answered | None]:
    """Records of one question and its answer, in order; None for one that is left out or has more."""
    reader = Conversations(paths=path)
    found: dict[int, Answered | None] = {}

    def bad(path: str, line: int, reason: str, raw: bytes) -> None:
        if type(reason) in (str, Refusal):
            found[len(found)] = None

    for unit in reader.units.values():
        for record in reader.read(unit, bad):
            turns = json.loads(record["conversation"])
            single = [role for role, _ in turns] == [USER, ASSISTANT]
            found[len(found)] = (turns[0][1], turns[1][1]) if single else None
    return list(found.values())


def aligned(records: Mapping[str, Sequence[Answered | None]], code: str) -> Iterator[dict]:
    """Pairs whose rejected answer is the same record's in the other languages, in turn."""
    others = [other for other in records if other != code]
    for number, own in enumerate(records[code]):
        other = records[others[number % len(others)]]
        if own and number < len(other) and (theirs := other[number]):
            yield _pair(own, theirs[1])


def nearest_in_length(
    records: Mapping[str, Sequence[Answered | None]], code: str
) -> Iterator[dict]:
    """Pairs whose rejected answer is of the other languages', the nearest in bytes that isn't used yet."""
    theirs = sorted(
        (len(one[1].encode()), n, one[1])
        for other, found in sorted(records.items()) if other != code
        for n, one in enumerate(found) if one
    )  # fmt: skip
    for own in filter(None, records[code]):
        if not theirs:
            return
        size = len(own[1].encode())
        place = min(bisect.bisect_left(theirs, (size,)), len(theirs) - 1)
        if place and size - theirs[place - 1][0] < theirs[place][0] - size:
            place -= 1
        yield _pair(own, theirs.pop(place)[2])


def _pair(own: Answered, rejected: str) -> dict:
    return {"prompt": own[0], "chosen": own[1], "rejected": rejected}


def write(out: pathlib.Path, paths: Mapping[str, str], together: bool = False) -> dict[str, int]:
    """Writes OUT/LL.jsonl of each language; how many pairs each has. InputError for fewer than two."""
    if len(paths) < 2:
        raise InputError(f"languages: {list(paths)}; give two or more, each as LL=FILE.")
    records = {code: read(path) for code, path in paths.items()}
    make, counts = aligned if together else nearest_in_length, {}
    out.mkdir(parents=True, exist_ok=True)
    for code in records:
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in make(records, code)]
        (out / f"{code}.jsonl").write_text("".join(lines), encoding="utf-8")
        counts[code] = len(lines)
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 2 with one sentence for bad input."""
    parser = argparse.ArgumentParser(prog="language_pairs", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("files", nargs="+", metavar="LL=FILE")
    parser.add_argument("--aligned", action="store_true", help="record n is the same in all files")
    given = parser.parse_args(argv)
    try:
        if wrong := next((one for one in given.files if "=" not in one), ""):
            raise InputError(f"{wrong!r} names no language: give LL=FILE.")
        counts = write(given.out, dict(one.split("=", 1) for one in given.files), given.aligned)
    except InputError as error:
        parser.exit(2, f"{error}\n")
    for code, count in counts.items():
        print(f"{given.out / code}.jsonl: {count:,} pairs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
