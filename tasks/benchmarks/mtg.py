"""MTG: titles, story endings, questions and summaries in 5 languages, 200 items of each.

Its files are handed out by its authors on request of a link, so their field names weren't seen:
`columns` says what the JSON in hand calls the text, the concept and the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from polylm_jax.errors import InputError, nearest, one_of
from polylm_jax.evaluation.protocol import GENERATE, Protocol
from polylm_jax.languages import registry as languages_table
from polylm_jax.runtime.spread import spread
from tasks.benchmarks import registration
from tasks.benchmarks.items import BadRecord, Item, text
from tasks.benchmarks.records import Record
from tasks.benchmarks.registration import Benchmark, Generation, Variant
from tasks.metrics.rouge import rouge

LANGUAGES = ("zh", "en", "es", "fr", "de")
# task -> (instruction, what the text is called, what the answer is called)
TASKS = {
    "title": (
        "Please generate a title for the following document in {language}",
        "document",
        "title",
    ),
    "story_end": (
        "Write a story end of the following story in just a few sentences in {language}.",
        "story",
        "story ending",
    ),
    "question": (
        (
            "Given a passage and a concept that can be found in this passage, please generate a "
            "question in {language}, the answer of which is this concept and is answerable after "
            "reading this passage."
        ),
        "passage",
        "question",
    ),
    "summary": (
        "Please generate a short summary of the given document in {language}",
        "document",
        "summary",
    ),
}
CONCEPT = "answer"  # what the prompt of a question calls the concept
FILES = {
    "test": "mtg/{task}/test.{language}.json",
    "train": "mtg/{task}/train.{language}.json",
}
COLUMNS = {"source": "source", "answer": "answer", "target": "target"}
ITEMS = {"test": 200}


@dataclass(frozen=True)
class Prompt:
    """Instruction, the text, of a question also the concept, and the name of what is wanted."""

    task: str
    language: str
    joint: str = " "

    def context(self, item: Item) -> str:
        instruction, source, wanted = TASKS[self.task]
        lines = [
            instruction.format(language=languages_table.find(self.language).name),
            f"{source}: {item['source']}",
        ]
        if self.task == "question":
            lines.append(f"{CONCEPT}: {item['answer']}")
        return "\n".join([*lines, f"{wanted}:"])

    def references(self, item: Item) -> Sequence[str]:
        return (item["target"],)


@dataclass(frozen=True)
class Converter:
    """Records under the names that `columns` gives: (field of the item, name in the record)."""

    columns: tuple[tuple[str, str], ...]

    def __call__(self, record: Record) -> Item:
        names = dict(self.columns)
        for name in names.values():
            if name not in record:
                raise BadRecord(
                    f"there is no field {name!r} among {', '.join(record)} (set it with columns)"
                )
        return {field: text(record, name) for field, name in names.items()}


def _benchmark(task: str, columns: Mapping[str, str]) -> Benchmark:
    fields = ("source", "answer", "target") if task == "question" else ("source", "target")
    _check_columns(columns, fields)
    convert = Converter(tuple((field, columns[field]) for field in fields))
    return Benchmark(
        name=f"mtg_{task}",
        languages=LANGUAGES,
        variants=lambda language: (Variant("", Prompt(task, language)),),
        protocol=lambda language, split: Protocol(
            f"mtg_{task}", language, split, GENERATE, "rouge", items=ITEMS.get(split)
        ),
        convert=lambda language, format: convert,
        fields=dict.fromkeys(fields, str),
        formats={".json": "json", ".jsonl": "jsonl", ".tsv": "tsv", "aligned": "aligned"},
        metrics=lambda language: (partial(rouge, language=language),),
        fill=lambda language: {"task": task},
    )


def _check_columns(columns: Mapping[str, str], fields: Sequence[str]) -> None:
    for field in columns:
        if field not in COLUMNS:
            raise InputError(
                f"columns of mtg has {field!r}.{nearest(field, COLUMNS)} "
                f"It may have {', '.join(COLUMNS)}."
            )
    for field in fields:
        if field not in columns:
            raise InputError(f"columns of mtg lacks {field!r}: say what the files call it.")


@spread("scoring")
def register(
    data_dir: str,
    vocabulary: str,
    tasks: Sequence[str] = tuple(TASKS),
    languages: Sequence[str] = LANGUAGES,
    files: Mapping[str, object] | str = FILES,
    columns: Mapping[str, str] = COLUMNS,
    *,
    scoring: Generation,
) -> tuple[str, ...]:
    """Registers `mtg_title.de`, `mtg_title.de.one_shot` and so on, and returns the names.

    See `Benchmark.register`, and besides:

    tasks: which of TASKS; {task} in `files` stands for one.
    columns: what the records call `source`, `target` and, of questions, `answer`.
    """
    for task in tasks:
        one_of("a task of mtg", task, TASKS)
    given = data_dir, vocabulary, languages, files, scoring
    return registration.merged([_benchmark(task, columns).register(*given) for task in tasks])
