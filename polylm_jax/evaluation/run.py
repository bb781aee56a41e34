"""`run.py evaluate`: a checkpoint over evaluation tasks, to a table beside the paper's.

    OUTPUT/step_7_3fa4c1d2e5b6/results.json, results.md, xcopa.png ...
                              /outputs/xcopa.th.jsonl   what the model gave, request by request

The folder's name is the checkpoint's identity, so a second run finds there what the first one
computed, also when it was killed.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import jax
import rich.console
import rich.progress

from polylm_jax.checkpoints.identity import SHOWN, Selection
from polylm_jax.errors import InputError, one_of
from polylm_jax.evaluation import (
    language_model,
    other_results,
    overview,
    plots,
    published,
    report,
    runner,
    signal_report,
)
from polylm_jax.evaluation.language_model import LanguageModel, Loading
from polylm_jax.evaluation.protocol import GENERATE
from polylm_jax.evaluation.questions import Questions
from polylm_jax.evaluation.report import Subject
from polylm_jax.evaluation.result import COUNTS, Result
from polylm_jax.evaluation.tables import Table
from polylm_jax.evaluation.tables import tables as tables_of
from polylm_jax.languages.labels import isolated
from polylm_jax.model import devices
from polylm_jax.runtime.ranges import Count
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import mixtures

DTYPES = ("", "float32", "bfloat16")
COMPARED = {"base": published.BASE, "tuned": published.TUNED}


@dataclasses.dataclass(frozen=True)
class Reporting:
    """What the report shows, and what stands beside it.

    compare: which of the paper's models stand beside ours, base or tuned.
    beside: folders of results of other checkpoints, as this wrote them (OUTPUT/step_...): rows of
    every table.
    signal: a folder that `signal` wrote: tasks that say nothing are grey.
    name: what the report calls the checkpoint, by default its folder's.
    """

    compare: str = "base"
    beside: Sequence[str] = ()
    signal: str = ""
    name: str = ""


@spread("selection", "loading", "reporting")
def evaluate(
    checkpoint: str,
    output: str,
    vocabulary: str,
    tasks: str | Sequence[str],
    *,
    selection: Selection,
    loading: Loading,
    limit: Count | None = None,
    max_new_tokens: Count | None = None,
    reporting: Reporting,
    recipe: str = "",
) -> None:
    """Evaluates a checkpoint on SeqIO tasks; what was computed before is read, not computed again.

    checkpoint: MODEL_DIR of a run, local or gs://; its average has another folder of results.
    output: the folder of results, local or gs://; each checkpoint has its own folder there.
    vocabulary: the SentencePiece model that it was trained with.
    tasks: names of tasks or mixtures, as registering them returned.
    limit: items of each task at most, the first ones.
    max_new_tokens: in place of each task's own.
    recipe: the resolved config, written beside the results.

    Raises InputError for bad input, before anything is computed.
    """
    one_of("dtype", loading.dtype, DTYPES)
    one_of("compare", reporting.compare, COMPARED)
    others = other_results.load(reporting.beside)
    silent = signal_report.silent(reporting.signal) if reporting.signal else frozenset()
    devices.start(loading.compilation_cache_dir)
    names = mixtures.tasks_of(tasks)
    if not names:
        raise InputError("tasks is empty: name one task at least.")
    found, progress = selection.identify(checkpoint)
    lm = language_model.load(found, progress, vocabulary, loading)
    folder = f"{str(output).rstrip('/')}/step_{found.step}_{found.identity[:SHOWN]}"
    # What is wrong with any task is said before the first one is computed.
    asked = [runner.ask(n, lm, limit=limit, max_new_tokens=max_new_tokens) for n in names]
    # Scoring before generation, which lays the parameters out anew.
    asked.sort(key=lambda questions: questions.kind == GENERATE)
    subject = Subject(
        name=reporting.name or found.title,
        path=checkpoint,
        step=found.step,
        identity=found.identity,
        parameters=lm.config.num_params,
        dtype=lm.config.dtype,
        vocabulary=lm.tokenizer.fingerprint,
    )
    results = list(_results(asked, lm, Folder(f"{folder}/outputs", "output")))
    results = [dataclasses.replace(one, silent=one.task in silent) for one in results]
    ordered = sorted(results, key=lambda result: names.index(result.task))
    if jax.process_index() == 0:
        compared = COMPARED[reporting.compare]
        tables = tables_of(ordered, compared, others)
        text = report.markdown(
            subject, ordered, compared, others, overview.section(subject, tables)
        )
        _write(Folder(folder, "output"), subject, ordered, tables, text, recipe)
        print(f"{folder}/results.md")


def _results(asked: Sequence[Questions], lm: LanguageModel, outputs: Folder) -> Iterator[Result]:
    """Each task's result, with a bar per task in a terminal and a line when it is done."""
    leads = jax.process_index() == 0
    console = rich.console.Console(highlight=False, soft_wrap=True, quiet=not leads)
    columns = ("{task.description}", rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(),
               rich.progress.TimeElapsedColumn(), rich.progress.TimeRemainingColumn())  # fmt: skip
    with rich.progress.Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        for number, questions in enumerate(asked, 1):
            bar = bars.add_task(questions.task.name, total=None)

            def advance(done: int, total: int, bar=bar) -> None:
                bars.update(bar, completed=done, total=total)

            result = runner.run(questions, lm, outputs if leads else None, advance=advance)
            assert result is not None  # nothing stops it
            bars.remove_task(bar)
            console.print(f"{number}/{len(asked)}  {line(result)}", markup=False)
            yield result


def line(result: Result) -> str:
    """'xcopa.th  accuracy_sum 54.00  100 items, 0 too long  200 requests in 0.6 s'."""
    scores = [f"{key} {value:.4g}" for key, value in result.metrics.items() if key not in COUNTS]
    known = result.requests - result.computed
    asked = f"{result.computed:,} requests in {result.seconds:.1f} s"
    if known:
        asked += f", {known:,} known before"
    parts = [
        isolated(result.task),
        *scores,
        f"{result.items:,} items, {result.too_long:,} too long",
    ]
    return "  ".join([*parts, asked])


def _write(
    folder: Folder,
    subject: Subject,
    results: list[Result],
    tables: Sequence[Table],
    markdown: str,
    recipe: str,
) -> None:
    """results.json, results.md, a PNG per benchmark, and the recipe."""
    text = json.dumps(report.as_json(subject, results), ensure_ascii=False, indent=1)
    folder.write("results.json", f"{text}\n".encode())
    folder.write("results.md", markdown.encode())
    if recipe:
        folder.write("recipe.gin", recipe.encode())
    with tempfile.TemporaryDirectory() as place:
        for table in tables:
            drawn = pathlib.Path(place) / f"{table.benchmark or 'held_out_text'}.png"
            plots.draw(subject, table, drawn)
            folder.write(drawn.name, drawn.read_bytes())
