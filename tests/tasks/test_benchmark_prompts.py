"""Prompts: every task's strings, as tests/tasks/golden/prompts.txt has them, one block per task."""

import importlib.util
import json
import pathlib

import pytest
import seqio
from toy_benchmarks import (
    XWINOGRAD,
    XWINOGRAD_OTHER,
    XWINOGRAD_SECOND,
    register_all,
    write_all,
)

from polylm_jax.evaluation import protocol
from tasks.benchmarks import pawsx, xcopa, xnli, xwinograd

GOLDEN = pathlib.Path(__file__).parent / "golden/prompts.txt"
WHAT_TO_DO = (
    "A prompt of {task} isn't what tests/tasks/golden/prompts.txt has: its published numbers no longer "
    "compare. Correct the prompt, or, if the change is meant, the file by hand."
)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    write_all(folder)
    return register_all(folder)


def block(name):
    """The first item of a task: 'inputs' + 'targets' of each example, quoted; * is the right one."""
    task = seqio.TaskRegistry.get(name)
    item = task.source.items(protocol.find(name).split)[0]
    lines = [name]
    for example in task.preprocessors[0].render({**item, "number": 0}):
        mark = "*" if example.get("is_correct", True) else " "
        texts = [quoted(example[key]) for key in ("inputs", "targets")]
        lines.append(f"{mark} {texts[0]} + {texts[1]}")
    return "\n".join(lines)


def quoted(text):
    return '"' + text.replace("\n", "\\n") + '"'


def golden():
    blocks = GOLDEN.read_text(encoding="utf-8").strip("\n").split("\n\n")
    return {one.partition("\n")[0]: one for one in blocks if not one.startswith("#")}


def test_every_task_has_its_golden_block(names):
    assert list(golden()) == list(names)


def test_prompts_are_golden(names):
    wrong = [name for name in names if golden()[name] != block(name)]
    assert not wrong, WHAT_TO_DO.format(task=wrong[0]) + "\n" + block(wrong[0])


@pytest.fixture(scope="module", name="peer")
def folder_of_lm_eval():
    """Where lm_eval keeps its tasks."""
    tasks = pytest.importorskip("lm_eval.tasks", reason="lm_eval isn't installed")
    folder = pathlib.Path(tasks.__file__).parent
    if not (folder / "xnli/xnli_th.yaml").exists():
        pytest.skip("this lm_eval comes without its tasks")
    return folder


def test_words_are_those_of_lm_eval(peer):
    """Of XNLI, and of PAWS-X too but for French, whose words lm_eval 0.4 has repaired."""
    for language, (right, *labels) in xnli.WORDS.items():
        text = unspaced((peer / f"xnli/xnli_{language}.yaml").read_text("utf-8"))
        assert all(unspaced(f"{right}?{label}") in text for label in labels), language
    for language, published in pawsx.WORDS.items():
        right, *labels = pawsx.REPAIRED_WORDS.get(language, published)
        text = unspaced((peer / f"paws-x/paws_{language}.yaml").read_text("utf-8"))
        text = text.replace("''", "'")
        assert all(unspaced(f"{right}?{label}") in text for label in labels), language


def unspaced(text):
    """Without white space: YAML breaks its lines anywhere."""
    return "".join(text.split())


def test_xcopa_is_lm_evals(peer, data_dir):
    theirs = functions(peer / "xcopa/utils.py")
    for path in sorted((data_dir / "benchmarks/xcopa").iterdir()):
        language = path.name.split(".")[1]
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            choices = xcopa.Prompt(language).choices(xcopa.item(record))
            context = theirs[f"doc_to_text_{language}"](record)
            assert [choice.context for choice in choices] == [context, context]
            wanted = [f" {choice}" for choice in theirs["doc_to_choice"](record)]
            assert [choice.continuation for choice in choices] == wanted


def test_xwinograd_is_lm_evals(peer):
    theirs = functions(peer / "xwinograd/utils.py")
    for sentence, *options, answer in [*XWINOGRAD.values(), XWINOGRAD_OTHER, XWINOGRAD_SECOND]:
        record = dict(
            zip(("sentence", "option1", "option2", "answer"), (sentence, *options, answer))
        )
        item = xwinograd.from_json(record)
        choices = xwinograd.Partial().choices(item)
        assert [choice.context for choice in choices] == theirs["doc_to_choice"](record)
        assert {choice.continuation for choice in choices} == {
            " " + theirs["doc_to_target"](record)
        }
        assert item["label"] == theirs["doc_to_text"](record)


def functions(path):
    """What a Python file defines, the file not being in a package."""
    spec = importlib.util.spec_from_file_location("lm_eval_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)
