"""All benchmarks in one table, languages as columns, a row per checkpoint: before the single ones."""

from collections.abc import Mapping, Sequence

from polylm_jax.evaluation.report import Subject, cell, marked
from polylm_jax.evaluation.tables import Line, Table, average
from polylm_jax.languages import labels
from polylm_jax.runtime import markdown

ANSWERS = "bits per byte of the right answer"


def section(subject: Subject, tables: Sequence[Table]) -> list[str]:
    """The heading and the table; nothing for fewer than two benchmarks.

    Translation stands there in two rows, from English and to English, under its other language.
    """
    alone = [one for table in tables if table.benchmark for one in _by_language(table)]
    if len({table.benchmark for table in alone}) < 2:
        return []
    languages = labels.in_order({code for table in alone for code in table.languages})
    head = ["benchmark", "checkpoint", "metric", *languages, "average"]
    rows = [cells for table in alone for cells in _rows(subject, table, languages)]
    return ["## All benchmarks", markdown.table(head, rows, words=3)]


def _by_language(table: Table) -> list[Table]:
    """Itself, or one for each direction of a table of pairs with English."""
    if not any("-" in code for code in table.languages):
        return [table]
    pairs = [code.split("-") for code in table.languages if code.count("-") == 1]
    directions = {
        "from en": {f"en-{target}": target for source, target in pairs if source == "en"},
        "to en": {f"{source}-en": source for source, target in pairs if target == "en"},
    }
    return [_named(table, name, codes) for name, codes in directions.items() if codes]


def _named(table: Table, direction: str, codes: Mapping[str, str]) -> Table:
    """The table of some of its pairs, each under one language."""

    def lines(some: Sequence[Line]) -> list[Line]:
        return [
            line._replace(
                cells={codes[pair]: value for pair, value in line.cells.items() if pair in codes},
                few=frozenset(codes[pair] for pair in line.few if pair in codes),
                silent=frozenset(codes[pair] for pair in line.silent if pair in codes),
            )
            for line in some
        ]

    return table._replace(
        benchmark=f"{table.benchmark}, {direction}", languages=labels.in_order(codes.values()),
        ours=lines(table.ours), theirs=lines(table.theirs), others=lines(table.others),
    )  # fmt: skip


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
    cells = [marked(line, code, digits) if code in table.languages else "" for code in languages]
    return [name, metric, *cells, cell(average(line.cells, table.averaged), digits)]
