"""evaluate_today.gin: every benchmark's toy files to one table, the scores equal to lm_eval's own model."""

import dataclasses
import json
import os

import pytest
import toy_harness
import toy_hf
import toy_today
from tables import unpadded

import run
from polylm_jax.checkpoints.hf.exporting import export
from tasks.benchmarks import harness

pytest.importorskip("lm_eval", reason="lm_eval is not installed")
CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, embed_dim=32, mlp_dim=64, max_length=512)
GIN = "gin_configs/recipes/evaluate_today.gin"
LETTERED = ("belebele.he", "global_mmlu.he", "include.he")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Toy files of all benchmarks, two checkpoints and their vocabulary, both evaluated."""
    folder = tmp_path_factory.mktemp("today")
    toy_harness.write_all(toy_today.write_all(folder / "data"))
    vocabulary = toy_hf.vocabulary(folder)
    for name, scale, languages in (
        ("first", 0.1, ["he"]), ("second", 0.3, ["en", "ar", "th", "he"]),
    ):  # fmt: skip
        toy_hf.checkpoint(folder / name, vocabulary, CONFIG, scale=scale, without_bytes=True)
        beside = [str(place) for place in (folder / "results").glob("step_7_*")]
        code = run.main([
            "evaluate", f"--gin_file={GIN}", f"--gin.CHECKPOINT='{folder / name}'",
            f"--gin.VOCABULARY='{vocabulary}'", f"--gin.BENCHMARK_DIR='{folder / 'data'}'",
            f"--gin.RESULTS='{folder / 'results'}'", f"--gin.BESIDE={beside}",
            f"--gin.LANGUAGES={languages}", "--dtype=float32", "--max_new_tokens=8",
            "--compilation_cache_dir=",
        ])  # fmt: skip
        assert code == 0
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    return folder


def results(folder, name):
    """results.json and results.md of a checkpoint."""
    for place in (folder / "results").glob("step_7_*"):
        found = json.loads((place / "results.json").read_text())
        if found["checkpoint"]["name"] == name:
            return place, found, (place / "results.md").read_text()
    raise AssertionError(name)


def test_the_overview_has_other_checkpoints_beside(folder):
    place, found, markdown = results(folder, "second")
    benchmarks = {task["protocol"]["benchmark"] for task in found["tasks"].values()}
    assert benchmarks >= {
        *harness.BENCHMARKS, "belebele_cloze", "global_mmlu_cloze", "include_cloze", "xquad",
        "xquad_bits", "mgsm", "mgsm_bits", "sib200", "flores", "flores_bits",
    }  # fmt: skip
    lines = markdown.split("## All benchmarks\n\n")[1].split("\n\n")[0].splitlines()
    assert unpadded(lines[0]) == "| benchmark | checkpoint | metric | en | ar | th | he | average |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    of_belebele = [row for row in rows[: next(
        n for n, row in enumerate(rows) if row[0] not in ("", "belebele")
    )]]  # fmt: skip
    assert [row[1] for row in of_belebele] == [
        "second", "first, step 7", "guessing", "second", "first, step 7",
    ]  # fmt: skip
    (first, *_), (_, other, _) = results(folder, "second"), results(folder, "first")
    for row, task in ((of_belebele[3], found), (of_belebele[4], other)):
        bits = task["tasks"]["belebele.he"]["metrics"]["answer_bits_per_byte"]
        assert row[2].startswith("bits per byte") and row[6] == f"{bits:.3f}†"
    assert first == place and (place / "sib200.png").exists()


def test_accuracy_of_every_item_is_lm_evals_own_models(folder, tmp_path):
    """lm_eval runs its definitions on the exported weights with its own transformers model."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from lm_eval.models.huggingface import HFLM

    out = tmp_path / "hf"
    export(str(folder / "second"), str(out), str(folder / "bpe.model"), verify=False)
    theirs = HFLM(pretrained=str(out), device="cpu", dtype="float32", prefix_token_id=2)
    place, _, _ = results(folder, "second")
    for language, benchmarks in toy_harness.LANGUAGE.items():
        for benchmark in benchmarks:
            code = toy_harness.DOCUMENTS[benchmark][0]
            path = harness.file_of(str(folder / "data"), benchmark, code)
            task = harness.loaded(harness.yaml_of(benchmark, language), path, tmp_path)
            found = toy_harness.evaluated(theirs, task)
            (samples,) = found["samples"].values()
            wanted = [
                answer[0] for row in sorted(samples, key=lambda row: row["doc_id"])
                for answer in row["filtered_resps"]
            ]  # fmt: skip
            lines = (place / "outputs" / f"{benchmark}.{language}.jsonl").read_text().splitlines()
            ours = {line["n"]: line["log_p"] for line in map(json.loads, lines[1:])}
            assert [ours[n] for n in range(len(wanted))] == pytest.approx(wanted, abs=1e-3)
