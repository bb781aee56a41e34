"""A picture per benchmark: our numbers as bars over the languages' codes, the paper's as marks."""

import pathlib
from collections.abc import Sequence

from polylm_jax.evaluation.report import FEW, Subject
from polylm_jax.evaluation.tables import Line, Table

MARKS = ("D", "o", "s", "^", "v", "P", "X", "*", "<", ">")
WIDTH = 0.8  # of a language's bars together
WIDEST = 14.0  # inches
APART = 0.16  # between the marks of a language


def draw(subject: Subject, table: Table, path: pathlib.Path) -> None:
    """Writes a PNG; axes are labelled with language codes, which every font has."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = shown(table)
    places = range(len(table.languages))
    wide = 1.6 + 0.75 * len(table.languages)
    figure = Figure(figsize=(min(max(5.0, wide), WIDEST), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    width = WIDTH / len(lines)
    for number, line in enumerate(lines):
        left = [place - WIDTH / 2 + width * (number + 0.5) for place in places]
        bars = axes.bar(left, _heights(line, table), width, label=line.label, zorder=2)
        for code, bar in zip(table.languages, bars, strict=True):
            if code in line.silent:
                bar.set_color("#cccccc")
            if code in line.few and code in line.cells:  # pale, and marked as in the table
                bar.set_alpha(0.25)
                axes.annotate(FEW, (bar.get_x() + width / 2, bar.get_height()), ha="center")
    for number, (mark, line) in enumerate(zip(MARKS, table.theirs, strict=False)):
        aside = APART * (number - (len(table.theirs) - 1) / 2)  # so that none hides another
        axes.plot(
            [place + aside for place in places], _heights(line, table), mark, label=line.label,
            color="black", markerfacecolor="white", markersize=6, zorder=4,
        )  # fmt: skip
    if table.guessing is not None:
        axes.axhline(table.guessing, color="black", linestyle=":", label="guessing", zorder=3)
    axes.set_xticks([*places], table.languages, rotation=90 if wide > WIDEST else 0)
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_ylabel("bits per byte" if table.in_bits else "percent")
    axes.set_title(f"{table.benchmark or 'held-out text'}: {subject.name}")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#dddddd", zorder=0)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")  # a legend may be wider than the axes


def shown(table: Table) -> Sequence[Line]:
    """The lines that become bars: every way of asking by the metric of the headline's name."""
    metric = table.headline.label.partition(",")[0]
    same = [line for line in table.ours if line.label.partition(",")[0] == metric]
    return same or [table.headline]


def _heights(line: Line, table: Table) -> list[float]:
    return [line.cells.get(code, float("nan")) for code in table.languages]
