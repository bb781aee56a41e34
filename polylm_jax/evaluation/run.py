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

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.identity import SHOWN
from polylm_jax.errors import InputError, nearest
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
from polylm_jax.evaluation.language_model import Batching, LanguageModel
from polylm_jax.evaluation.protocol import GENERATE
from polylm_jax.evaluation.questions import Questions
from polylm_jax.evaluation.report import Subject
from polylm_jax.evaluation.result import COUNTS, Result
from polylm_jax.evaluation.tables import Table
from polylm_jax.evaluation.tables import tables as tables_of
from polylm_jax.languages.labels import isolated
from polylm_jax.model import devices
from polylm_jax.model.averaging import PLAIN
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.ranges import Count, Natural
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import mixtures

DTYPES = ("", "float32", "bfloat16")
COMPARED = {"base": published.BASE, "tuned": published.TUNED}


def evaluate(
    checkpoint: str,
    output: str,
    vocabulary: str,
    tasks: str | Sequence[str],
    *,
    step: Natural | None = None,
    weights: str = PLAIN,
    model: PolyLMConfig | None = None,
    dtype: str = "",
    mesh: MeshConfig | None = None,
    batching: Batching | None = None,
    limit: Count | None = None,
    max_new_tokens: Count | None = None,
    compare: str = "base",
    beside: Sequence[str] = (),
    signal: str = "",
    name: str = "",
    compilation_cache_dir: str = "~/.cache/polylm_jax",
    recipe: str = "",
) -> None:
    """Evaluates a checkpoint on SeqIO tasks; what was computed before is read, not computed again.

    checkpoint, step: MODEL_DIR of a run, local or gs://, and which checkpoint (its newest one).
    weights: 'plain', or 'average' for the average that the run keeps: another folder of results.
    output: the folder of results, local or gs://; each checkpoint has its own folder there.
    vocabulary: the SentencePiece model that it was trained with.
    tasks: names of tasks or mixtures, as registering them returned.
    model: by default as the checkpoint has it.
    dtype: of the matrix products, float32 or bfloat16; by default the model's own.
    mesh: devices as data x fsdp x tensor, by default all data. batching: how much is computed at
    once.
    limit: items of each task at most, the first ones. max_new_tokens: in place of each task's own.
    compare: which of the paper's models stand beside ours, base or tuned.
    beside: folders of results of other checkpoints, as this wrote them (OUTPUT/step_...): rows of
    every table. signal: a folder that `signal` wrote: tasks that say nothing are grey.
    name: what the report calls the checkpoint, by default its folder's.
    compilation_cache_dir: compiled programs are kept here for the next start; '' keeps none.
    recipe: the resolved config, written beside the results.

    Raises InputError for bad input, before anything is computed.
    """
    _check(dtype, compare, limit, max_new_tokens)
    others = other_results.load(beside)
    silent = signal_report.silent(signal) if signal else frozenset()
    devices.start(compilation_cache_dir)
    names = mixtures.tasks_of(tasks)
    if not names:
        raise InputError("tasks is empty: name one task at least.")
    found, progress = identity.identify(checkpoint, step, weights)
    lm = language_model.load(found, progress, vocabulary, model, dtype, mesh, batching)
    folder = f"{str(output).rstrip('/')}/step_{found.step}_{found.identity[:SHOWN]}"
    # What is wrong with any task is said before the first one is computed.
    asked = [runner.ask(n, lm, limit=limit, max_new_tokens=max_new_tokens) for n in names]
    # Scoring before generation, which lays the parameters out anew.
    asked.sort(key=lambda questions: questions.kind == GENERATE)
    subject = Subject(
        name=name or found.title,
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
        tables = tables_of(ordered, COMPARED[compare], others)
        text = report.markdown(
            subject, ordered, COMPARED[compare], others, overview.section(subject, tables)
        )
        _write(Folder(folder, "output"), subject, ordered, tables, text, recipe)
        print(f"{folder}/results.md")


def _check(dtype: str, compare: str, limit: int | None, max_new_tokens: int | None) -> None:
    for field, value, known in (("dtype", dtype, DTYPES), ("compare", compare, COMPARED)):
        if value not in known:
            hint = nearest(value, known)
            raise InputError(f"{field} = {value!r} is not one of {', '.join(known)}.{hint}")
    for field, number in (("limit", limit), ("max_new_tokens", max_new_tokens)):
        if number is not None and number < 1:
            raise InputError(f"{field} = {number}: give a positive number, or None.")


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
