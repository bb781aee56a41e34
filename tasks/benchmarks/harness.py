"""Multilingual benchmarks of today by lm_eval's own task definitions, over files that lie here.

lm_eval's YAML says how an item is asked, which choices it has and which is right; the items come from
DATA_DIR/BENCHMARK/CODE.jsonl (.json, .parquet, .csv, .tsv), as they are published. Nothing is
fetched. Scored by `evaluate` like every other task: the same table, the same files of outputs.
"""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polylm_jax.errors import InputError, one_of
from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import RANK, SUM, Protocol
from polylm_jax.languages import codes
from polylm_jax.languages import registry as languages_table
from polylm_jax.runtime.paths import without_home
from tasks import registry
from tasks.benchmarks import own, records
from tasks.benchmarks.examples import Rank, rank_target
from tasks.benchmarks.items import Item, ItemSource
from tasks.benchmarks.records import Published, Record, Records
from tasks.benchmarks.templates import filled
from tasks.metrics.accuracy import accuracy

ENDINGS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}
LETTERS = ("{option_a}", "{option_b}", "{option_c}", "{option_d}")


@dataclass(frozen=True)
class Definition:
    """A benchmark in lm_eval.

    yaml: of a language, below lm_eval's tasks, {code} and {name} standing for it. codes: language ->
    the benchmark's name of it. choices: of an item. items: of the published split, where all
    languages have as many. cloze: (prompt, choices) as templates over the published fields, where
    lm_eval's form asks for a letter.
    """

    yaml: str
    codes: Mapping[str, str]
    choices: int
    items: int | None = None
    cloze: tuple[str, tuple[str, ...]] | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def _same(*languages: str) -> dict[str, str]:
    return {language: language for language in languages}


_ISO3 = {language: code[:3] for language, code in codes.FLORES.items()}
_PIQA = {language: code.lower() for language, code in codes.FLORES_PLUS.items()} | {
    "pt": "por_latn_braz", "es": "spa_latn_spai", "fr": "fra_latn_fran",
}  # fmt: skip
_MMLU = ("en", "zh", "ru", "es", "de", "fr", "it", "pt", "ja", "ar", "ko", "vi", "id", "tr", "pl", "nl", "he")  # fmt: skip
_OKAPI = ("ru", "es", "de", "fr", "it", "pt", "ar", "vi", "id", "nl")
_BLIMP = ("en", "ru", "es", "de", "fr", "it", "pt", "ar", "tr", "pl", "nl", "he")
_INCLUDE = tuple(language for language in _MMLU if language != "en")
BENCHMARKS: Mapping[str, Definition] = {
    "belebele": Definition(
        "belebele/belebele_{code}.yaml", codes.FLORES, 4, 900,
        ("{flores_passage}\nQ: {question}\nA:",
         ("{mc_answer1}", "{mc_answer2}", "{mc_answer3}", "{mc_answer4}")),
    ),
    "global_piqa": Definition("global_piqa/nonparallel_cloze/{code}.yaml", _PIQA, 2, 100),
    "global_mmlu": Definition(
        "global_mmlu/full/{code}/_{code}_template_yaml", _same(*_MMLU), 4, 14_042,
        ("{question}\nAnswer:", LETTERS),
    ),
    "include": Definition(
        "include/default/{Name}/_{name}_template_yaml", _same(*_INCLUDE), 4, None,
        ("{question}\nAnswer:", LETTERS),
    ),
    "multiblimp": Definition(
        "multiblimp/multiblimp_{code}.yaml", {c: _ISO3[c] for c in _BLIMP}, 2
    ),
    "xstorycloze": Definition(
        "xstorycloze/default_{code}.yaml", _same("en", "zh", "ru", "es", "ar", "id"), 2, 1511
    ),
    "hellaswag": Definition(
        "okapi/hellaswag_multilingual/hellaswag_{code}.yaml", _same(*_OKAPI), 4
    ),
    "arc": Definition("okapi/arc_multilingual/arc_{code}.yaml", _same(*_OKAPI, "zh"), 4),
}  # fmt: skip


def register(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = tuple(codes.FLORES),
    benchmarks: Sequence[str] = tuple(BENCHMARKS),
) -> tuple[str, ...]:
    """Registers `belebele.th`, `belebele_cloze.th` and so on for the files that are there.

    languages: each benchmark takes those that it covers. What has no file is left out and said once;
    InputError where nothing has one. Returns the names.
    """
    names: list[str] = []
    missing: list[str] = []
    for benchmark in benchmarks:
        found = BENCHMARKS[one_of("a name of benchmarks", benchmark, BENCHMARKS)]
        for language in (code for code in languages if code in found.codes):
            path = file_of(data_dir, benchmark, found.codes[language])
            if path is None:
                missing.append(f"{benchmark}/{found.codes[language]}")
            else:
                names += _tasks(benchmark, found, language, path, vocabulary)
    if not names:
        raise InputError(
            f"DATA_DIR = {data_dir!r} has no file of any benchmark, as {missing[0] if missing else ''}"
            f".jsonl: docs/paper_benchmarks.md says where they come from."
        )
    if missing:
        print(f"left out, without a file in {data_dir}: {len(missing)} tasks, {_few(missing)}")
    return tuple(names)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")


def file_of(data_dir: str, benchmark: str, code: str) -> str | None:
    """The local file of a benchmark in one language; None where there is none."""
    for ending in ENDINGS:
        path = pathlib.Path(without_home(data_dir, "data_dir")) / benchmark / f"{code}{ending}"
        if path.is_file():
            return str(path)
    return None


def yaml_of(benchmark: str, language: str) -> pathlib.Path:
    """lm_eval's own definition; InputError where it isn't installed, or has another layout."""
    try:
        import lm_eval.tasks
    except ImportError as error:
        raise InputError(
            "these benchmarks are asked as lm_eval asks them: pip install lm_eval==0.4.13."
        ) from error
    found = BENCHMARKS[benchmark]
    name = languages_table.find(language).name
    names = {"code": found.codes[language], "Name": name, "name": name.lower()}
    path = pathlib.Path(lm_eval.tasks.__file__).parent / found.yaml.format_map(names)
    if not path.is_file():
        raise InputError(f"lm_eval has no {path.name} of {benchmark}: install lm_eval==0.4.13.")
    return path


def _tasks(
    benchmark: str, found: Definition, language: str, path: str, vocabulary: str
) -> list[str]:
    forms = {benchmark: _Converter()}
    if found.cloze:
        forms[f"{benchmark}_cloze"] = _Converter(found.cloze)
    names = []
    for form, convert in forms.items():
        published = Published("lm_eval", path, folder=f"{benchmark} {language}")
        source = ItemSource({"scored": published}, {"scored": convert}, FIELDS)
        rules = Protocol(
            form, language, "scored", RANK, "accuracy_sum", normalisation=SUM,
            choices=found.choices, items=found.items,
            note="the answers' own words" if convert.cloze else "as lm_eval 0.4.13 asks",
        )  # fmt: skip
        name = f"{form}.{language}"
        step = Rank(own.Made("", (benchmark, convert.cloze)))
        registry.add_evaluation_task(name, source, step, vocabulary, rank_target, [accuracy])
        protocol.add(name, rules)
        names.append(name)
    return names


FIELDS = {"context": str, "answers": list, "label": int}


@dataclass(frozen=True)
class _Converter:
    """An item as lm_eval asks it, or in cloze form."""

    cloze: tuple[str, tuple[str, ...]] | None = None

    def __call__(self, record: Record) -> Item:
        if self.cloze is None:
            return {name: record[name] for name in FIELDS}
        prompt, choices = self.cloze
        answers = [f" {filled(choice, record['doc'])}" for choice in choices]
        context = filled(prompt, record["doc"])
        return {"context": context, "answers": answers, "label": record["label"]}


def asked(published: Published) -> Records:
    """The items of a file as lm_eval's definition asks them: context, answers, label, the document."""
    benchmark, language = published.folder.split()
    with tempfile.TemporaryDirectory() as place:
        with _without_bars():
            task = loaded(yaml_of(benchmark, language), str(published.path), pathlib.Path(place))
            docs = task.eval_docs
        for number, doc in enumerate(docs, 1):
            context = task.fewshot_context(doc, num_fewshot=0)
            requests = task.construct_requests(doc, context, metadata=(None, 0, 1))
            answers = [request.args[1] for request in requests]
            where = f"{published.path!r}, record {number}"
            label = _label(task, doc, where)
            record = {"context": context, "answers": answers, "label": label, "doc": doc}
            yield where, record


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """`datasets` would draw two for each file, into the command's own."""
    import datasets

    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not quiet:
            datasets.enable_progress_bars()


def _label(task: Any, doc: Mapping, where: str) -> int:
    """Which choice is right, as lm_eval's own `process_results` has it."""
    gold, choices = task.doc_to_target(doc), task.doc_to_choice(doc)
    if not isinstance(gold, int):
        gold = choices.index(gold) if gold in choices else -1
    if not 0 <= gold < len(choices):
        raise InputError(f"{where}, says of no choice that it is right: give the published file.")
    return gold


def loaded(yaml: pathlib.Path, path: str, place: pathlib.Path) -> Any:
    """lm_eval's task over a local file: its definition with another place for the data."""
    from lm_eval.tasks import TaskManager

    ending = pathlib.PurePath(path).suffix
    arguments: dict[str, object] = {"data_files": {"test": path}, "cache_dir": str(place / "cache")}
    if ending == ".tsv":
        arguments["sep"] = "\t"
    changed = {
        "include": str(yaml), "task": "here", "dataset_path": ENDINGS[ending], "dataset_name": None,
        "dataset_kwargs": arguments, "training_split": None, "fewshot_split": None,
        "validation_split": None, "test_split": "test", "tag": None,
    }  # fmt: skip
    (place / "here.yaml").write_text(json.dumps(changed), encoding="utf-8")
    try:
        found = TaskManager(include_defaults=False).load([str(place / "here.yaml")])["tasks"]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path!r} isn't as lm_eval's {yaml.name} expects it ({str(error)[:200]}): give the file "
            "as it was published."
        ) from error
    return next(iter(found.values()))


records.READERS["lm_eval"] = asked
