"""Instruction data as it is published, read as conversations: `layouts` has the records, `rows` the files."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from polylm_jax.errors import InputError, Refusal, Unread, nearest
from polylm_jax.text import instruction_defects
from polylm_jax.text.held_out import identifier, normalise
from tasks.instructions import layouts, rows
from tasks.instructions.layouts import ASSISTANT, SYSTEM, USER, Found, Message
from tasks.sources.reader import BadLine, Columns, Reader, Record, lookup

CONVERSATION = "conversation"
# Options that came later: a store that was made without them keeps its identity.
_LATER = ("format", "fields")

__all__ = ["ASSISTANT", "CONVERSATION", "SYSTEM", "USER", "Conversations", "Message"]


@dataclass(frozen=True)
class Conversations(Reader):
    """Records or chats; the column is a conversation as JSON, [[role, content], ...].

    clean: leaves out what `instruction_defects.reason` names; each is counted and quarantined.
    joint: what stands between an instruction and its input. format: of the files, '' for what their
    endings say. fields: name of `layouts.FIELDS` -> the field that is read as it; only those are.
    """

    columns: Columns = field(default_factory=lambda: {CONVERSATION: CONVERSATION})
    clean: bool = True
    joint: str = "\n"
    format: str = ""
    fields: Mapping[str, str] | None = None

    known: ClassVar[Mapping] = layouts.FIELDS  # what `fields` may name

    def __post_init__(self):
        rows.format_of(self.paths, self.format)
        check_fields(self.fields, self.known)

    @functools.cached_property
    def units(self) -> dict[str, Any]:
        found = rows.units(rows.format_of(self.paths, self.format), self.inputs, self.unit_bytes)
        if not found:
            raise InputError(f"paths: {self.paths!r} holds no records; give files with some.")
        return found

    def options(self) -> dict[str, object]:
        default = {f.name: f.default for f in dataclasses.fields(self)}
        return (
            {
                name: value
                for name, value in super().options().items()
                if name not in _LATER or value != default[name]
            }
            | {"format": type(self).__name__}
            | ({"files": self.format} if self.format else {})
        )

    def read(self, unit: Any, bad: BadLine) -> Iterator[Record]:
        (name,) = self.columns
        for number, raw, parsed in rows.objects(unit):
            if not isinstance(parsed, dict):
                bad(unit.path, number, parsed, raw)
                continue
            if not self.wanted(parsed):
                continue
            found = self.found(self.named(parsed))
            if isinstance(found, str):
                bad(unit.path, number, found, raw)
                continue
            for unread in found.unread:
                if not self.id or unread != f"field {self.id!r}":
                    bad(unit.path, number, Unread(unread), b"")
            yield {name: self.written(found), "group": self._group(parsed, found)}

    def found(self, parsed: Mapping) -> Found | str:
        """The conversation of a record, or the reason why there is none."""
        fields = layouts.fields_of(parsed, self.fields)
        if self.clean and "messages" not in fields:
            parts = {name: parsed[fields[name]] for name in fields if fields[name] in parsed}
            if reason := instruction_defects.reason(parts):
                return Refusal(reason)
        return layouts.conversation(parsed, self.joint, self.fields)

    def named(self, parsed: Mapping) -> Mapping:
        """The record with the fields that the user named, nested ones by dots ('meta.answer')."""
        names = (self.fields or {}).values()
        nested = {name: lookup(parsed, name) for name in names if name not in parsed}
        return {**parsed, **nested} if nested else parsed

    def written(self, found: Found) -> str:
        """What the column holds."""
        return json.dumps(found.messages, ensure_ascii=False)

    def _group(self, parsed: Mapping, found: Found) -> str:
        if self.id and (group := identifier(parsed.get(self.id))):
            return group
        return normalise(next(said for role, said in self.said(found) if role == USER))

    def said(self, found: Found) -> list[Message]:
        """The conversation whose first question is what a record is held out by."""
        return found.messages


def check_fields(given: Mapping[str, str] | None, known: Mapping) -> None:
    """InputError for a name that nothing is read as."""
    for name in given or {}:
        if name not in known:
            raise InputError(
                f"fields names {name!r}.{nearest(name, known)} Give some of {', '.join(known)}, each "
                "with the field of the files that is read as it."
            )
