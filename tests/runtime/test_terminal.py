"""What a run prints: one plain line a report in a file, numbers that a person reads."""

import pytest

from polylm_jax.languages.labels import isolated
from polylm_jax.runtime.terminal import Terminal, count

REPORT = {
    "phase": "one",
    "loss": 3.14159,
    "learning_rate": 6e-5,
    "grad_norm": 0.5,
    "tokens_per_second": 123456.0,
}


@pytest.mark.parametrize(
    ("number", "text"),
    [(7, "7"), (9999, "9999"), (12_345, "12.3k"), (13_906_790_400, "13.9B"), (6.38e11, "638B")],
)
def test_counts_are_short(number, text):
    assert count(number) == text


def test_a_file_gets_lines_and_no_control_characters(capsys):
    terminal = Terminal(total_steps=20, step=0)
    with terminal.timed("compiling"), terminal.running():
        terminal.step(10, REPORT)
        terminal.step(20, REPORT | {"mfu": 0.5})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling ..."
    assert lines[1] == "step 10/20  one  loss 3.1416  lr 6.00e-05  norm 0.50  123k tokens/s"
    assert lines[2].endswith("MFU 50.0%")
    assert lines[3].startswith("compiling: ")
    assert "\x1b" not in "".join(lines)


def test_a_line_says_where_the_time_went(capsys):
    seconds = {"all": 20.0, "data": 0.1, "checkpoint": 1.9}
    Terminal(total_steps=20, step=0).step(10, REPORT | {"seconds": seconds})
    assert capsys.readouterr().out.endswith("time: step 90.0%, data 0.5%, checkpoint 9.5%\n")
    seconds = {"all": 20.0, "checkpoint": 2.0}
    Terminal(total_steps=20, step=0).step(10, REPORT | {"seconds": seconds})
    assert capsys.readouterr().out.endswith("time: step 90.0%, data 0.0%, checkpoint 10.0%\n")


def test_processes_that_do_not_lead_are_silent(capsys):
    terminal = Terminal(total_steps=20, step=0, enabled=False)
    with terminal.timed("compiling"), terminal.running():
        terminal.step(10, REPORT)
        terminal.line("hello")
    assert capsys.readouterr().out == ""


def test_right_to_left_text_keeps_to_itself():
    assert isolated("עברית") == "\u2068עברית\u2069"
