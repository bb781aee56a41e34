"""The pictures of a report, narrow enough for a phone: curves, differences, tokens per language.

Axes and legends carry language codes and variants' names, which every font has.
"""

import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polylm_jax.ablation import wording
from polylm_jax.ablation.comparison import Records, larger_is_better
from polylm_jax.languages.labels import in_order

SIZE = (5.4, 3.4)  # inches: 390 points, the width of a phone
COLOURS = [*matplotlib.color_sequences["tab10"], *matplotlib.color_sequences["Set2"]]
AVERAGE = "bits_per_byte/average"
FRONTIER = ("bits_per_byte/en", "bits_per_byte/not_english")
MOST_BANDS = 20  # languages of their own colour; more are pooled as 'others'


def new(height: float = SIZE[1]) -> tuple[Figure, Axes]:
    """A figure of one panel, as wide as a phone."""
    figure, (axes,) = grid(1, 1, height)
    return figure, axes


def grid(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of several panels, row by row."""
    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels:
        panel.grid(color="#e4e4e4", zorder=0)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def legend(figure: Figure, columns: int = 2) -> None:
    """Below the panels."""
    figure.legend(loc="outside lower center", ncols=columns, fontsize="small", frameon=False)


def svg(figure: Figure, name: str) -> str:
    """The figure as markup for a page; its text stays text."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[2].join(("<svg", ""))


def png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


def curves(records: Records, of: Callable, label: str) -> Figure | None:
    """A line per variant, the mean over its seeds, and a band from the lowest to the highest.

    of(record) -> (tokens, values) of a run.
    """
    figure, axes = new(3.9)
    drawn = False
    for number, (name, runs) in enumerate(records.items()):
        found = [dict(zip(*of(record), strict=True)) for record in runs.values()]
        found = [curve for curve in found if curve]
        places = sorted(set.intersection(*map(set, found))) if found else []
        if not places:
            continue
        values = np.array([[curve[place] for place in places] for curve in found])
        colour = COLOURS[number % len(COLOURS)]
        style = "-" if number < len(COLOURS) else "--"
        axes.plot(places, values.mean(axis=0), style, color=colour, label=name, zorder=3)
        axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18)
        drawn = True
    axes.set_xlabel("tokens")
    axes.set_ylabel(label)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
    if drawn:
        legend(figure)
    return figure if drawn else None


def loss_of(record) -> tuple[list[int], list[float]]:
    """Training loss over tokens, about a hundred points."""
    lines = record.metrics[:: max(1, len(record.metrics) // 100)]
    return [x["tokens"] for x in lines], [x["loss"] for x in lines]


def measure_of(measure: str) -> Callable:
    """A measure over tokens, as `of` of `curves`."""

    def of(record) -> tuple[list[int], list[float]]:
        steps = [s for s in record.steps() if measure in record.numbers(s)]
        values = [record.numbers(step)[measure] for step in steps]
        return [record.tokens_at(step) for step in steps], values

    return of


def differences(found: Mapping, measure: str = AVERAGE) -> Figure | None:
    """Each variant's difference to the base with its interval; filled where it is beyond noise."""
    rows = [
        (name, about["differences"][measure])
        for name, about in found["variants"].items() if measure in about["differences"]
    ]  # fmt: skip
    if not rows:
        return None
    figure, axes = new(1.3 + 0.34 * len(rows))
    for place, (_, one) in enumerate(rows):
        ends = (one["low"], one["high"])
        if ends[0] is not None:
            axes.plot(ends, (place, place), color="#444444", zorder=3)
        face = "#1f6fb4" if one["beyond_noise"] else "white"
        axes.plot(one["mean"], place, "o", color="#1f6fb4", markerfacecolor=face, zorder=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "right" if larger_is_better(measure) else "left"
    axes.set_xlabel(f"{wording.name_of(measure)}, minus {found['base']}'s ({better} is better)")
    return figure


def frontier(found: Mapping) -> Figure | None:
    """English against the mean of the others, a point per variant with its seeds' spread; a line joins
    those that no other is better than in both. None below three variants that have both measures."""
    points = {
        name: [about["numbers"][measure] for measure in FRONTIER]
        for name, about in found["variants"].items()
        if all(measure in about["numbers"] for measure in FRONTIER)
    }
    if len(points) < 3:
        return None
    figure, axes = new(4.6)
    for number, (name, (en, others)) in enumerate(points.items()):
        colour = COLOURS[number % len(COLOURS)]
        x, y = en["mean"], others["mean"]
        axes.plot((en["low"], en["high"]), (y, y), color=colour, alpha=0.5, zorder=2)
        axes.plot((x, x), (others["low"], others["high"]), color=colour, alpha=0.5, zorder=2)
        mark = "o" if number < len(COLOURS) else "s"
        axes.plot(x, y, mark, color=colour, label=name, zorder=4)
    best = unbeaten({name: (en["mean"], o["mean"]) for name, (en, o) in points.items()})
    line = [[measure["mean"] for measure in points[name]] for name in best]
    axes.plot(*zip(*line, strict=True), color="black", linewidth=0.8, zorder=3)
    axes.set_xlabel(f"{wording.name_of(FRONTIER[0])}, bits per byte (left is better)")
    axes.set_ylabel(f"{wording.name_of(FRONTIER[1])},\nbits per byte (down is better)")
    legend(figure)
    return figure


def unbeaten(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The points that no other is better than, or as good, in both numbers, from left to right."""
    found, least = [], math.inf
    for name, (_, y) in sorted(points.items(), key=lambda point: point[1]):
        if y < least:
            found.append(name)
            least = y
    return found


def languages(found: Mapping, labels: Sequence[str]) -> Figure | None:
    """Differences of bits per byte, languages by variants, in colour; a dot is beyond noise."""
    names = [name for name, about in found["variants"].items() if about["differences"]]
    if not names or not labels:
        return None
    cells = [
        [found["variants"][v]["differences"].get(f"bits_per_byte/{k}") for v in names]
        for k in labels
    ]
    means = np.array([[np.nan if c is None else c["mean"] for c in row] for row in cells])
    most = np.nanmax(np.abs(means)) or 1.0
    figure, axes = new(1.6 + 0.26 * len(labels))
    axes.grid(False)
    image = axes.imshow(means, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            if cell and cell["beyond_noise"]:
                axes.plot(column, row, "o", color="black", markersize=4)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="small")
    axes.set_yticks(range(len(labels)), labels)
    figure.colorbar(image, label=f"minus {found['base']}'s")
    return figure


def tokens(about: Mapping, record) -> Figure | None:
    """Shares of tokens per language over a run: realised as areas, planned as lines above them.

    Between saves of the ledger; phase changes are dashed.
    """
    planned = _shares([(p["tokens"], p["languages"]) for p in about["planned"]])
    lines = ((record.tokens_at(line["step"]), _of(line)) for line in record.ledger)
    realised = _shares([(0, {}), *lines])
    labels = _labels(about["planned"][-1]["languages"])
    figure, axes = new(3.9)
    for number, (label, band) in enumerate(_stacked(realised, labels)):
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(*band[:2], band[2], step="pre", color=colour, label=label, alpha=0.85)
    for _, (edges, _, top) in _stacked(planned, labels):
        axes.step(edges, top, where="pre", color="black", linewidth=0.7)
    for phase in about["phases"][1:]:
        axes.axvline(phase["start"], color="black", linestyle="--", linewidth=1)
    axes.set_xlim(0, about["tokens"])
    axes.set_ylim(0, 100)
    axes.set_xlabel("tokens")
    axes.set_ylabel("percent of the tokens")
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
    legend(figure, columns=6)
    return figure


def _of(line: Mapping) -> dict[str, float]:
    return {name: one["tokens"] for name, one in line["languages"].items()}


def _labels(totals: Mapping[str, float]) -> list[str]:
    """The languages with most tokens, in the table's order, and what else there is last."""
    most = sorted(totals, key=lambda name: -totals[name])[:MOST_BANDS]
    return in_order(most)


def _shares(points: Sequence[tuple[int, Mapping[str, float]]]) -> list[tuple[int, int, dict]]:
    """Cumulated tokens at places -> (from, to, percent of each language in between)."""
    spans = []
    for (before, old), (after, new) in itertools.pairwise(points):
        if after > before:
            size = after - before
            spans.append(
                (before, after, {k: 100 * (v - old.get(k, 0)) / size for k, v in new.items()})
            )
    return spans


def _stacked(spans, labels: Sequence[str]) -> list[tuple[str, tuple[list, np.ndarray, np.ndarray]]]:
    """Label -> (edges, lower, upper), each value standing for the span that ends at its edge."""
    if not spans:
        return []
    edges = [spans[0][0], *(span[1] for span in spans)]
    pooled = [*labels, "others"]
    rows = np.array([[s[2].get(k, 0.0) for k in labels] for s in spans])
    rest = np.array([sum(v for k, v in s[2].items() if k not in labels) for s in spans])
    rows = np.column_stack([rows, rest])
    tops = np.cumsum(rows, axis=1)
    tops = np.vstack([tops[:1], tops])
    bottoms = np.column_stack([np.zeros(len(tops)), tops[:, :-1]])
    return [
        (label, (edges, bottoms[:, n], tops[:, n]))
        for n, label in enumerate(pooled) if label != "others" or rest.max() > 1e-6
    ]  # fmt: skip
