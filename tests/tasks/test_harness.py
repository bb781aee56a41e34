"""lm_eval's own definitions over local files of every benchmark: what is asked, and which is right."""

import pytest
import seqio
import toy_harness
from reading import write
from test_benchmark_files import registry_of_each_test  # noqa: F401

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES
from tasks.benchmarks import harness

pytest.importorskip("lm_eval", reason="lm_eval is not installed")
COVERED = {  # of the 18, as lm_eval 0.4.13 has them
    "belebele": 18, "global_piqa": 18, "global_mmlu": 17, "include": 16, "multiblimp": 12,
    "xstorycloze": 6, "hellaswag": 10, "arc": 11,
}  # fmt: skip


def asked(name):
    """The examples of a task's items."""
    task = seqio.TaskRegistry.get(name)
    step = task.preprocessors[0]
    items = task.source.items("scored")
    return [one for n, item in enumerate(items) for one in step.render({**item, "number": n})]


def test_every_covered_language_has_a_definition():
    assert {name: len(found.codes) for name, found in harness.BENCHMARKS.items()} == COVERED
    for name, found in harness.BENCHMARKS.items():
        assert set(found.codes) <= set(LANGUAGES)
        for language in found.codes:
            assert harness.yaml_of(name, language).is_file()


def test_items_are_asked_as_lm_eval_asks_them(tmp_path, capsys):
    folder = toy_harness.write_all(tmp_path)
    names = harness.register(str(folder), "sp.model", ("he", "ar"))
    assert "left out" in capsys.readouterr().out
    expected = {f"{b}.{code}" for code, some in toy_harness.LANGUAGE.items() for b in some}
    assert set(names) == expected | {
        f"{b}_cloze.he" for b in ("belebele", "global_mmlu", "include")
    }
    for name in names:
        examples = asked(name)
        choices = harness.BENCHMARKS[name.partition(".")[0].removesuffix("_cloze")].choices
        assert len(examples) == 2 * choices, name
        assert sum(one["is_correct"] for one in examples) == 2
    passage = toy_harness.PASSAGE
    first = asked("belebele.he")[:4]
    assert first[0]["inputs"] == (
        f"P: {passage}\nQ: מתי?\nA: at noon\nB: at 7:45\nC: never\nD: at six\nAnswer:"
    )
    assert [(one["targets"], one["is_correct"]) for one in first] == [
        (" A", False), (" B", True), (" C", False), (" D", False),
    ]  # fmt: skip
    cloze = asked("belebele_cloze.he")
    assert cloze[1]["inputs"] == f"{passage}\nQ: מתי?\nA:" and cloze[1]["targets"] == " at 7:45"
    right = {
        name: [one["targets"] for one in asked(name) if one["is_correct"]]
        for name in sorted(expected)
    }
    assert right == {
        "arc.ar": [" at noon", " at six"], "belebele.he": [" B", " A"],
        "global_mmlu.he": [" A", " C"], "global_piqa.he": [" bring a coat.", " bring bread."],
        "hellaswag.ar": [" at 7:45.", " is warm."], "include.he": [" A", " C"],
        "multiblimp.he": ["The ferries leave.", "She brings bread."],
        "xstorycloze.ar": [" Five.", " E."],
    }  # fmt: skip


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'belebele'"):
        harness.register(str(tmp_path), "sp.model", ("he",), ("belebel",))
    with pytest.raises(
        InputError, match="has no file of any benchmark, as belebele/heb_Hebr.jsonl"
    ):
        harness.register(str(tmp_path), "sp.model", ("he",))
    write(tmp_path / "arc/ar.jsonl", '{"id": "1"}\n')
    harness.register(str(tmp_path), "sp.model", ("ar",), ("arc",))
    with pytest.raises(InputError, match="arc_ar.yaml") as error:
        asked("arc.ar")
    assert len(str(error.value).splitlines()) == 1
