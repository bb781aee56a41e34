"""Corpora written without a look at the cleaner, cleaned, and the one judgement of what comes out.

`blind/first` and `blind/second` have JSON lines: `documents` (keep, drop, foreign, mend), `personal`
(lines with the details that must go, or none), `pairs` (keep, drop) and `twins` (texts that must stay
apart, or of which one stays).
"""

import json
import pathlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import toy_corpus

from polylm_jax.corpus import personal_data
from polylm_jax.corpus.limits import EVERYWHERE
from polylm_jax.languages.registry import PAPER_CODES

FOLDER = pathlib.Path(__file__).resolve().parent / "blind"
SETS = ("first", "second")
_DIRECTION = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


@dataclass(frozen=True)
class Verdict:
    """Attributes: group: 'keep', 'drop', 'foreign', 'mend', 'detail', 'harmless', 'pair keep', ...
    kind, language: of the case. right: whether it came out as it must. said: what came out instead.
    """

    group: str
    kind: str
    language: str
    right: bool
    said: str


def rows(which: str, name: str) -> list[dict]:
    """The cases of 'first' or 'second', of 'documents', 'personal', 'pairs' or 'twins'."""
    text = (FOLDER / which / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def verdicts(which: str, folder: pathlib.Path) -> list[Verdict]:
    """All verdicts on a set; cleans in an empty folder."""
    cases = rows(which, "documents")
    found = []
    # Mended mojibake is a near-duplicate of the text that it was made of: so apart.
    for name, mend in (("documents", False), ("mojibake", True)):
        some = [case for case in cases if (case["expect"] == "mend") == mend]
        given = [{"id": case["id"], "text": case["text"]} for case in some]
        kept = _cleaned(folder / name, {"crawl.jsonl": given}, {"crawl": "crawl.jsonl"})
        where = {row["id"]: (code, row["text"]) for code, out in kept.items() for row in out}
        found += judged(some, where)
    found += of_personal(which, lambda text, code: personal_data.masked(text, code, _ALL_KINDS)[0])
    return [*found, *of_pairs(which, folder / "pairs"), *of_twins(which, folder / "twins")]


_ALL_KINDS = (*personal_data.ADDRESSES, "iban", "card", "id")


def _cleaned(folder, files: dict[str, list[dict]], sources, names=PAPER_CODES, **options):
    """name -> rows of its file, after cleaning JSONL files."""
    for name, given in files.items():
        toy_corpus.write_jsonl(folder / name, given)
    toy_corpus.clean(folder, sources, languages=PAPER_CODES, **options)
    return {name: toy_corpus.read(folder / "out", name) for name in names}


def judged(cases: Iterable[dict], kept: dict[str, tuple[str, str]]) -> Iterator[Verdict]:
    """kept: id -> (language, text) of what came out."""
    for case in cases:
        said = _fault(case, kept.get(case["id"]))
        yield Verdict(case["expect"], case["kind"], case["language"], not said, said)


def _fault(case: dict, found: tuple[str, str] | None) -> str:
    """What is wrong with what came of a document; '' where nothing is."""
    expect = case["expect"]
    if found is None:
        return "lost" if expect == "keep" else ""
    code, text = found
    if expect in ("drop", "foreign"):
        return f"kept as {code}"
    if code != case["language"]:
        return f"filed as {code}"
    if expect == "mend":
        return "" if plain(text) == plain(case["want"]) else "kept with its fault"
    return _changed(case, text)


def _changed(case: dict, text: str) -> str:
    if "has" in case:
        return "" if case["has"] in text else "its marks are lost"
    if case["kind"].startswith("cookie"):
        own = case.get("want", case["text"].rpartition("\n\n")[2])
        return "" if plain(text) == plain(own) else "the banner stays, or the text doesn't"
    if case["kind"] == "invisible" and "want" not in case:
        return ""  # what is left of the marks is a matter of taste
    return "" if plain(text) == plain(case.get("want", case["text"])) else "changed"


def plain(text: str) -> str:
    """A text without white space and marks of direction, composed."""
    return "".join(unicodedata.normalize("NFC", text).translate(_DIRECTION).split())


def of_personal(which: str, mask: Callable[[str, str], str]) -> Iterator[Verdict]:
    """mask: (text, language) -> the text with its details masked."""
    for case in rows(which, "personal"):
        text = mask(case["text"], case["language"])
        left = [secret for secret in case["secrets"] if secret in text]
        group = "detail" if case["secrets"] else "harmless"
        if not case["secrets"]:
            left = [text] * (text != case["text"])
        yield Verdict(group, case["kind"], case["language"], not left, text if left else "")


def of_pairs(which: str, folder: pathlib.Path) -> Iterator[Verdict]:
    """Whether the right pairs stay."""
    cases, files = rows(which, "pairs"), defaultdict(list)
    for case in cases:
        name = f"{case['source_language']}-{case['target_language']}"
        row = {case["source_language"]: case["source"], case["target_language"]: case["target"]}
        files[f"{name}.jsonl"].append(row)
    names = [name.partition(".")[0] for name in files]
    sources = {"pairs": {"files": "*.jsonl", "pair": "stem", "id": "name"}}
    kept = _cleaned(folder, files, sources, names)
    stay = {
        (name, row["en"]): row[name.partition("-")[2]] for name, out in kept.items() for row in out
    }
    for case in cases:
        name = f"{case['source_language']}-{case['target_language']}"
        found = stay.get((name, case["source"]))
        right = found is not None if case["expect"] == "keep" else found in (None, case.get("want"))
        yield Verdict(
            f"pair {case['expect']}", "pair", name, right, "" if right else case["target"]
        )


def of_twins(which: str, folder: pathlib.Path) -> Iterator[Verdict]:
    """Whether two texts both stay, or one of them; no rule but that of duplicates is asked."""
    cases, files = rows(which, "twins"), defaultdict(list)
    for n, case in enumerate(cases):
        for side in ("first", "second"):
            row = {"id": f"{n} {side}", "text": case[side]}
            files[f"{case['language']}.jsonl"].append(row)
    sources = {
        name: {"files": name, "language": name.partition(".")[0], "limits": _NO_LIMITS}
        for name in files
    }
    kept = _cleaned(folder, files, sources)
    count = Counter(row["id"].partition(" ")[0] for out in kept.values() for row in out)
    for n, case in enumerate(cases):
        right = count[str(n)] == (2 if case["expect"] == "apart" else 1)
        said = "" if right else case["second"]
        yield Verdict(f"twins {case['expect']}", "twins", case["language"], right, said)


_NO_LIMITS = dict.fromkeys(EVERYWHERE, (None, None))


def rates(found: Iterable[Verdict], by: Callable[[Verdict], object]) -> dict[object, tuple]:
    """{group: (right, all)} of verdicts put together."""
    counts: dict[object, Counter] = defaultdict(Counter)
    for verdict in found:
        counts[by(verdict)][verdict.right] += 1
    return {key: (n[True], n.total()) for key, n in sorted(counts.items())}
