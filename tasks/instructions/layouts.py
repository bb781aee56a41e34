"""How instruction data is published, record by record, each layout as a conversation.

    MultiAlpaca, Alpaca   {"instruction": "Name it.", "input": null, "output": "A cat."}
    Dolly                 {"instruction": ..., "context": ..., "response": ...}
    Aya, TRL, QA          {"inputs", "targets"}, {"prompt", "completion"}, {"question", "answer"}
    chat                  {"messages": [{"role": "user", "content": "Name it."}, ...]}, also "conversations"
                          with "from" and "value", and "prompt" and "completion" as lists of messages

"system" (or a message of "developer") stands before all, "history" [["Hi", "Hello"], ...] before the
question. A content may come in parts, of which text is read. What is there and isn't read is named.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from polylm_jax.errors import Refusal
from polylm_jax.text.instruction_words import is_no_input

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ROLES = {
    "human": USER, "gpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT, "chatgpt": ASSISTANT,
    "developer": SYSTEM,
}  # fmt: skip
# Fields by what they are read as; of each the first that a record has.
FIELDS: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "inputs", "prompt", "question"),
    "input": ("input", "context"),
    "output": ("output", "targets", "completion", "response", "answer"),
    "messages": ("messages", "conversations"),
    "system": ("system",),
    "history": ("history",),
}
_MESSAGE = {"role", "content", "from", "value"}
_TOOLS = ("tool_calls", "function_call")
_TOOL_ROLES = ("tool", "function", "observation", "ipython", "function_call")
AROUND = "turns before the first question or after the last answer"

Message = tuple[str, str]  # role, content


class Found(NamedTuple):
    """A conversation, system? (user assistant)+, and what of its record wasn't read."""

    messages: list[Any]  # of `Message`; of a pair, its two conversations
    unread: tuple[str, ...] = ()


def fields_of(
    record: Mapping, named: Mapping[str, str] | None = None, known: Mapping | None = None
) -> dict[str, str]:
    """What is read -> the record's field: those that the user named, else those that it has.

    known: `FIELDS`, or another table like it.
    """
    if named:
        return dict(named)
    return {
        ours: next(name for name in theirs if name in record)
        for ours, theirs in (known or FIELDS).items()
        if any(name in record for name in theirs)
    }


def conversation(
    record: Mapping, joint: str = "\n", named: Mapping[str, str] | None = None
) -> Found | str:
    """The conversation of a record, or the reason why there is none.

    joint: what stands between an instruction and its input. named: as `fields_of` takes it.

    >>> conversation({"instruction": "Add.", "input": "1, 2", "output": "3", "kind": "sum"})
    Found(messages=[('user', 'Add.\\n1, 2'), ('assistant', '3')], unread=("field 'kind'",))
    """
    fields = fields_of(record, named)
    opening = system(record, fields)
    if isinstance(opening, str):
        return opening
    read: tuple[str, ...]
    if "messages" in fields:
        found, read = chat(record[fields["messages"]], fields["messages"]), ("messages", "system")
    elif isinstance(record.get(fields.get("instruction")), list):
        prompt, completion = (as_list(record.get(fields.get(n))) for n in ("instruction", "output"))
        found, read = chat([*prompt, *completion], "prompt"), ("instruction", "output", "system")
    else:
        found, read = _single(record, fields, joint), tuple(FIELDS)
    if isinstance(found, str):
        return found
    messages = [*opening, *found.messages]
    if opening and found.messages[0][0] == SYSTEM:
        messages = [(SYSTEM, f"{opening[0][1]}\n{found.messages[0][1]}"), *found.messages[1:]]
    used = {fields[name] for name in read if name in fields}
    return Found(messages, (*left(record, used), *found.unread))


def system(record: Mapping, fields: Mapping[str, str]) -> list[Message] | str:
    """The record's own system message, as a list of none or one, or what is wrong with it."""
    value = record.get(fields.get("system"))
    if value is None or value == "":
        return []
    if not isinstance(value, str):
        return f"field {fields['system']!r} is {_kind(value)}, not text"
    return [(SYSTEM, value)] if value.strip() else []


def _single(record: Mapping, fields: Mapping[str, str], joint: str) -> Found | str:
    """Of a record with one question and one answer, and what was said before it."""
    texts = {}
    for name in ("instruction", "output"):
        if name not in fields:
            one_of = " or ".join(map(repr, (*FIELDS[name], *FIELDS["messages"])))
            return f"no field {one_of}"
        value = record.get(fields[name])
        if value is not None and not isinstance(value, str):
            return f"field {fields[name]!r} is {_kind(value)}, not text"
        if value is None or not value.strip():
            return f"no text in field {fields[name]!r}"
        texts[name] = value
    given = record.get(fields.get("input"))
    if given is not None and not isinstance(given, str):
        return f"field {fields['input']!r} is {_kind(given)}, neither text nor null"
    question = texts["instruction"]
    if given is not None and not is_no_input(given):
        question += joint + given
    before = _history(record.get(fields.get("history")), fields.get("history", ""))
    if isinstance(before, str):
        return before
    return Found([*before, (USER, question), (ASSISTANT, texts["output"])])


def _history(value: object, name: str) -> list[Message] | str:
    """[[question, answer], ...], or messages, as turns."""
    pairs = as_list(value)
    if pairs and all(isinstance(turn, Mapping) for turn in pairs):
        found = chat(pairs, name)
        return found if isinstance(found, str) else found.messages
    messages: list[Message] = []
    for turn in pairs:
        pair = isinstance(turn, Sequence) and not isinstance(turn, str) and len(turn) == 2
        if not pair or not all(isinstance(said, str) and said.strip() for said in turn):
            return f"field {name!r} is no list of [question, answer]"
        messages += [(USER, turn[0]), (ASSISTANT, turn[1])]
    return messages


def chat(value: object, name: str) -> Found | str:
    """Of a list of messages; what stands before the first question or after the last answer is left out."""
    found = turns(as_list(value), name)
    if isinstance(found, str):
        return found
    messages, unread = found
    whole = len(messages)
    while messages and messages[-1][0] != ASSISTANT:
        messages.pop()
    head = messages[:1] if messages and messages[0][0] == SYSTEM else []
    rest = messages[len(head) :]
    while rest and rest[0][0] == ASSISTANT:
        rest.pop(0)
    expected = [(USER, ASSISTANT)[n % 2] for n in range(len(rest))]
    if not rest or [role for role, _ in rest] != expected:
        roles = [role for role, _ in messages]
        return f"the roles are {roles}, not user and assistant in turn"
    around = (AROUND,) if len(head) + len(rest) < whole else ()
    return Found([*head, *rest], (*around, *unread))


def turns(values: list, name: str) -> tuple[list[Message], list[str]] | str:
    """(messages, what of them isn't read) of a list, or what is wrong with it; several of the system are one."""
    if not values:
        return f"field {name!r} is no list of messages"
    messages: list[Message] = []
    unread: set[str] = set()
    for value in values:
        found = _message(value, name, unread)
        if isinstance(found, str):
            return found
        if found[0] == SYSTEM == (messages[-1][0] if messages else ""):
            found = SYSTEM, f"{messages.pop()[1]}\n{found[1]}"
        messages.append(found)
    return messages, sorted(unread)


def _message(turn: object, name: str, unread: set[str]) -> Message | str:
    if not isinstance(turn, Mapping):
        return "a message is no JSON object"
    role = turn.get("role") or turn.get("from")
    role = role.lower() if isinstance(role, str) else role
    if role in _TOOL_ROLES or any(turn.get(key) for key in _TOOLS):
        return Refusal("a call of a tool, which no template here writes")
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        content = _joined(content)
    if isinstance(content, Refusal):
        return content
    if not isinstance(role, str) or not isinstance(content, str) or not content.strip():
        return "a message has no role or no text"
    unread.update(
        f"field '{name}.{key}'" for key in turn if key not in _MESSAGE and _says(turn[key])
    )
    return ROLES.get(role, role), content


def _joined(parts: list) -> str | None:
    texts = []
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        text = part.get("text") if isinstance(part, Mapping) else part
        if kind != "text":
            return Refusal(f"a part of a message is {kind!r}, not text")
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "".join(texts)


def as_list(value: object) -> list:
    """A list, also one that a table holds as JSON; [] for anything else."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def left(record: Mapping, used: set[str]) -> Iterator[str]:
    """What a record has beside the fields that are used, by name."""
    return (f"field {name!r}" for name in record if name not in used and _says(record[name]))


def _says(value: object) -> bool:
    return value is not None and value not in ("", [], {})


def _kind(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else f"{value!r}"
