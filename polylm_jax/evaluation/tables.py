"""Results as tables: a benchmark's languages as columns, our lines, the paper's and other checkpoints'."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polylm_jax.evaluation import published
from polylm_jax.evaluation.other_results import Other
from polylm_jax.evaluation.protocol import GENERATE, RANK, ROLLING
from polylm_jax.evaluation.result import ANSWER_BITS, COUNTS, TEXT, Result
from polylm_jax.languages import labels
from polylm_jax.languages.registry import LANGUAGES

METRICS = {
    "accuracy_sum": "accuracy by sum",
    "accuracy_mean": "accuracy by mean per token",
    "f1": "F1",
    "exact_match": "exact match",
    "rouge": "ROUGE (mean of 1, 2, L)",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "bleu": "BLEU",
    "chrf": "chrF",
    "number": "right number",
    ANSWER_BITS: "bits per byte of the right answer",
    "bits_per_byte": "bits per byte",
    "bits_per_character": "bits per character",
    "nats_per_token": "nats per token",
}
IN_BITS = (TEXT, ROLLING)


class Line(NamedTuple):
    """A row of a table: language -> number; `headline` for the benchmark's own metric."""

    label: str
    split: str
    items: str
    cells: Mapping[str, float]
    headline: bool = False
    few: frozenset[str] = frozenset()  # languages of too few items, or none, for a number
    silent: frozenset[str] = frozenset()  # languages in which the task says nothing


class Table(NamedTuple):
    """A benchmark: its languages in order, our lines, the paper's, and what guessing scores."""

    benchmark: str
    languages: list[str]
    ours: list[Line]
    theirs: list[Line]
    guessing: float | None
    results: list[Result]
    digits: int = 1
    others: Sequence[Line] = ()  # of other checkpoints: bits per byte of the right answer

    @property
    def in_bits(self) -> bool:
        return self.results[0].protocol.metric.startswith("bits")

    @property
    def headline(self) -> Line:
        """Our line that the paper's are compared with: as published, by the benchmark's own metric."""
        return next((line for line in self.ours if line.headline), self.ours[0])

    @property
    def averaged(self) -> list[str]:
        """The languages that averages are over, the same ones for every row: none of few items."""
        few = frozenset().union(*(line.few for line in (*self.ours, *self.theirs, *self.others)))
        kept = [code for code in self.languages if code not in few]
        alone = [code for code in kept if code in LANGUAGES]
        return kept if self.benchmark else alone or kept


def tables(
    results: Sequence[Result],
    rows: Sequence[str] = published.BASE,
    beside: Sequence[Other] = (),
) -> list[Table]:
    """A table per benchmark, plain text last. rows: models of the paper. beside: other checkpoints."""
    grouped: dict[str, list[Result]] = {}
    for result in results:
        text = result.protocol.kind == TEXT
        grouped.setdefault("" if text else result.protocol.benchmark, []).append(result)
    order = sorted(grouped, key=lambda benchmark: benchmark == "")
    return [_table(benchmark, grouped[benchmark], rows, beside) for benchmark in order]


def _table(
    benchmark: str, results: list[Result], rows: Sequence[str], beside: Sequence[Other]
) -> Table:
    languages = _in_order(benchmark, results)
    known = published.scores(benchmark)
    theirs = [
        Line(
            f"{model} (paper)", "", "", {k: known[model][k] for k in languages if k in known[model]}
        )
        for model in rows
        if model in known
    ]
    theirs = [*_beside(results, languages, beside, results[0].protocol.metric), *theirs]
    others = _beside(results, languages, beside, ANSWER_BITS)
    others = [line._replace(label=f"{METRICS[ANSWER_BITS]}: {line.label}") for line in others]
    first = results[0].protocol
    guessing = 100 / first.choices if first.kind == RANK and first.choices else None
    digits = 3 if first.metric.startswith("bits") else 1
    ours = _ours(results, int(first.kind == GENERATE and set(rows) <= set(published.BASE)))
    return Table(benchmark, languages, ours, theirs, guessing, results, digits, others)


def _beside(
    results: list[Result], languages: list[str], beside: Sequence[Other], metric: str
) -> list[Line]:
    """A line for each other checkpoint that was asked in the same way."""
    rules = results[0].protocol
    lines = []
    for other in beside:
        found = other.cells(rules.benchmark, metric, rules.few_shot, rules.fidelity)
        cells = {code: found[code] for code in languages if code in found}
        if cells:
            few = other.few(rules.benchmark)
            lines.append(Line(f"{other.name}, step {other.step}", "", "", cells, few=few))
    return lines


def _in_order(benchmark: str, results: list[Result]) -> list[str]:
    """The languages that were evaluated, in the paper's order, then in that of the 18."""
    found = {result.protocol.language for result in results}
    return labels.in_order(found, first=published.languages(benchmark))


def _ours(results: list[Result], shots: int) -> list[Line]:
    """A line per way of asking and metric, the first way's own metric first.

    shots: examples before an item in the paper's way, which comes first.
    """
    ways: dict[tuple, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.protocol.few_shot != shots):
        ways.setdefault(_way(result), []).append(result)
    lines = []
    for number, (way, some) in enumerate(ways.items()):
        own = some[0].protocol.metric
        keys = dict.fromkeys(key for result in some for key in result.metrics if key not in COUNTS)
        for key in sorted(keys, key=lambda key: key != own):
            label = ", ".join([METRICS.get(key, key), *filter(None, way)])
            cells = {r.protocol.language: r.metrics[key] for r in some if key in r.metrics}
            few = frozenset(r.protocol.language for r in some if r.few)
            silent = frozenset(r.protocol.language for r in some if r.silent)
            own_line = key == own and number == 0
            lines.append(Line(label, _split(some), _items(some), cells, own_line, few, silent))
    return lines or [Line("nothing fitted the model", _split(results), _items(results), {})]


def _way(result: Result) -> tuple[str, ...]:
    rules = result.protocol
    if rules.kind in IN_BITS:
        return ()
    shots = {0: "zero-shot", 1: "one-shot"}.get(rules.few_shot, f"{rules.few_shot}-shot")
    return (rules.fidelity, rules.scoring, shots)


def _split(results: list[Result]) -> str:
    return ", ".join(dict.fromkeys(result.protocol.split for result in results))


def _items(results: list[Result]) -> str:
    """'500', '83 to 2,325', and how many of them were too long for the model."""
    counts = [result.items for result in results]
    low, high = min(counts), max(counts)
    text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    long = sum(result.too_long for result in results)
    return f"{text} ({long:,} too long)" if long else text


def average(cells: Mapping[str, float], languages: Sequence[str]) -> float | None:
    """The unweighted mean over the languages, None unless all of them have a number."""
    if not languages or any(code not in cells for code in languages):
        return None
    return sum(cells[code] for code in languages) / len(languages)
