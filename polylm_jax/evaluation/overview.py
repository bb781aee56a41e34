"""All benchmarks in one table, languages as columns, a row per checkpoint: before the single ones."""

from collections.abc import Sequence

from polylm_jax.evaluation.report import FEW, GREY, Subject, cell
from polylm_jax.evaluation.tables import Line, Table, average
from polylm_jax.languages import labels
from polylm_jax.runtime import markdown

ANSWERS = "bits per byte of the right answer"


def section(subject: Subject, tables: Sequence[Table]) -> list[str]:
    """The heading and the table; nothing for fewer than two benchmarks, or pairs of languages alone."""
    alone = [table for table in tables if table.benchmark and not _pairs(table)]
    if len(alone) < 2:
        return []
    languages = labels.in_order({code for table in alone for code in table.languages})
    head = ["benchmark", "checkpoint", "metric", *languages, "average"]
    rows = [cells for table in alone for cells in _rows(subject, table, languages)]
    return ["## All benchmarks", markdown.table(head, rows, words=3)]


def _pairs(table: Table) -> bool:
    return any("-" in code for code in table.languages)


def _rows(subject: Subject, table: Table, languages: Sequence[str]) -> list[list[str]]:
    metric = table.headline.label.partition(",")[0]
    rows = [_one(table, subject.name, metric, table.headline, table.digits, languages)]
    rows += [
        _one(table, line.label, metric, line, table.digits, languages) for line in table.theirs
    ]
    if table.guessing is not None:
        guess = dict.fromkeys(table.languages, table.guessing)
        rows.append(_one(table, "guessing", metric, Line("", "", "", guess), 1, languages))
    answers = [line for line in (*table.ours, *table.others) if line.label.startswith(ANSWERS)]
    for line in answers[: 1 + len(table.others)]:
        name = line.label.partition(": ")[2] or subject.name
        rows.append(_one(table, name, ANSWERS, line, 3, languages))
    return [[table.benchmark if not number else "", *cells] for number, cells in enumerate(rows)]


def _one(
    table: Table, name: str, metric: str, line: Line, digits: int, languages: Sequence[str]
) -> list[str]:
    cells = [
        cell(line.cells.get(code), digits) + FEW * (code in line.few)
        if code in table.languages
        else ""
        for code in languages
    ]
    cells = [
        GREY.format(one) if code in line.silent else one
        for code, one in zip(languages, cells, strict=True)
    ]
    return [name, metric, *cells, cell(average(line.cells, table.averaged), digits)]
