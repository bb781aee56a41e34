"""Writing a token store: units of work in any order, by any number of processes, each committed once.

Everything written follows from the store's identity and the unit's number alone, so two processes
that do the same unit, or both write the manifest, write the same bytes: no locks are needed.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polylm_jax.data.stores.identity import Identity, readable, refuse_other
from polylm_jax.data.stores.manifest import MANIFEST, Manifest, Split
from polylm_jax.data.stores.store import DTYPES, PARTS, PLAN, QUARANTINE, committed_units
from polylm_jax.errors import InputError, Refusal, Unread
from polylm_jax.runtime.seals import sealed
from polylm_jax.runtime.storage import Folder, json_hash, to_json

PART_TOKENS = 2**26  # a part holds no more: 128 MB (256 MB in uint32) are in memory at once
REFUSED_EARLY = 10_000  # bad lines from which a build may fail before its end
RAW_BYTES = 200  # how much of a bad line the quarantine keeps


class StoreWriter:
    """A store under construction at `path`, or one to go on with.

    Raises:
      InputError: the place can't be written, or holds a store of another identity.
    """

    def __init__(self, path: str, identity: Identity):
        self.folder = Folder(path)
        self.identity = identity
        plan = to_json(dataclasses.asdict(identity))
        if not self.folder.claim(PLAN, plan):
            made = self.folder.read(PLAN)
            if made is not None and readable(made):
                refuse_other(path, made, identity)
            else:  # each unit's record says what it was made from
                self.folder.write(PLAN, plan)

    def missing(self) -> list[int]:
        """The units that nobody has finished."""
        return sorted(set(range(len(self.identity.units))) - committed_units(self.folder).keys())

    def unit(self, number: int) -> "UnitWriter":
        """A writer for one unit, from its beginning."""
        return UnitWriter(self, number)

    def finish(self, max_bad: float) -> Manifest | None:
        """Writes the manifest when every unit is there; None while some are missing.

        Args:
          max_bad: the share of all lines that may be bad.

        Raises:
          InputError: more were, there is no text, or a unit was made from something else.
        """
        if self.missing():
            return None
        records = self._records()
        check_bad(self.folder.path, self.identity.task, records, max_bad)
        manifest = self._manifest(records)
        if not manifest.splits:
            raise InputError(
                f"task {self.identity.task!r} has no text: its units hold 0 documents (first "
                f"{self.identity.units[0]!r}): correct its source and delete {self.folder.path!r}."
            )
        self.folder.write(MANIFEST, to_json(sealed(dataclasses.asdict(manifest))))
        return manifest

    def _records(self) -> list[dict]:
        records = committed_units(self.folder)
        for number, record in sorted(records.items()):
            key = _unit_key(number)
            if record["identity"] != self.identity.fingerprint:
                raise InputError(
                    f"token store {self.folder.path!r} has {key} from another vocabulary or "
                    "version of its task: delete the store and run `python run.py cache` again."
                )
        return [record for _, record in sorted(records.items())]

    def _manifest(self, records: Sequence[dict]) -> Manifest:
        names = sorted({name for record in records for name in record["splits"]})
        splits = {name: _merge(name, records) for name in names}
        languages = sorted({code for record in records for code in record["languages"]})
        return Manifest(
            **{f.name: getattr(self.identity, f.name) for f in dataclasses.fields(Identity)},
            language=languages[0] if len(languages) == 1 else "mul",
            splits=splits,
            lines=sum(record["lines"] for record in records),
            bad_lines=sum(sum(record["bad"].values()) for record in records),
            refused=dict(sum((Counter(record["refused"]) for record in records), Counter())),
            unread=dict(sum((Counter(r.get("unread")) for r in records), Counter())),
            space_marks=sum(record["space_marks"] for record in records),
            content_sha256=json_hash({n: split.content_sha256 for n, split in splits.items()}),
        )


class UnitWriter:
    """One unit's tokens, written as they come and committed at the end."""

    def __init__(self, store: StoreWriter, number: int):
        self.folder, self.identity, self.number = store.folder, store.identity, number
        self._dtype = DTYPES[store.identity.dtype]
        self._buffers: dict[str, list[np.ndarray]] = {}
        self._buffered: Counter[str] = Counter()
        self._parts: dict[str, list[dict]] = {}
        self._counts: dict[str, Counter] = {}
        self._languages: set[str] = set()
        self._bad: list[dict] = []
        self._refused: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()

    def add(
        self, split: str, tokens: np.ndarray, languages: Iterable[str], counts: Mapping
    ) -> None:
        """Appends documents that are already closed with EOS.

        Args:
          split: where they belong.
          tokens: integers [n], the documents one after the other.
          languages: what the examples say: 'en', 'en-th'.
          counts: 'documents', 'bytes' and 'space_marks', and ('tokens', code) and ('bytes', code)
            per language.
        """
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < self.identity.vocab_size:
            raise InputError(
                f"task {self.identity.task!r} yields token {tokens.max()}, but vocabulary = "
                f"{self.identity.vocabulary!r} has {self.identity.vocab_size}: give its own."
            )
        self._counts.setdefault(split, Counter()).update(counts)
        self._languages.update(languages)
        self._buffers.setdefault(split, []).append(tokens.astype(self._dtype))
        self._buffered[split] += len(tokens)
        if self._buffered[split] >= PART_TOKENS:
            self._flush(split)

    def add_bad(self, file: str, line: int, reason: str, raw: bytes) -> None:
        """Puts a line into quarantine; of one that was read, counts what of it was not."""
        if isinstance(reason, Unread):
            self._unread[reason] += 1
            return
        shown = raw[:RAW_BYTES].decode("utf-8", "backslashreplace")
        self._bad.append({"file": file, "line": line, "reason": reason, "raw": shown})
        if isinstance(reason, Refusal):
            self._refused[reason] += 1

    def commit(self) -> dict:
        """Writes what is left, then the record that makes the unit count; returns the record."""
        for split in self._buffers:
            self._flush(split)
        if self._bad:
            lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in self._bad]
            self.folder.write(f"{QUARANTINE}{self.number:05d}.jsonl", "".join(lines).encode())
        broken = [line for line in self._bad if line["reason"] not in self._refused]
        record = {
            "unit": self.identity.units[self.number],
            "identity": self.identity.fingerprint,
            "splits": {split: self._split(split) for split in sorted(self._parts)},
            "languages": sorted(self._languages),
            "lines": len(self._bad) + sum(c["documents"] for c in self._counts.values()),
            "bad": Counter(line["file"] for line in broken),
            "first_bad": broken[0] if broken else None,
            "refused": self._refused,
            "unread": self._unread,
            "space_marks": sum(c["space_marks"] for c in self._counts.values()),
        }
        self.folder.write(_unit_key(self.number), to_json(sealed(record)))
        return record

    def _flush(self, split: str) -> None:
        tokens = np.concatenate(self._buffers[split])
        self._buffers[split], self._buffered[split] = [tokens[:0]], 0
        if not len(tokens):
            return
        parts = self._parts.setdefault(split, [])
        piece = f".{len(parts)}" if parts else ""
        name = f"{PARTS}{self.number:05d}-{split}{piece}.u{8 * self._dtype.itemsize}"
        data = tokens.tobytes()
        self.folder.write(name, data)
        digest = hashlib.sha256(data).hexdigest()
        parts.append({"name": name, "tokens": len(tokens), "sha256": digest})

    def _split(self, split: str) -> dict:
        counts = self._counts[split]

        def by_language(of: str) -> dict[str, int]:
            return {
                key[1]: n for key, n in counts.items() if isinstance(key, tuple) and key[0] == of
            }

        return {
            "documents": counts["documents"],
            "bytes": counts["bytes"],
            "tokens_by_language": by_language("tokens"),
            "bytes_by_language": by_language("bytes"),
            "parts": self._parts[split],
        }


def check_bad(path: str, task: str, records: Sequence[dict], max_bad: float, of: int = 0) -> None:
    """Refuses a task of which more than `max_bad` of all lines are bad.

    Before the end it is refused for `REFUSED_EARLY` bad lines that the rest, with as many lines a unit,
    can't make good any more.

    Args:
      path: the store's folder.
      task: its name.
      records: those of the units that are finished.
      max_bad: the share of all lines that may be bad.
      of: how many there will be.
    """
    lines = sum(record["lines"] for record in records)
    files: Counter[str] = Counter()
    for record in records:
        files.update(record["bad"])
    bad = files.total()
    early = len(records) < of
    if (
        not bad
        or bad <= max_bad * lines * max(of / len(records), 1)
        or (early and bad < REFUSED_EARLY)
    ):
        return
    file, most = max(files.items(), key=lambda item: (item[1], item[0]))
    first = next(r["first_bad"] for r in records if (r["first_bad"] or {}).get("file") == file)
    so_far = " so far" if early else ""
    raise InputError(
        f"task {task!r}: {bad:,} of {lines:,} lines ({bad / lines:.2%}){so_far} can't be read, "
        f"{most:,} of them in {file} (line {first['line']}: {first['reason']}), above max_bad = "
        f"{max_bad}: mend those that {path}/{QUARANTINE} lists and delete {path}, or raise "
        "max_bad (--gin.data.cache.max_bad, for `cache` and `train` alike)."
    )


def _merge(split: str, records: Sequence[dict]) -> Split:
    """One split of the manifest from the units' records, in their order."""
    found = [record["splits"][split] for record in records if split in record["splits"]]
    parts = [part for one in found for part in one["parts"]]
    tokens: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for one in found:
        tokens.update(one["tokens_by_language"])
        sizes.update(one["bytes_by_language"])
    offsets = np.cumsum([0, *(part["tokens"] for part in parts)]).tolist()
    return Split(
        documents=sum(one["documents"] for one in found),
        tokens=offsets[-1],
        bytes=sum(one["bytes"] for one in found),
        tokens_by_language=dict(tokens),
        bytes_by_language=dict(sizes),
        content_sha256=json_hash([part["sha256"] for part in parts]),
        parts=tuple(part["name"] for part in parts),
        offsets=tuple(offsets),
    )


def _unit_key(number: int) -> str:
    return f"{PARTS}{number:05d}.json"
