"""Instruction data as it is published, read as conversations.

    MultiAlpaca, Alpaca   {"instruction": "Name it.", "input": null, "output": "A cat."}
    chat                  {"messages": [{"role": "user", "content": "Name it."}, ...]}, also
                          "conversations" with "from" and "value" ("human", "gpt") for their keys

Both as JSON lines or as one JSON array. A conversation is system? (user assistant)+.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from polylm_jax.errors import InputError, Refusal
from polylm_jax.runtime.text_files import MARK
from polylm_jax.runtime.text_lines import NOT_UTF8, parse_json
from polylm_jax.text import instruction_defects
from polylm_jax.text.held_out import normalise
from polylm_jax.text.instruction_words import is_no_input
from tasks.sources import files, lines
from tasks.sources.text_formats import BadLine, Columns, Reader, Record

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ROLES = {"human": USER, "gpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT}
CONVERSATION = "conversation"

Message = tuple[str, str]  # role, content


@dataclass(frozen=True)
class Conversations(Reader):
    """Records or chats; the column is a conversation as JSON, [[role, content], ...].

    clean: leaves out what `instruction_defects.reason` names; each is counted and quarantined.
    joint: what stands between an instruction and its input.
    """

    columns: Columns = field(default_factory=lambda: {CONVERSATION: CONVERSATION})
    clean: bool = True
    joint: str = "\n"

    def read(self, unit: lines.Range, bad: BadLine) -> Iterator[Record]:
        (name,) = self.columns
        for number, raw, parsed in _objects(unit):
            found = self._conversation(parsed) if isinstance(parsed, dict) else parsed
            if isinstance(found, str):
                bad(unit.path, number, found, raw)
                continue
            identifier = parsed.get(self.id) if self.id else None
            said = next(content for role, content in found if role == USER)
            group = str(identifier) if isinstance(identifier, str | int) else normalise(said)
            yield {name: json.dumps(found, ensure_ascii=False), "group": group}

    def _conversation(self, parsed: Mapping) -> list[Message] | str:
        """The conversation of a record, or the reason why there is none."""
        if "instruction" in parsed:
            if self.clean and (reason := instruction_defects.reason(parsed)):
                return Refusal(reason)
            return from_alpaca(parsed, self.joint)
        return from_chat(parsed)


def from_alpaca(record: Mapping, joint: str = "\n") -> list[Message] | str:
    """Of {"instruction", "input", "output"}: one question and its answer.

    >>> from_alpaca({"instruction": "Add.", "input": "1, 2", "output": "3"})
    [('user', 'Add.\\n1, 2'), ('assistant', '3')]
    """
    for name in ("instruction", "output"):
        if not isinstance(record.get(name), str) or not record[name].strip():
            return f"no text in field {name!r}"
    given = record.get("input")
    if given is not None and not isinstance(given, str):
        return "field 'input' is neither text nor null"
    question = record["instruction"]
    if given is not None and not is_no_input(given):
        question += joint + given
    return [(USER, question), (ASSISTANT, record["output"])]


def from_chat(record: Mapping) -> list[Message] | str:
    """Of {"messages": [...]} or {"conversations": [...]}; what follows the last answer is left out."""
    turns = record.get("messages", record.get("conversations"))
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        return "no 'instruction', no 'messages' and no 'conversations'"
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            return "a message is no JSON object"
        role = turn.get("role", turn.get("from"))
        content = turn.get("content", turn.get("value"))
        if not isinstance(role, str) or not isinstance(content, str) or not content.strip():
            return "a message has no role or no text"
        messages.append((ROLES.get(role, role), content))
    while messages and messages[-1][0] != ASSISTANT:
        messages.pop()
    turns_of = messages[1:] if messages and messages[0][0] == SYSTEM else messages
    expected = [(USER, ASSISTANT)[n % 2] for n in range(len(turns_of))]
    if not turns_of or [role for role, _ in turns_of] != expected:
        return f"the roles are {[role for role, _ in messages]}, not user and assistant in turn"
    return messages


def _objects(unit: lines.Range) -> Iterator[tuple[int, bytes, dict | str]]:
    """(line or item, its bytes, the parsed object or what is wrong) of JSON lines or an array."""
    if unit.start == 0 and _is_array(unit.path):
        yield from _items(unit.path)
        return
    first = lines.first_line_number(unit)
    for index, raw in enumerate(lines.read_lines(unit)):
        if raw.strip() and not (unit.start and _is_array(unit.path)):
            yield first() + index, raw, parse_json(raw)


def _is_array(path: str) -> bool:
    with files.open_text(path) as file:
        return file.read(64).removeprefix(MARK).lstrip()[:1] == b"["


def _items(path: str) -> Iterator[tuple[int, bytes, dict | str]]:
    with files.open_bytes(path) as file:
        raw = file.read().replace(MARK, b"")
    try:
        found = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise InputError(f"file {path!r} is {NOT_UTF8}: write it in UTF-8.") from error
    except ValueError as error:
        raise InputError(
            f"file {path!r} is not a JSON array ({error}): mend it, or give one object a line."
        ) from error
    for number, item in enumerate(found, 1):
        shown = json.dumps(item, ensure_ascii=False).encode("utf-8", "backslashreplace")
        yield number, shown, item if isinstance(item, dict) else "not a JSON object"
