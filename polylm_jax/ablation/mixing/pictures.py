"""The pictures of a mix's report: share against loss, predicted against measured, the frontier.

Axes and legends carry language codes, which every font has.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polylm_jax.ablation import figures
from polylm_jax.ablation.mixing import draws, outcome
from polylm_jax.ablation.mixing.answer import Answer
from polylm_jax.ablation.mixing.designs import ANCHOR, HELD_OUT, PROXY, Design
from polylm_jax.ablation.mixing.outcome import Runs
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.ablation.mixing.question import BITS

POINTS = 41  # of a curve
DRAWN = 2000  # mixtures behind the frontier
KINDS = ((ANCHOR, "s"), (PROXY, "o"), (HELD_OUT, "^"), (PROPOSAL, "*"))
Drawn = Mapping[str, tuple[Figure | None, str]]


def all_of(design: Design, found: Answer, runs: Runs) -> Drawn:
    """File name -> (figure, None where there is nothing to draw, what it shows)."""
    return {
        "laws": (
            laws(design, found, runs),
            (
                "A language's own share against its bits per byte, all other shares in the recipe's "
                "proportions: prediction and 90 % interval; points are runs, whose other shares "
                "differ. Dotted: the recipe's share; dashed: the proposal's."
            ),
        ),
        "predicted": (
            predicted(design, found, runs),
            (
                "Held-out mixtures and the proposal: predicted and measured bits per byte, each less "
                "its language's mean; bars are 90 % intervals."
            ),
        ),
        "frontier": (
            frontier(design, found, runs),
            (
                "English against the mean of the other languages: runs, the best that the laws "
                "predict within the most epochs (line), and the proposal."
            ),
        ),
    }


def _name(measure: str) -> str:
    return measure.removeprefix(BITS)


def laws(design: Design, found: Answer, runs: Runs) -> Figure | None:
    """A small panel for each measure that has components of its own."""
    mine = found.fitted.runs.own
    names = [name for name in found.fitted.runs.measures if mine.get(name)]
    if not names:
        return None
    rows = math.ceil(len(names) / 3)
    figure, axes = figures.grid(rows, 3, 0.6 + 1.5 * rows)
    for panel, name in zip(axes, names):
        _law(panel, design, found, runs, name)
    for panel in axes[len(names) :]:
        panel.set_visible(False)
    figure.supxlabel("own share of the tokens", fontsize="small")
    figure.supylabel("bits per byte", fontsize="small")
    return figure


def _law(panel: Axes, design: Design, found: Answer, runs: Runs, name: str) -> None:
    columns = list(found.fitted.runs.own[name])
    number = found.fitted.runs.measures.index(name)
    of = lambda point_K: float((design.counts * point_K)[columns].sum())
    here = {one.name: one.point for one in (*design.mixtures, found.mixture)}
    values = outcome.means(runs, [kind for kind, _ in KINDS], found.fitted.runs.measures)
    seen = [values[n][number] for n in values if np.isfinite(values[n][number])]
    for kind, mark in KINDS:
        there = [n for n in runs.get(kind, {}) if n in values and n in here]
        panel.plot(
            [of(here[n]) for n in there], [values[n][number] for n in there], mark,
            color="#888888", markersize=2.5, zorder=2,
        )  # fmt: skip
    most = max([of(shares) for shares in here.values()])
    shares_QK = _varied(design, columns, np.linspace(0, min(1.05 * most, 1), POINTS))
    said = found.fitted.predict(shares_QK)
    x_Q = (design.counts * shares_QK)[:, columns].sum(axis=1)
    panel.fill_between(x_Q, said.low_QM[:, number], said.high_QM[:, number], alpha=0.2, linewidth=0)
    panel.plot(x_Q, said.mean_QM[:, number], zorder=3)
    low, high = min(seen), max(seen)  # a band that is wide where nothing was trained is cut off
    panel.set_ylim(low - 0.3 * (high - low) - 1e-4, high + 0.3 * (high - low) + 1e-4)
    panel.axvline(of(design.mixtures[0].point), color="black", linestyle=":", linewidth=0.8)
    panel.axvline(of(found.mixture.point), color="black", linestyle="--", linewidth=0.8)
    panel.set_title(_name(name), fontsize="small")
    panel.tick_params(labelsize="x-small")


def _varied(design: Design, columns: Sequence[int], share_Q: np.ndarray) -> np.ndarray:
    """The recipe's own mixture with a language's share changed, the same in every phase [Q, K]."""
    _phases, width = design.mixtures[0].shares.shape
    mine = sorted({column % width for column in columns})
    found = []
    for share in share_Q:
        rows = []
        for row in design.mixtures[0].shares:
            own = (
                row[mine] / row[mine].sum()
                if row[mine].sum()
                else np.full(len(mine), 1 / len(mine))
            )
            others = np.array(row, float)
            others[mine] = 0
            others = others / others.sum() if others.sum() else np.full(width, 0.0)
            changed = (1 - share) * others
            changed[mine] = share * own
            rows.append(changed / changed.sum())
        found.append(design.mixtures[0]._replace(shares=np.stack(rows)).point)
    return np.stack(found)


def predicted(design: Design, found: Answer, runs: Runs) -> Figure | None:
    """Every language's values of the check, less the mean of that language's measured ones."""
    measures = found.fitted.runs.measures
    checked = outcome.checked(design, found, runs).get("mixtures", {})
    if not checked:
        return None
    figure, axes = figures.new(4.2)
    ends = []
    for number, name in enumerate(measures):
        rows = [one[name] for one in checked.values() if one[name]["measured"] is not None]
        if not rows:
            continue
        middle = float(np.mean([row["measured"] for row in rows]))
        x, y, low, high = (
            np.array([row[key] for row in rows]) - middle
            for key in ("measured", "predicted", "low", "high")
        )
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        bars = [np.maximum(y - low, 0), np.maximum(high - y, 0)]
        axes.errorbar(x, y, bars, fmt="o", markersize=3, linewidth=0.6, color=colour,
                      label=_name(name), zorder=3)  # fmt: skip
        ends += [*x, *y]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="black", linewidth=0.8)
    axes.set_xlabel("measured")
    axes.set_ylabel("predicted")
    figures.legend(figure, columns=6)
    return figure


def frontier(design: Design, found: Answer, runs: Runs) -> Figure | None:
    """English against the mean of the others."""
    measures = found.fitted.runs.measures
    english = [n for n, name in enumerate(measures) if name == f"{BITS}en"]
    others = [n for n, name in enumerate(measures) if name.startswith(BITS) and n not in english]
    if not english or not others:
        return None
    figure, axes = figures.new(4.0)
    of = lambda values: (values[..., english[0]], values[..., others].mean(axis=-1))
    for (kind, mark), label in zip(KINDS, ("anchors", "proxies", "held out", "proposal")):
        values = outcome.means(runs, (kind,), measures)
        if values:
            axes.plot(*of(np.stack([*values.values()])), mark, label=label, zorder=3,
                      markersize=9 if kind == PROPOSAL else 4)  # fmt: skip
        for name in values if kind == ANCHOR else ():
            axes.annotate(name, of(values[name]), fontsize="x-small", xytext=(4, 3),
                          textcoords="offset points")  # fmt: skip
    x, y = of(found.fitted.means(_possible(design, found)))
    order = np.argsort(x, kind="stable")
    best = np.minimum.accumulate(y[order])
    kept = y[order] <= best
    axes.plot(x[order][kept], y[order][kept], color="black", linewidth=1, label="predicted best")
    axes.set_xlabel("English, bits per byte")
    axes.set_ylabel("mean of the others, bits per byte")
    figures.legend(figure, columns=3)
    return figure


def _possible(design: Design, found: Answer) -> np.ndarray:
    """Mixtures within the most epochs at the target [Q, K], the proposal among them."""
    tokens = [one.tokens for one in design.components]
    epochs = design.identity["epochs"]
    most_C = draws.ceilings(tokens, design.target_tokens, epochs)
    centre = draws.centre(design.mixtures[0].shares, tokens)
    drawn = draws.drawn(centre, most_C, DRAWN, np.random.default_rng(2))
    points = [design.mixtures[0]._replace(shares=shares).point for shares in drawn]
    return np.stack([*points, found.mixture.point])
