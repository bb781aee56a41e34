"""What an evaluation found, as JSON and as Markdown: languages as columns, the paper's rows beside ours."""

import dataclasses
from collections.abc import Iterable, Sequence

from polylm_jax.evaluation import published
from polylm_jax.evaluation.other_results import Other
from polylm_jax.evaluation.protocol import ROLLING
from polylm_jax.evaluation.result import FEWEST, TEXT, Result
from polylm_jax.evaluation.tables import Line, Table, average, tables
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime.markdown import table as markdown_table

GAP, FEW = "–", "†"
GREY = '<span style="color: #aaaaaa">{}</span>'  # of a task that says nothing
LEGEND = (
    "Numbers are percent except bits. Averages are unweighted, over the languages shown (pairs and "
    "code aside, of held-out text). Items that don't fit the model's positions are counted as too "
    f"long and aren't in the numbers. A number with {FEW} is of fewer than {FEWEST} items, or of fewer "
    "than half of its task's: its language is in no average of that table. Grey is a task of which "
    "`signal` says that it tells nothing. The paper's rows are of arXiv 2307.06018, appendix C: its base "
    "models are zero-shot in classification and one-shot in generation, its tuned ones zero-shot."
)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What was evaluated. parameters: their number. vocabulary: SHA-256 of its file."""

    name: str
    path: str
    step: int
    identity: str
    parameters: int
    dtype: str
    vocabulary: str


def as_json(subject: Subject, results: Iterable[Result]) -> dict:
    """Everything, as plain values."""
    tasks = {result.task: result.as_dict() for result in results}
    return {"checkpoint": dataclasses.asdict(subject), "tasks": tasks}


def markdown(
    subject: Subject,
    results: Sequence[Result],
    rows: Sequence[str] = published.BASE,
    beside: Sequence[Other] = (),
    first: Sequence[str] = (),
) -> str:
    """The report: a section per benchmark, after those that are given first."""
    made = tables(results, rows, beside)
    parts = [f"# {subject.name}", _subject_line(subject), LEGEND, *first]
    for table in made:
        parts += [f"## {table.benchmark or 'held-out text'}", _grid(subject, table), _notes(table)]
    return "\n\n".join([*parts, _uncovered(made)]) + "\n"


def _subject_line(subject: Subject) -> str:
    return (
        f"`{subject.path}`, step {subject.step}, {subject.parameters:,} parameters, products in "
        f"{subject.dtype}; checkpoint {subject.identity[:12]}, vocabulary {subject.vocabulary[:12]}."
    )


def _grid(subject: Subject, table: Table) -> str:
    head = ["", "split", "items", *table.languages, "average"]
    lines = []
    for line in table.ours:
        digits = 3 if line.label.startswith(("bits", "nats")) else table.digits
        cells = [marked(line, code, digits) for code in table.languages]
        cells.append(cell(average(line.cells, table.averaged), digits))
        if line.headline:
            cells = [f"**{cell}**" if cell != GAP else cell for cell in cells]
        lines.append([f"{subject.name}: {line.label}", line.split, line.items, *cells])
    for line in table.theirs:
        cells = [marked(line, code, table.digits) for code in table.languages]
        mean = cell(average(line.cells, table.averaged), table.digits)
        lines.append([line.label, "", "", *cells, mean])
    if table.guessing is not None:
        guess = [cell(table.guessing, 1)] * (len(table.languages) + 1)
        lines.append(["guessing", "", "", *guess])
    return markdown_table(head, lines, words=2)


def cell(value: float | None, digits: int) -> str:
    return GAP if value is None else f"{value:.{digits}f}"


def marked(line: Line, code: str, digits: int) -> str:
    """A line's number of a language, marked where it is of few items, grey where it says nothing."""
    text = cell(line.cells.get(code), digits) + FEW * (code in line.few and code in line.cells)
    return GREY.format(text) if code in line.silent else text


def _notes(table: Table) -> str:
    """What each task was scored on, and how; tasks of which the same is true stand together."""
    said: dict[str, list[str]] = {}
    for result in table.results:
        text = f"{_counted(result)}; {_described(result)}"
        said.setdefault(text, []).append(f"`{result.task}`")
    return "\n".join(f"- {', '.join(names)}: {text}" for text, names in said.items())


def _described(result: Result) -> str:
    rules = result.protocol
    if rules.kind == TEXT:
        return f"{rules.split} split, each document after EOS, its own EOS among the nats"
    if rules.kind == ROLLING:
        return f"{rules.split} split, each document after EOS"
    return rules.describe()


def _counted(result: Result) -> str:
    items = f"{result.items:,} item{'s' * (result.items != 1)}"
    published_items = result.protocol.items
    if published_items is not None and published_items != result.items:
        items += f" of the {published_items:,} published"
    few = f", {result.items - result.too_long:,} scored {FEW}" if result.few else ""
    return f"{items}, {result.too_long:,} too long{few}"


def _uncovered(made: Sequence[Table]) -> str:
    """No benchmark covers three of the 18 languages: what stands in for them, or doesn't."""
    names = [LANGUAGES[code].name for code in published.UNCOVERED]
    texts = [table for table in made if table.in_bits]
    have = {c for c in published.UNCOVERED for table in texts if c in table.headline.cells}
    missing = [LANGUAGES[code].name for code in published.UNCOVERED if code not in have]
    said = (
        f"No benchmark of the paper covers {', '.join(names[:-1])} or {names[-1]}: bits per byte of "
        "held-out text stands in"
    )
    return f"{said}." if not missing else f"{said}; not measured here: {', '.join(missing)}."
