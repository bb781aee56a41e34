"""lm_eval: our model in its tasks, beside its own transformers model on the exported weights."""

import dataclasses
import json
import os

import numpy as np
import pytest
import toy_harness
import toy_hf

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.errors import InputError
from polylm_jax.evaluation import examples, language_model, runner
from polylm_jax.evaluation.language_model import Batching, Loading
from polylm_jax.runtime.storage import Folder
from tasks.benchmarks import xcopa, xwinograd

pytest.importorskip("lm_eval", reason="lm_eval is not installed")
CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, embed_dim=32, mlp_dim=64, max_length=512)
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint `run`, its export `hf` and its vocabulary."""
    folder = tmp_path_factory.mktemp("lm_eval")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary, CONFIG, scale=0.3, without_bytes=True)
    export(str(folder / "run"), str(folder / "hf"), vocabulary, verify=False)
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    from polylm_jax.evaluation.lm_eval_model import PolyLMEval

    return PolyLMEval(
        str(folder / "run"), str(folder / "bpe.model"), dtype="float32", tokens_per_part=512,
        label_chunk=64, rows=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def theirs(folder):
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(folder / "hf"), device="cpu", dtype="float32", batch_size=64,
        prefix_token_id=2,  # else `<s>`, which begins no text that PolyLM has seen
    )  # fmt: skip


def samples(model, config):
    """lm_eval's results of one local task, and its samples in the order of the documents."""
    found = toy_harness.evaluated(model, dict(config))
    rows = sorted(found["samples"][config["task"]], key=lambda row: row["doc_id"])
    return found["results"][config["task"]], rows


def task(name, path, **changes):
    """The config of a task over a file of JSON lines."""
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "target_delimiter": "",
        **changes,
    }


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def by_item(name):
    """Our task's examples as lm_eval's documents: contexts, choices, which is right."""
    import seqio

    from polylm_jax.evaluation import protocol

    items = {}
    for example in examples.read(seqio.TaskRegistry.get(name), protocol.find(name).split):
        items.setdefault(example["idx"][0], []).append(example)
    return [
        {
            "contexts": [choice["inputs"] for choice in choices],
            "choices": [choice["targets"] for choice in choices],
            "context": choices[0]["inputs"],
            "continuation": choices[0]["targets"],
            "gold": [choice["is_correct"] for choice in choices].index(True),
        }
        for choices in items.values()
    ]


def their_task(name, documents, path):
    """Choices after one context, or contexts before one continuation (as winogrande has it)."""
    if all(len({*document["choices"]}) == 1 for document in documents):
        shape = ("gold", "contexts", "continuation")
    else:
        shape = ("context", "choices", "gold")
    fields = dict(zip(("doc_to_text", "doc_to_choice", "doc_to_target"), shape, strict=True))
    return task(
        name.replace(".", "_"), write(path / f"{name}.jsonl", documents),
        output_type="multiple_choice", metric_list=[{"metric": "acc"}], **fields,
    )  # fmt: skip


def log_ps(rows):
    """[documents][choices] of lm_eval's samples."""
    return [[float(answer[0][0]) for answer in row["resps"]] for row in rows]


@pytest.fixture(scope="module")
def benchmarks(folder, data_dir):
    """XCOPA's validation in six languages, XWinograd in three, as published, and its other scoring.

    A fifth of their items.
    """
    for path in (data_dir / "benchmarks").glob("x*/*"):
        place = folder / "benchmarks" / path.relative_to(data_dir / "benchmarks")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::5]))
    place, vocabulary = str(folder / "benchmarks"), str(folder / "bpe.model")
    names = xcopa.register(
        place, vocabulary, languages=["id", "it", "th", "tr", "vi", "zh"], split="validation"
    )
    files = {"test": "xwinograd/fr_pt_ru.tsv"}
    names += xwinograd.register(place, vocabulary, languages=["fr", "pt", "ru"], files=files)
    return [name for name in names if not name.endswith(".repaired")]


def test_three_ways_to_the_same_choice(folder, benchmarks, ours, theirs, tmp_path):
    """Items of the sample data, through our tasks, our lm_eval model and lm_eval's own."""
    answered = 0
    for name in benchmarks:
        result = runner.run(runner.ask(name, ours.model), ours.model, Folder(str(tmp_path / "out")))
        lines = [json.loads(x) for x in (tmp_path / f"out/{name}.jsonl").read_text().splitlines()]
        mine = {line["n"]: line["log_p"] for line in lines[1:]}
        documents = by_item(name)
        config = their_task(name, documents, tmp_path)
        scores, rows = samples(ours, config)
        their_scores, their_rows = samples(theirs, config)
        choices = len(documents[0]["choices"])
        tasks_log_p = np.array([mine[n] for n in range(len(mine))]).reshape(-1, choices)
        for found in (log_ps(rows), log_ps(their_rows)):
            np.testing.assert_allclose(tasks_log_p, found, atol=TOLERANCE, err_msg=name)
            assert (tasks_log_p.argmax(1) == np.argmax(found, 1)).all(), name
        accuracy = result.metrics["accuracy_sum"]
        assert accuracy == pytest.approx(100 * scores["acc,none"]), name
        assert accuracy == pytest.approx(100 * their_scores["acc,none"]), name
        answered += len(documents)
    assert answered == 6 * 20 + 2 * 133


def test_the_two_scorings_of_xwinograd_differ(benchmarks, ours):
    """log p(suffix | prefix + option) is not log p(option + suffix | prefix)."""
    partial, full = (runner.ask(name, ours.model) for name in ("xwinograd.ru", "xwinograd.ru.full"))
    assert [len(r.continuation) for r in full.asked] != [len(r.continuation) for r in partial.asked]
    found = [runner.run(asked, ours.model).metrics["accuracy_sum"] for asked in (partial, full)]
    assert found[0] != found[1]


def test_whole_texts_and_greedy_answers_are_theirs(ours, theirs, tmp_path):
    texts = ["The ferry leaves at 7:45, so bring bread. " * 30, "เรือข้ามฟากออกเวลา ๗:๔๕ น.", "渡轮"]
    path = write(tmp_path / "texts.jsonl", [{"text": t, "start": t[:20]} for t in texts])
    rolling = task(
        "rolling", path, output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="text",
        metric_list=[{"metric": "bits_per_byte"}],
    )  # fmt: skip
    sums = [[row["resps"][0][0] for row in samples(m, rolling)[1]] for m in (ours, theirs)]
    np.testing.assert_allclose(*np.array(sums, float), atol=TOLERANCE)
    options = {"until": ["e"], "max_gen_toks": 12, "do_sample": False}
    # The model has more tokens than the vocabulary, which ours never writes.
    beyond = {"suppress_tokens": [*range(ours.model.tokenizer.vocab_size, CONFIG.vocab_size)]}
    until = [
        task(
            "until", path, output_type="generate_until", doc_to_text="start", doc_to_target="text",
            metric_list=[{"metric": "exact_match"}], generation_kwargs=chosen,
        )
        for chosen in (options, options | beyond)
    ]  # fmt: skip
    answers = [
        [row["resps"][0][0] for row in samples(model, config)[1]]
        for model, config in zip((ours, theirs), until, strict=True)
    ]
    assert answers[0] == answers[1] and any(answers[0])
    assert not any("e" in answer for answer in answers[0])


def test_too_long_requests_keep_their_right_end(ours, caplog):
    from lm_eval.api.instance import Instance

    long = "The ferry leaves at 7:45. " * 100
    asked = [
        Instance("loglikelihood", {}, (context, " Bring bread."), number)
        for number, context in enumerate((long, "The ferry leaves."))
    ]
    with caplog.at_level("WARNING"):
        (cut, _), (whole, _) = ours.loglikelihood(asked)
    assert ours.too_long["loglikelihood"] == 1 == ours.get_model_info()["requests_too_long"][
        "loglikelihood"
    ]  # fmt: skip
    assert "don't fit the model's 512 positions" in caplog.text
    assert np.isfinite([cut, whole]).all() and cut != whole
    with pytest.raises(InputError, match="leave that request out"):
        ours.loglikelihood([Instance("loglikelihood", {}, ("a", long), 0)])


def test_bad_arguments_get_one_sentence(folder, ours):
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model

    vocabulary = str(folder / "bpe.model")
    with pytest.raises(InputError, match=r"takes no 'stpe'. Did you mean 'step'"):
        get_model("polylm").create_from_arg_string(
            f"checkpoint={folder / 'run'},vocabulary={vocabulary},stpe=3", {"batch_size": 8}
        )
    with pytest.raises(InputError, match="temperature"):
        ours.generate_until([Instance("generate_until", {}, ("a", {"temprature": 1}), 0)])
    with pytest.raises(InputError, match="leaves no room"):
        ours.generate_until([Instance("generate_until", {}, ("a", {"max_gen_toks": 512}), 0)])


def test_the_model_is_the_runs(folder, ours):
    found, progress = identity.identify(str(folder / "run"))
    other = language_model.load(
        found, progress, str(folder / "bpe.model"),
        Loading(dtype="float32", batching=Batching(256, 32, 1)),
    )  # fmt: skip
    assert ours.get_model_info()["model_sha"] == found.identity
    assert ours.get_model_info()["model_num_parameters"] == CONFIG.num_params
    assert other.config == ours.model.config
