"""`run.py gap`: what a checkpoint pays for the same text beside any transformers model, and where.

OUTPUT/gap.md, gap.json, gap.png
"""

import heapq
import itertools
import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from polylm_jax.checkpoints.identity import Selection
from polylm_jax.errors import InputError
from polylm_jax.evaluation import language_model, runner, text_costs
from polylm_jax.evaluation.language_model import LanguageModel, Loading
from polylm_jax.evaluation.requests import windows
from polylm_jax.evaluation.result import TEXT
from polylm_jax.evaluation.text_costs import Token, Totals, bits_per_byte
from polylm_jax.evaluation.transformers_model import TransformersModel
from polylm_jax.languages import labels
from polylm_jax.model import devices
from polylm_jax.runtime.markdown import table
from polylm_jax.runtime.paths import without_home
from polylm_jax.runtime.ranges import Count, Natural
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import mixtures

PASSAGE = 160  # bytes, about
UPRIGHT = 24  # labels of an axis that have room side by side
LEGEND = (
    "Bits per byte of the same text. Each token's cost is shared out over its bytes in whole units of "
    "2^-32 nats, so the rows of a table add up to the whole exactly. Each document begins after its "
    "model's own beginning of a text, and its end isn't scored."
)


class Passage(NamedTuple):
    """A piece of a document; gap: bits per byte, ours less theirs."""

    gap: float
    language: str
    text: str
    ours: float
    theirs: float


@spread("selection", "loading")
def gap(
    checkpoint: str,
    vocabulary: str,
    theirs: str,
    output: str,
    tasks: str | Sequence[str],
    *,
    selection: Selection,
    loading: Loading,
    limit: Count | None = 200,
    worst: Natural = 5,
    name: str = "",
) -> None:
    """Compares a checkpoint with a transformers model on the same held-out text, byte by byte.

    checkpoint, vocabulary: as for evaluate.
    theirs: a local folder with a causal language model and its own tokenizer; it's in float32.
    output: the folder of the report.
    tasks: of plain text; their validation split is read.
    limit: documents of each task at most.
    worst: passages shown of each language.
    name: what the report calls the checkpoint.

    Raises InputError for bad input, before anything is computed.
    """
    names = mixtures.tasks_of(tasks)
    devices.start(loading.compilation_cache_dir)
    found, progress = selection.identify(checkpoint)
    lm = language_model.load(found, progress, vocabulary, loading)
    asked = [runner.ask(task, lm, limit=limit) for task in names]
    for one in asked:
        if one.kind != TEXT:
            raise InputError(f"task {one.task.name!r} is no plain text: name tasks of text.")
    foreign = TransformersModel(theirs)
    documents = [(e["targets"], e["language"]) for one in asked for e in one.examples]
    totals = Totals()
    passages: list[Passage] = []
    for (text, language), own in zip(documents, _ours(lm, documents), strict=True):
        size = len(text.encode())
        paid = [text_costs.per_byte(size, tokens) for tokens in (own, foreign.costs(text))]
        totals.add(text, language, paid)
        passages += _passages(text, language, *paid)
    if jax.process_index() == 0:
        title = name or found.title
        both = (title, pathlib.Path(without_home(theirs, "THEIRS")).resolve().name)
        _write(Folder(str(output).rstrip("/"), "OUTPUT"), both, totals, passages, worst)
        print(f"{str(output).rstrip('/')}/gap.md")


def _ours(lm: LanguageModel, documents: Sequence[tuple[str, str]]) -> list[list[Token]]:
    """What each token of each document costs us."""
    spans, ids = [], []
    for text, _ in documents:
        pieces = lm.tokenizer.processor.encode(text, return_type="proto").pieces
        spans.append([(piece.begin, piece.end) for piece in pieces])
        ids.append(np.array([piece.id for piece in pieces], np.int32))
    asked, owner = windows(ids, lm.tokenizer.eos_id, lm.max_length)
    log_p = dict(lm.score_tokens(asked))
    nats: list[list[float]] = [[] for _ in documents]
    for window, number in enumerate(owner):
        nats[number] += (-log_p[window]).tolist()
    return [
        [Token(*span, cost) for span, cost in zip(spans[n], nats[n], strict=True)]
        for n in range(len(documents))
    ]


def _passages(text: str, language: str, ours: np.ndarray, theirs: np.ndarray) -> Iterator[Passage]:
    """The document in pieces of about PASSAGE bytes, cut between characters."""
    ends = np.cumsum([len(character.encode()) for character in text])
    cuts = [0, *(int(np.searchsorted(ends, at)) + 1 for at in range(PASSAGE, ends[-1], PASSAGE))]
    for first, stop in itertools.pairwise([*dict.fromkeys(cuts), len(text)]):
        start, end = (int(ends[at - 1]) if at else 0 for at in (first, stop))
        if end - start < PASSAGE // 2:
            continue
        own, other = (bits_per_byte(int(x[start:end].sum()), end - start) for x in (ours, theirs))
        yield Passage(own - other, language, text[first:stop], own, other)


FIELDS = {"language": "language", "script": "script", "kind": "kind of character"}


def _write(
    folder: Folder, both: tuple[str, str], totals: Totals, passages: list[Passage], worst: int
) -> None:
    tables = {field: totals.by(field) for field in FIELDS}
    whole = totals.by("")[""]
    found = {
        "ours": both[0], "theirs": both[1], "unit_nats": text_costs.UNIT, "whole": whole,
        **tables,
        "parts": [[*part, *values] for part, values in totals.of.items()],
    }  # fmt: skip
    folder.write("gap.json", json.dumps(found, ensure_ascii=False, indent=1).encode())
    text = [f"# {both[0]} beside {both[1]}", LEGEND, _table(both, {"all text": whole}, "")]
    for field, title in FIELDS.items():
        text += [f"## By {title}", _table(both, tables[field], title)]
    text += ["## The worst passages", *_worst(passages, worst)]
    folder.write("gap.md", ("\n\n".join(text) + "\n").encode())
    with tempfile.TemporaryDirectory() as place:
        drawn = pathlib.Path(place) / "gap.png"
        draw(both, tables, drawn)
        folder.write(drawn.name, drawn.read_bytes())


def _in_order(field: str, keys: Sequence[str]) -> list[str]:
    return labels.in_order(keys) if field == "language" else [*keys]


def _table(both: Sequence[str], rows: dict[str, list[int]], title: str) -> str:
    head = [title, "bytes", *both, "gap", "share of the gap"]
    lines = []
    whole = sum(ours - theirs for _, ours, theirs in rows.values())
    for key in _in_order(title, [*rows]):
        size, ours, theirs = rows[key]
        own, other = bits_per_byte(ours, size), bits_per_byte(theirs, size)
        share = f"{100 * (ours - theirs) / whole:.1f} %" if whole else ""
        lines.append((key, f"{size:,}", f"{own:.4f}", f"{other:.4f}", f"{own - other:+.4f}", share))
    return table(head, lines, words=1)


def _worst(passages: list[Passage], count: int) -> list[str]:
    """Of each language those with the largest gap, as quotations."""
    shown = []
    for language in labels.in_order({passage.language for passage in passages}):
        some = [passage for passage in passages if passage.language == language]
        lines = [
            f"- {p.ours:.3f} beside {p.theirs:.3f}: `{' '.join(p.text.split()).replace('`', chr(39))}`"
            for p in heapq.nlargest(count, some)
        ]
        shown.append("\n".join([f"**{language}**", "", *lines]))
    return shown


def draw(both: Sequence[str], tables: dict[str, dict[str, list[int]]], path: pathlib.Path) -> None:
    """A PNG: bits per byte of both by language, script and kind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2 * len(tables)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (field, rows) in zip(figure.subplots(len(tables)), tables.items(), strict=True):
        keys = _in_order(field, [*rows])
        for number, label in enumerate(both):
            heights = [bits_per_byte(rows[key][1 + number], rows[key][0]) for key in keys]
            left = [place + 0.4 * (number - 0.5) for place in range(len(keys))]
            axes.bar(left, heights, 0.4, label=label, zorder=2)
        axes.set_xticks(range(len(keys)), keys, rotation=90 * (len(keys) > UPRIGHT))
        axes.set_title(f"by {FIELDS[field]}")
        axes.set_ylabel("bits per byte")
        axes.grid(axis="y", color="#dddddd", zorder=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)
