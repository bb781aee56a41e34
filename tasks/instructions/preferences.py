"""Pairs of answers of which one is preferred, as SeqIO tasks: what `run.py dpo` tunes on.

    {"prompt": "Name it.", "chosen": "A cat.", "rejected": "Un gato."}        TRL's; or messages for each
    {"chosen": [{"role": "user", ...}, {"role": "assistant", ...}], "rejected": [...]}   with the same beginning

as JSON lines, an array, Parquet, CSV or TSV. In a recipe:

    TASKS = @preferences.register()
    preferences.register.pairs = {"es": "pairs/es.jsonl", "ja": "pairs/ja.jsonl"}
    preferences.register.mixtures = {"preferred": {"es": 0.5, "ja": 0.5}}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from polylm_jax.errors import Refusal
from polylm_jax.runtime.ranges import Share
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from polylm_jax.text.instruction_words import is_no_input
from tasks.instructions import layouts, tuning
from tasks.instructions.conversations import CONVERSATION, Conversations
from tasks.instructions.layouts import ASSISTANT, SYSTEM, USER, Found, Message
from tasks.instructions.templates import Template
from tasks.instructions.tuning import Written

FIELDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "instruction", "question", "inputs"),
    "input": ("input", "context"),
    "system": ("system",),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
}
SAME = "chosen and rejected are the same"


@dataclass(frozen=True)
class Preferences(Conversations):
    """Pairs; the column is {"chosen": conversation, "rejected": conversation} as JSON, which begin alike."""

    known: ClassVar[Mapping] = FIELDS

    def found(self, parsed: Mapping) -> Found | str:
        return pair(parsed, self.joint, self.fields)

    def written(self, found: Found) -> str:
        chosen, rejected = found.messages
        return json.dumps({"chosen": chosen, "rejected": rejected}, ensure_ascii=False)

    def said(self, found: Found) -> list[Message]:
        return found.messages[0]


def pair(record: Mapping, joint: str = "\n", named: Mapping[str, str] | None = None) -> Found | str:
    """`Found` with the two conversations as its messages, chosen first, or the reason why there is none."""
    fields = layouts.fields_of(record, named, FIELDS)
    for name in ("chosen", "rejected"):
        if name not in fields or not record.get(fields[name]):
            return f"no field {fields.get(name, name)!r}"
    opening = layouts.system(record, fields)
    asked = opening if isinstance(opening, str) else _asked(record, fields, joint)
    if isinstance(asked, str):
        return asked
    both = []
    for name in ("chosen", "rejected"):
        answered = _answered(record[fields[name]], fields[name], [*opening, *asked])
        if isinstance(answered, str):
            return answered
        both.append(answered)
    if both[0] == both[1]:
        return Refusal(SAME)
    alike = common(*both)
    if not any(role == USER for role, _ in both[0][:alike]):
        return "chosen and rejected don't begin with the same question"
    if any(one[alike:] == [] or one[alike][0] != ASSISTANT for one in both):
        return "chosen and rejected go on with another question"
    used = set(fields.values())
    return Found(both, tuple(layouts.left(record, used)))


def _asked(record: Mapping, fields: Mapping[str, str], joint: str) -> list[Message] | str:
    """What stands before the answers, as messages; [] where the answers hold it."""
    prompt = record.get(fields.get("prompt"))
    if turns := layouts.as_list(prompt):
        found = layouts.turns(turns, fields["prompt"])
        return found if isinstance(found, str) else found[0]
    if prompt is not None and not isinstance(prompt, str):
        return f"field {fields['prompt']!r} is neither text nor messages"
    if not prompt or not prompt.strip():
        return []
    given = record.get(fields.get("input"))
    if isinstance(given, str) and not is_no_input(given):
        prompt += joint + given
    return [(USER, prompt)]


def _answered(value: object, name: str, asked: list[Message]) -> list[Message] | str:
    """The whole conversation that ends with an answer."""
    turns = layouts.as_list(value)
    if not turns:
        if not isinstance(value, str):
            return f"field {name!r} is neither text nor messages"
        messages = [*asked, (ASSISTANT, value)] if value.strip() else []
    else:
        found = layouts.turns(turns, name)
        if isinstance(found, str):
            return found
        begins = any(role == USER for role, _ in found[0])
        system = [one for one in asked if one[0] == SYSTEM and found[0][0][0] != SYSTEM]
        messages = [*system, *found[0]] if begins else [*asked, *found[0]]
    roles = [role for role, _ in messages if role != SYSTEM]
    if not roles or len(roles) % 2 or roles != [USER, ASSISTANT] * (len(roles) // 2):
        return f"the roles of {name!r} are {roles}, not user and assistant in turn"
    return messages


def common(one: list, other: list) -> int:
    """How many messages two conversations begin with alike."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


@dataclass(frozen=True)
class WrittenPair(Written):
    """Both conversations of a pair written as text, one after the other.

    `learned` is true of the answers that the two don't share, `rejected` of all of the second one.
    """

    def parts(self, conversation: str) -> list[tuple[str, bool, bool, bool]]:
        """(text, whether it is an answer, learned, rejected) of each segment."""
        both = json.loads(conversation)
        alike = common(both["chosen"], both["rejected"])
        shared = sum(role == ASSISTANT for role, _ in both["chosen"][:alike])
        found = []
        for rejected in (False, True):
            answers = 0
            for text, answer in self.template.segments(both["rejected" if rejected else "chosen"]):
                found.append((text, answer, answer and answers >= shared, rejected))
                answers += answer
        return found

    def render(self, record: Mapping[str, Any]) -> dict[str, object]:
        texts, answers, learned, rejected = zip(*self.parts(record[CONVERSATION]), strict=True)
        return {
            "targets": "".join(texts),
            "segments": list(texts),
            "is_answer": list(answers),
            "learned": list(learned),
            "rejected": list(rejected),
            **self._labels(record),
        }

    def text(self, conversation: bytes) -> bytes:
        return "".join(part[0] for part in self.parts(conversation.decode())).encode()


def register(
    data_dir: str,
    vocabulary: str,
    pairs: Mapping[str, object],
    mixtures: Mapping[str, Mapping[str, float]] | None = None,
    name: str = "preferences",
    template: str | Template = "multialpaca",
    joint: str = "\n",
    held_out: Share = HELD_OUT_FRACTION,
) -> tuple[str, ...]:
    """Registers pairs of answers and returns the names of their tasks. Files are looked for later.

    pairs: language -> files, as `tuning.register` has its conversations; of `columns` the names are
    those of `FIELDS`. The others are as there; held out are the pairs of a question as a whole.
    """
    return tuning.registered(
        Preferences, WrittenPair, data_dir, vocabulary, pairs, "pairs", mixtures, name, template,
        held_out, joint=joint,
    )  # fmt: skip
