"""Answers as models lay them out: each is read as the tasks that it holds, and nothing else comes with them."""

import pytest

from polylm_jax.corpus.instructions import parsing
from polylm_jax.corpus.instructions.checks import Checker
from polylm_jax.corpus.instructions.rounds import judged
from polylm_jax.corpus.instructions.task import Task
from polylm_jax.languages.registry import PAPER_CODES, find
from polylm_jax.text.instruction_words import HEADINGS, NOTHING_IN, says_nothing

TASKS = (
    Task("Add the numbers.", "1, 2", "They make three.\n\n- one\n- two"),
    Task("Name a bird.", "", "A heron."),
    Task("Say what 2. Input: means.", "x", "4"),
)


def laid_out(form, headings=("Instruction", "Input", "Output"), between="\n"):
    """The three tasks, numbered from 4; form has {n}, {f} and {text}."""
    return between.join(
        form.format(n=n, f=field, text=text)
        for n, task in enumerate(TASKS, 4)
        for field, text in zip(headings, (task.instruction, task.input or "<noinput>", task.output))
    )


FORMS = {
    "as asked for": "{n}. {f}: {text}",
    "bold": "**{n}. {f}:** {text}",
    "bold, the colon outside": "**{n}. {f}**: {text}",
    "a title": "### {n}. {f}:\n{text}",
    "bold on a line of its own": "**{n}. {f}**\n{text}",
    "a bullet": "- {n}. {f}: {text}",
    "an escaped point": "{n}\\. {f}: {text}",
    "a bracket": "{n}) {f}: {text}",
    "in brackets": "({n}) {f}: {text}",
    "the number after": "{f} {n}: {text}",
    "the number after, bold": "**{f} {n}:** {text}",
    "the number after a sign": "{f} #{n}: {text}",
    "a mark of direction before": "\u200f{n}. {f}: {text}",
    "wide": "{n}．{f}：{text}",
    "a dash for the colon": "{n}. {f} - {text}",
    "a sign and no point": "#{n} {f}: {text}",
    "number and word bold, each": "**{n}.** **{f}:** {text}",
    "HTML": "<b>{n}. {f}:</b> {text}",
    "the number in a key": "{n}\ufe0f\u20e3 {f}: {text}",
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_layout_is_read(name, end):
    text = laid_out(FORMS[name]).replace("\n", end)
    assert parsing.parse(text) == [(task, "") for task in TASKS]


@pytest.mark.parametrize("code", HEADINGS)
@pytest.mark.parametrize("form", ["{n}. {f}: {text}", "{f} {n}: {text}"])
def test_headings_are_read_in_the_language_asked_for(code, form):
    """Each word of the table, with a capital as models write it."""
    words = [alternatives.split("|") for alternatives in HEADINGS[code]]
    for place in range(max(map(len, words))):
        headings = [one[min(place, len(one) - 1)].capitalize() for one in words]
        assert parsing.parse(laid_out(form, headings)) == [(task, "") for task in TASKS], headings


def test_the_papers_languages_have_headings():
    assert set(PAPER_CODES) <= set(HEADINGS) and set(PAPER_CODES) <= set(NOTHING_IN)


@pytest.mark.parametrize("form", ["{n}. {f}: {text}", "{f} {n}: {text}"])
def test_headings_without_a_table_are_the_three_most_common(form):
    for headings in (
        ("Maelekezo", "Ingizo", "Tokeo"),  # Swahili
        ("Задание", "Входные данные", "Ответ"),  # of which the table has one
        ("Consigne", "Entrée", "Réponse"),
    ):
        assert parsing.parse(laid_out(form, headings)) == [(task, "") for task in TASKS]


def test_digits_of_any_script_are_numbers():
    text = laid_out("{n}. {f}: {text}").translate(str.maketrans("456", "٤٥٦"))
    assert parsing.parse(text)[1] == (TASKS[1], "")


@pytest.mark.parametrize("headings", [("Instruction", "Input", "Output"), HEADINGS["ko"]])
def test_unnumbered_parts_belong_to_the_one_before(headings):
    first, *rest = (one.split("|")[0] for one in headings)
    text = "\n".join(
        f"{n}. {first}: {task.instruction}\n{rest[0]}: {task.input or '<noinput>'}\n{rest[1]}: {task.output}"
        for n, task in enumerate(TASKS, 4)
    )
    assert parsing.parse(text) == [(task, "") for task in TASKS]
    counted = "\n".join(line.partition(". ")[2] if line[:2] in ("4.", "5.", "6.") else line for line in text.split("\n"))  # fmt: skip
    assert parsing.parse(counted) == [(task, "") for task in TASKS]


def test_a_numbered_part_is_not_cut_at_a_heading_within_it():
    task = Task("Read the program's help.", "", "Usage:\nInput: a file\nOutput: a number")
    text = f"4. Instruction: {task.instruction}\n4. Input: <noinput>\n4. Output: {task.output}"
    assert parsing.parse(text) == [(task, "")]


@pytest.mark.parametrize("rule", ["---", "***", "* * *", "_____", "===", "—————", "\n---\n\n---\n"])
def test_a_rule_between_tasks_is_no_text(rule):
    text = laid_out("{n}. {f}: {text}", between=f"\n{rule}\n") + f"\n{rule}"
    assert parsing.parse(text) == [(task, "") for task in TASKS]


def test_titles_of_tasks_and_a_fence_round_all_are_no_text():
    one = laid_out("{n}. {f}: {text}").replace("5. Inst", "### Task 5\n5. Inst").replace("6. Inst", "**6**\n6. Inst")  # fmt: skip
    assert parsing.parse(f"Here you are:\n```\n{one}\n```") == [(task, "") for task in TASKS]
    inside = Task("Write code.", "", "```\nx = 1\n```")
    text = f"4. Instruction: {inside.instruction}\n4. Input: none\n4. Output:\n{inside.output}"
    assert parsing.parse(text) == [(inside, "")]


THOUGHT = "4. Instruction: Draft?\n4. Input:\n<noinput>\n4. Output:\nNo, better not.\n"


@pytest.mark.parametrize(
    "before",
    [
        f"<think>\n{THOUGHT}</think>\n",
        f"{THOUGHT}</think>\n\n",
        f"<thinking>{THOUGHT}</thinking>",
        f"[THINK]{THOUGHT}[/THINK]",
        f"<think>a</think>\n{THOUGHT}<think>b</think>",
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>",
        f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n\n",
        f"<analysis>\n{THOUGHT}</analysis>\n",
        f"<scratchpad>{THOUGHT}</scratchpad>",
        f"<|thinking|>{THOUGHT}<|/thinking|>",
        f"<unused94>thought\n{THOUGHT}<unused95>",
        f"<mm:think>{THOUGHT}</mm:think>",
    ],
)
def test_a_models_thoughts_stay_out(before):
    assert parsing.parse(before + laid_out(FORMS["as asked for"])) == [(task, "") for task in TASKS]
    keep = parsing.parse_translation(f"{before}1. Instruction: Wähle.", True, TASKS[0])
    assert keep == (Task("Wähle.", TASKS[0].input, TASKS[0].output), "")


def test_thought_that_comes_to_no_end_is_no_answer():
    assert parsing.parse(f"<think>\n{THOUGHT}") == [(None, parsing.THOUGHT)]
    assert parsing.parse(f"<think>\n{THOUGHT}", "length") == [(None, parsing.CUT_OFF)]


def test_a_frame_round_the_answer_is_no_text():
    told = laid_out(FORMS["as asked for"])
    for before, after in (
        ("<answer>", "</answer>"),
        (
            f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|><|begin_of_solution|>",
            "<|end_of_solution|>",
        ),
    ):
        assert parsing.parse(f"{before}\n{told}\n{after}") == [(task, "") for task in TASKS]
    asked = Task("Put the plan into tags.", "", "<plan>Walk.</plan>")
    text = f"4. Instruction: {asked.instruction}\n4. Input: none\n4. Output: {asked.output}"
    assert parsing.parse(text) == [(asked, "")]


def test_thought_within_a_task_is_refused_as_it_came():
    text = laid_out(FORMS["as asked for"]).replace("A heron.", "A <think>hm</think> heron.")
    checker = Checker(find("en"))
    refused = judged(text, "stop", checker)["refused"]
    assert ("a special token", "Name a bird.") in refused


@pytest.mark.parametrize("code", NOTHING_IN)
def test_an_input_in_words_that_there_is_none_is_none(code):
    for word in NOTHING_IN[code]:
        for said in (word, word.capitalize() + ".", f"({word})", f"Input: {word}"):
            assert says_nothing(said), said
            text = f"4. Instruction: Do it.\n4. Input: {said}\n4. Output: Done."
            assert parsing.parse(text) == [(Task("Do it.", "", "Done."), "")]


@pytest.mark.parametrize(
    "text",
    ["Nothing compares to you.", "no", "non", "12", "無人島", "Нет времени", "없음표", "x/a"],
)
def test_what_only_begins_like_nothing_is_an_input(text):
    assert not says_nothing(text)
