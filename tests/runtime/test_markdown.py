"""Tables in Markdown: a cell stays one cell, whatever stands in it."""

from polylm_jax.runtime.markdown import table


def test_bars_and_line_ends_stay_in_their_cell():
    lines = table(["a|b", "n"], [["x\ny", "1.20"], ["|", ""]], words=1).splitlines()
    assert len(lines) == 4 and lines[1].rstrip("|").endswith("-:")
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)
    assert "x<br>y" in lines[2] and "1.20" in lines[2]


def test_numbers_are_written_as_they_are_given():
    assert "1.50" in table(["n"], [["1.50"]]) and "1e3" in table(["n"], [["1e3"]])
