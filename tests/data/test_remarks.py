"""What is odd about a task's documents is said once, or refused with the right advice."""

import pytest
import toy_tasks
from reading import jsonl, write

from polylm_jax.data.stores.build import Progress, build_store
from polylm_jax.errors import InputError
from polylm_jax.text import held_out, task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import corpus


class Remarks(Progress):
    """Keeps what a build remarks."""

    def __init__(self):
        self.said = []

    def remark(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_tasks.model(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def remarks(tmp_path, toy):
    """Builds the store of a task of one source and returns what was remarked."""

    def build(name: str, source: object, **options) -> list[str]:
        options = {"held_out": 0.05, **options}
        corpus.register(str(tmp_path), toy, {"th": source}, name=name, **options)
        progress = Remarks()
        task = task_text.find(f"{name}.th")
        build_store(task, str(tmp_path / f"store {name}"), Tokenizer.load(toy), progress=progress)
        return progress.said

    return build


def documents(count: int, **same) -> list[dict]:
    return [{"id": str(n), "text": f"text {n}"} | same for n in range(count)]


def test_one_large_group_is_said_with_its_number(tmp_path, remarks):
    write(tmp_path / "a.jsonl", jsonl([*documents(300), *documents(100, id="nan")]))
    (said,) = remarks("large", "a.jsonl")
    assert said.startswith("large.th: 100 of 400 documents are one group ('nan')")
    assert "all of them are held out" in said or "all of them are trained on" in said


def test_many_small_groups_are_nothing_to_say(tmp_path, remarks):
    write(tmp_path / "a.jsonl", jsonl([row for n in range(60) for row in documents(5, id=str(n))]))
    assert remarks("small", "a.jsonl") == []


def test_files_of_one_document_each_have_no_validation(tmp_path, remarks):
    for n in (1, 2, 3):
        write(tmp_path / f"{n}.txt", f"A text of some words, number {n}.\n" * 20)
    (said,) = remarks("files", "*.txt", held_out=0.0001)
    assert "none of its 3 documents is held out" in said
    assert "documents = 'blank_lines'" in said


def test_a_large_held_out_part_is_said(tmp_path, remarks):
    """Of few documents, or of one that is as long as all others: chance, and no group's doing."""
    for n in range(8):
        write(tmp_path / f"{n}.txt", f"A text of some words, number {n}.\n" * 20)
    long = (f"A text of other words, number {n}.\n" * 200 for n in range(999))
    out = next(text for text in long if held_out.is_held_out(held_out.group_of("", text), 0.05))
    write(tmp_path / "0.txt", out)
    (said,) = remarks("much", "*.txt", held_out=0.05)
    assert "tokens are held out and not trained on, in 1 of 8 documents (about 5.00% of" in said
    assert "say documents = 'blank_lines'" in said
    many = [f"Text {n} of some words.\n\n" for n in range(3000)]
    write(tmp_path / "0.txt", "".join(many))
    assert remarks("sample", {"paths": "0.txt", "documents": "blank_lines"}) == []


def test_all_text_held_out_is_refused(tmp_path, remarks):
    write(tmp_path / "a.txt", "One file.\n" * 20)
    with pytest.raises(
        InputError, match="1 document, held out to the last.*'blank_lines'"
    ) as error:
        remarks("held", "a.txt", held_out=0.9999999)
    assert "\n" not in str(error.value)


def test_a_filter_that_leaves_nothing_is_refused_by_name(tmp_path, remarks):
    write(tmp_path / "a.jsonl", jsonl(documents(50, lang="sw")))
    with pytest.raises(InputError, match=r"where = \{'lnag': 'sw'\} left nothing .*'lang'\?"):
        remarks("filter", {"paths": "a.jsonl", "where": {"lnag": "sw"}})


def test_a_filter_against_a_field_that_nothing_has_is_said(tmp_path, remarks):
    write(tmp_path / "a.jsonl", jsonl(documents(50, lang="sw")))
    said = remarks("against", {"paths": "a.jsonl", "where_not": {"lnag": "sw"}})
    assert any("against.th: where_not: no record has the field 'lnag'" in one for one in said)


def test_text_that_no_mixture_names_is_said(tmp_path, toy, capsys):
    for name in ("a.jsonl", "b.jsonl", "en-th.jsonl"):
        write(tmp_path / name, jsonl(documents(5, en="e", th="t")))

    def register(name: str, shares: dict) -> list[str]:
        given = {"en": "a.jsonl", "th": "b.jsonl"}, {"en-th": "en-th.jsonl"}
        corpus.register(str(tmp_path), toy, *given, {f"{name}.all": shares}, name=name)
        return capsys.readouterr().err.splitlines()

    said = register("unused", {"en": 1.0})
    assert [line.partition(" ")[0] for line in said] == ["'th'", "'parallel'"]
    assert "(unused.th) has no share in unused.all" in said[0]
    assert "unused.en_th, unused.th_en" in said[1]
    assert register("zero", {"en": 1.0, "th": 0, "parallel": 0}) == []
    (line,) = register("task", {"en": 0.5, "th": 0.4, "task.en_th": 0.1})
    assert line.startswith("'parallel' (task.th_en) has no share in task.all, so it is never")
