"""How much of a source is broken: what stops a run, which files are named, and when."""

from collections import Counter
from collections.abc import Iterable, Mapping

from polylm_jax.corpus import pages, warc
from polylm_jax.corpus.tally import Key
from polylm_jax.errors import InputError

BROKEN_FILE, BROKEN_GROUP = "broken file", "broken row group"
OF_FILES = (BROKEN_FILE, BROKEN_GROUP, warc.EARLY, warc.BROKEN)  # a file is at fault, not a line
NO_TEXT = "no text"
WHOLE = (NO_TEXT, *pages.OTHER)  # records that hold no text, with nothing broken about them
FEW = 10  # broken records that stop nothing, whatever their share
FEW_IN_SHARD = 1000  # the same before a shard is at its end
READ, REFUSED = "note read", "reading"

File = tuple[str, str, str]  # source, path, reason


def over(limit: int) -> str:
    """The reason of a line or record that is longer than `limit` bytes."""
    return f"over {limit >> 20} MiB"


def share(counts: Mapping[Key, list[int]], source: str) -> tuple[int, int]:
    """(broken records, all records) of a source."""
    broken = whole = 0
    for (stage, name, _, outcome), (documents, _) in counts.items():
        if name == source and stage == REFUSED and outcome not in WHOLE:
            broken += documents
        elif name == source and stage in (READ, REFUSED):
            whole += documents
    return broken, broken + whole


def check(counts: Mapping[Key, list[int]], source: str, most: float, few: int = FEW) -> None:
    """InputError where more than a share of `most` of a source's records is broken."""
    broken, records = share(counts, source)
    if broken >= few and broken > most * records:
        reasons = {
            outcome: documents
            for (stage, name, _, outcome), (documents, _) in counts.items()
            if name == source and stage == REFUSED and outcome not in WHOLE
        }
        most_of_all = max(reasons, key=reasons.__getitem__)
        raise InputError(
            f"SOURCES[{source!r}]: {broken:,} of {records:,} records are broken, most of all "
            f"{most_of_all!r}: get its files again, or say MAX_BROKEN above {most:g}."
        )


def without_document(
    source: str, reasons: Counter[str], has: str = "", now: str = ""
) -> InputError:
    """What is said of a source in which nothing was text. has, now: its fields, and the one asked for."""
    why = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    return InputError(
        f"SOURCES[{source!r}] gave no document ({why or 'its files are empty'}){has}: give UTF-8, and "
        f"the field that holds the text as 'text'{now}."
    )


def summary(files: Iterable[tuple[File, int]], most: int = 5) -> str:
    """One sentence that names the broken files, the first few of them; '' where there are none."""
    found: dict[str, str] = {}
    for (_, path, reason), _ in files:
        if reason in OF_FILES:
            found.setdefault(path, reason)
    if not found:
        return ""
    names = [f"{path} ({reason})" for path, reason in list(found.items())[:most]]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    many = "1 file is" if len(found) == 1 else f"{len(found)} files are"
    return (
        f"reading: {many} broken or cut short; what is whole in them was read, the rest left out: "
        f"{', '.join(names)}{more}; report.json names all"
    )
