"""An answer as tasks: split at the template's headings, each part a task or the reason why it is none."""

import regex

from polylm_jax.corpus.instructions import refusals
from polylm_jax.corpus.instructions.prompts import ASKED
from polylm_jax.corpus.instructions.task import NO_INPUT, Task

FIELDS = ("instruction", "input", "output")
# "4. Instruction: ...", as some models write it: "**4. Instruction:** ...".
HEADING = regex.compile(
    r"^[ \t*_#>]*(\d{1,3})[ \t]*[.)．。][ \t*_]*(Instruction|Input|Output)[ \t*_]*[:：][*_]*[ \t]*",
    regex.MULTILINE | regex.IGNORECASE,
)
EMPTY, REFUSED, NO_TASK = "empty answer", "refusal", "no task in the template"
LENGTH, FILTERED = "cut off at the token limit", "stopped by the endpoint's filter"
MORE, ORDER = "more tasks than asked for", "numbering out of order"
MISSING = "a part of the task is missing"
TWICE = "a part of the task comes twice"

Parsed = tuple[Task | None, str]  # a task and '', or None and the reason


def parse(text: str, finish: str = "stop") -> list[Parsed]:
    """The tasks of an answer, in order.

    finish: why the model ended: 'length' costs the answer its last task (paper, appendix A).
    """
    if finish == "content_filter":
        return [(None, FILTERED)]
    if not text.strip():
        return [(None, EMPTY)]
    groups = _grouped(text)
    if not groups:
        return [(None, REFUSED if refusals.is_one(text) else NO_TASK)]
    found, before = [], 0
    for place, (number, parts) in enumerate(groups):
        last = place == len(groups) - 1
        if last and finish == "length":
            found.append((None, LENGTH))
        elif number <= before:
            found.append((None, ORDER))
        elif place >= ASKED:
            found.append((None, MORE))
        else:
            found.append(_task(parts))
        before = max(before, number)
    return found


def parse_translation(text: str, keep: bool, original: Task) -> Parsed:
    """The translated seed in an answer; its input and output are the original's if `keep`."""
    groups = _grouped(text)
    if not groups:
        return None, REFUSED if refusals.is_one(text) else NO_TASK
    if len(groups) > 1:
        return None, MORE
    parts = groups[0][1]
    if keep:
        parts = [p for p in parts if p[0] == "instruction"]
        parts += [("input", original.input or NO_INPUT), ("output", original.output)]
    task, reason = _task(parts)
    if task and bool(task.input) != bool(original.input):
        return None, "an input that the original lacks, or none where it has one"
    return task, reason


def _grouped(text: str) -> list[tuple[int, list[tuple[str, str]]]]:
    """[(number, [(field, content)])]: a new group where a number or an instruction begins."""
    marks = [*HEADING.finditer(text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    groups: list[tuple[int, list]] = []
    for mark, end in zip(marks, ends):
        number, field = int(mark[1]), mark[2].lower()
        content = text[mark.end() : end].strip()
        if not groups or number != groups[-1][0] or field == "instruction":
            groups.append((number, []))
        groups[-1][1].append((field, content))
    return groups


def _task(parts: list[tuple[str, str]]) -> Parsed:
    names = [name for name, _ in parts]
    if len(set(names)) != len(names):
        return None, TWICE
    if tuple(names) != FIELDS:
        return None, MISSING
    fields = dict(parts)
    if not fields["instruction"]:
        return None, "the instruction is empty"
    if not fields["input"]:
        return None, "the input is empty"
    if not fields["output"]:
        return None, "the output is empty"
    if fields["output"].strip(".").lower() == NO_INPUT:
        return None, "the output is empty"
    if fields["input"].strip('.*"').lower() == NO_INPUT:
        fields["input"] = ""
    return Task(**fields), ""
