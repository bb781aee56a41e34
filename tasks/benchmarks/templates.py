"""Templates of a benchmark of one's own: the record's fields in braces, and records -> items by them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.benchmarks.items import BadRecord, Item
from tasks.benchmarks.records import Record


@dataclass(frozen=True)
class Converter:
    """A record -> {context, answers, label}. choices: templates of them, () for generated answers.

    label: of choices, the field that has the right one's number (from `first`) or its text.
    keep: whether a record is of this language; None keeps all.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...] = ()
    first: int = 0
    keep: Callable[[Record], bool] | None = None

    def __call__(self, record: Record) -> Item | None:
        if self.keep and not self.keep(record):
            return None
        context = filled(self.prompt, record)
        if not self.choices:
            return {"context": context, "answers": _texts(record, self.answer), "label": 0}
        texts = [filled(choice, record) for choice in self.choices]
        return {"context": context, "answers": texts, "label": self._label(record, texts)}

    def _label(self, record: Record, texts: list[str]) -> int:
        value = record.get(self.answer)
        if isinstance(value, str) and value in texts:
            return texts.index(value)
        if isinstance(value, bool) or not str(value).lstrip("-").isdigit():
            raise BadRecord(f"{self.answer!r} is {value!r}, neither a choice nor its number")
        place = int(str(value)) - self.first
        if not 0 <= place < len(texts):
            raise BadRecord(f"{self.answer!r} is {value!r}, and there are {len(texts)} choices")
        return place


def filled(template: str, record: Record) -> str:
    """Fields in braces as they stand in the record; columns without names are {1}, {2}."""

    def one(match: re.Match) -> str:
        if match[1] not in record:
            raise BadRecord(
                f"the template {template!r} asks for {match[1]!r}, and the record has "
                f"{', '.join(map(str, record))}"
            )
        return str(record[match[1]])

    return re.sub(r"\{(\w+)\}", one, template)


def _texts(record: Record, field: str) -> list[str]:
    """The right answers under a field: a text, a number, or a list of them."""
    found = record.get(field)
    found = found.get("text") if isinstance(found, Mapping) else found  # SQuAD's in TFDS
    found = list(found) if isinstance(found, list | tuple) else [found]
    texts = [str(one) for one in found if one is not None and str(one).strip()]
    if not texts or any(isinstance(one, Mapping) for one in found):
        raise BadRecord(f"there is no answer in {field!r}")
    return texts
