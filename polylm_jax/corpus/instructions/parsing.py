"""An answer as tasks: each part a task or the reason why it is none; what the model thought before is left out."""

import regex

from polylm_jax.corpus.instructions import refusals
from polylm_jax.corpus.instructions.answers import FILTERED, LENGTH
from polylm_jax.corpus.instructions.headings import Part, groups
from polylm_jax.corpus.instructions.prompts import ASKED
from polylm_jax.corpus.instructions.task import Task
from polylm_jax.text.instruction_words import FIELDS, NO_INPUT, bare, is_no_input

EMPTY, REFUSED, NO_TASK = "empty answer", "refusal", "no task in the template"
THOUGHT = "reasoning that came to no answer"
CUT_OFF, STOPPED = "cut off at the token limit", "stopped by the endpoint's filter"
# Where a model's reasoning begins and ends, by whose template it is. What closes alone was opened by the
# prompt's template; of names that a task may speak of both ends must be there.
_NAME = (
    r"(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|plan|planning|inner_monologue|"
    r"longcat_think|(?:seed|mm):think)"
)
_OPENS = regex.compile(
    rf"\s*(?:<{_NAME}>|<\|{_NAME}\|>|<\|begin_of_thought\|>|<unused94>|\[THINK\]|◁think▷)", regex.IGNORECASE
)  # fmt: skip
_OPENS_WITHIN = regex.compile(_OPENS.pattern.replace("\\s*", "", 1), regex.IGNORECASE)
_ALONE = (
    r"</(?:think|thinking|thought|reasoning|seed:think)>|\[/THINK\]|◁/think▷"
    r"|<\|channel\|>final<\|message\|>|<\|END_THINKING\|>"
)
_CLOSES_ALONE = regex.compile(_ALONE, regex.IGNORECASE)
_CLOSES = regex.compile(
    rf"{_ALONE}|</{_NAME}>|<\|/{_NAME}\|>|<\|end_of_thought\|>|<unused95>", regex.IGNORECASE
)
_FRAMED = regex.compile(  # what some put round the answer that follows
    r"\s*<(\|begin_of_solution\||answer|response|output)>(?P<said>.*?)(?:</\1>|<\|end_of_solution\|>)?\s*",
    regex.IGNORECASE | regex.DOTALL,
)
MORE, ORDER = "more tasks than asked for", "numbering out of order"
MISSING = "a part of the task is missing"
TWICE = "a part of the task comes twice"

Parsed = tuple[Task | None, str]  # a task and '', or None and the reason


def parse(text: str, finish: str = "stop") -> list[Parsed]:
    """The tasks of an answer, in order.

    finish: why the model ended: 'length' costs the answer its last task (paper, appendix A).
    """
    if finish == FILTERED:
        return [(None, STOPPED)]
    said = _said(text)
    if not said:
        reason = THOUGHT if text.strip() else EMPTY
        return [(None, CUT_OFF if finish == LENGTH else reason)]
    tasks = groups(said)
    if not tasks:
        return [(None, REFUSED if refusals.is_one(said) else NO_TASK)]
    found: list[Parsed] = []
    before = 0
    for place, (number, parts) in enumerate(tasks):
        last = place == len(tasks) - 1
        if last and finish == LENGTH:
            found.append((None, CUT_OFF))
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
    said = _said(text)
    tasks = groups(said)
    if not tasks:
        return None, REFUSED if refusals.is_one(said) else NO_TASK
    if len(tasks) > 1:
        return None, MORE
    parts = tasks[0][1]
    if keep:
        parts = [p for p in parts if p[0] == "instruction"]
        parts += [("input", original.input or NO_INPUT), ("output", original.output)]
    task, reason = _task(parts)
    if task and bool(task.input) != bool(original.input):
        return None, "an input that the original lacks, or none where it has one"
    return task, reason


def _said(text: str) -> str:
    """What an answer says once the model has thought, with plain line ends.

    A model's reasoning stands before all else, opened by the answer or by the prompt's template.
    """
    text = text.replace("\r\n", "\n")
    text = text if "\n" in text else text.replace("\r", "\n")  # else one within a line hides it
    opened = _OPENS.match(text)
    closes = _CLOSES if opened else _CLOSES_ALONE
    ends = [mark.end() for mark in closes.finditer(text)]
    if ends and (opened or not _OPENS_WITHIN.search(text)):
        text = text[ends[-1] :]
    elif opened:
        return ""
    framed = _FRAMED.fullmatch(text)
    return (framed["said"] if framed else text).strip()


def _task(parts: list[Part]) -> Parsed:
    names = [name for name, _ in parts]
    if len(set(names)) != len(names):
        return None, TWICE
    if tuple(names) != FIELDS:
        return None, MISSING
    fields = dict(parts)
    for name in FIELDS:
        if not fields[name]:
            return None, f"the {name} is empty"
    if bare(fields["output"]) == bare(NO_INPUT):
        return None, "the output is empty"
    if is_no_input(fields["input"]):
        fields["input"] = ""
    return Task(**fields), ""
