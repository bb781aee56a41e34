"""A run of `finetune`: what it learns, what it is measured on, what it refuses."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import toy_finetune
import toy_hf
import toy_run

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.hf import verifying
from polylm_jax.data import packed_rows
from polylm_jax.data.packed_rows import Packed
from polylm_jax.data.stores.store import ANSWER, BEGINS, MARKS
from polylm_jax.errors import InputError
from polylm_jax.model.lora import Lora
from polylm_jax.model.network import PolyLM
from polylm_jax.training import step
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.finetuning import FinetuningExperiment
from polylm_jax.training.identity import fingerprint

pytest_plugins = ["toy_fixture"]

L = toy_finetune.LENGTH


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_finetune.make(tmp_path_factory.mktemp("finetune"))


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    """16 steps on both languages, validated at steps 0, 8 and 16."""
    model_dir = tmp_path_factory.mktemp("tuned")
    toy_finetune.run(folder, model_dir)
    return model_dir


@pytest.fixture(scope="module")
def rows(folder, tuned):
    """The run's rows; its stores are there by now."""
    return toy_finetune.experiment(folder).resolve().rows


@pytest.fixture(scope="module")
def base_nll(folder):
    """Function of (tokens, packing): nats of each label under the base."""
    model = PolyLM(toy_finetune.MODEL)
    abstract = verifying.abstract_params(toy_finetune.MODEL, jax.devices()[0])
    params = checkpoint.restore_params(str(folder / "base"), abstract)

    @jax.jit
    def nll(tokens, packing):
        weights = np.ones((tokens.shape[0], tokens.shape[1] - 1), np.float32)
        return step.row_loss(model, params, tokens, weights, **packing)[1]

    return lambda tokens, packing: np.asarray(nll(tokens, packing), np.float64)


def answers(store, split):
    """The tokens of each conversation of a split and which are answers."""
    tokens, marks = (
        store.read_rows(name, np.zeros(1, np.int64), store.num_tokens(name) - 1)[0]
        for name in (split, split + MARKS)
    )
    cuts = np.flatnonzero(marks & BEGINS)[1:]
    return list(zip(np.split(tokens, cuts), np.split((marks & ANSWER) > 0, cuts)))


def test_only_answers_count_and_no_conversation_is_lost(rows, folder):
    for name, store in rows.stores.items():
        packed = rows.packed[name]
        inputs = rows.inputs(np.arange(4))
        assert set(inputs) == {"tokens", "component", *rows.packing}
        every = packed.rows(np.arange(packed.num_rows), L, 2)
        weights = packed_rows.model_inputs(every)["weights"]
        expected = answers(store, "train")
        assert weights.sum() == sum(answer.sum() for _, answer in expected)
        learned = sorted(every["tokens"][:, 1:][weights > 0].tolist())
        assert learned == sorted(t for ids, answer in expected for t in ids[answer].tolist())
        on_all = packed_rows.model_inputs(every, on_all=True)["weights"]
        assert on_all.sum() == sum(len(ids) - 1 for ids, _ in expected)


def test_packing_keeps_the_loss_of_an_example(rows, base_nll):
    """Of every example the nats of every label, whatever stands beside it in its row."""
    store = rows.stores["sums.es"]
    found = {}
    for together in (True, False):
        packed = Packed.read(store, "train", L, together)
        arrays = packed.rows(np.arange(packed.num_rows), L, 2)
        inputs = packed_rows.model_inputs(arrays)
        weights = inputs.pop("weights")
        nll = base_nll(arrays["tokens"], inputs) * weights
        for row in range(packed.num_rows):
            of_row = packed.examples[slice(*packed.starts[row : row + 2])]
            for segment, example in enumerate(of_row, 1):
                here = arrays["segments"][row, 1:] == segment
                found.setdefault(int(example), []).append(
                    nll[row][here].sum() / weights[row][here].sum()
                )
    assert len(found) == len(answers(store, "train")) and packed.num_rows == len(found)
    one, other = np.array([found[example] for example in sorted(found)]).T
    np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)


def test_validation_is_the_loss_of_held_out_answers(tuned, rows, base_nll):
    first, _, last = toy_finetune.lines(tuned, "validation.jsonl")
    for name, code in (("sums.es", "es"), ("sums.ja", "ja")):
        examples = answers(rows.stores[name], "validation")
        nats, count = 0.0, 0
        for ids, answer in examples:
            tokens = np.full((1, L + 1), 2, np.int32)
            tokens[0, : len(ids)] = ids
            nats += base_nll(tokens, {})[0][: len(ids) - 1][answer[1:]].sum()
            count += int(answer.sum())
        assert first["tokens"][code] == count
        assert first["loss"][code] == pytest.approx(nats / count, rel=1e-5)
        assert last["loss"][code] < 0.7 * first["loss"][code]


def test_shares_of_tuning_are_of_rows(tuned, rows):
    ledger = toy_finetune.lines(tuned, "ledger.jsonl")[-1]
    counts = [ledger["components"][name]["tokens"] for name in ("sums.es", "sums.ja")]
    assert counts == [96 * L, 32 * L]
    line = toy_finetune.lines(tuned, "metrics.jsonl")[-1]
    assert 0.2 < line["learned_share"] < 0.8
    told = "\n".join(rows.notes())
    assert "sums.es" in told and "full" in told and "1 left out, the output is 'None'" in told


def test_a_language_that_is_not_trained_on_is_validated_too(folder, tuned, tmp_path):
    alone = {
        "phases": [toy_finetune.PhaseConfig({"sums.ja": 1.0}, steps=8, warmup_steps=1)],
        "also_validated": ("sums.es",),
        "tasks": ("sums.es", "sums.ja"),
    }
    toy_finetune.run(folder, tmp_path, alone)
    first, last = toy_finetune.lines(tmp_path, "validation.jsonl")
    assert first["loss"] == pytest.approx(toy_finetune.lines(tuned, "validation.jsonl")[0]["loss"])
    assert last["loss"]["ja"] < last["loss"]["es"] * first["loss"]["ja"] / first["loss"]["es"]
    ledger = toy_finetune.lines(tmp_path, "ledger.jsonl")[-1]
    assert set(ledger["components"]) == {"sums.ja"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"base": ""}, "finetune needs BASE"),
        ({"base": "no/such/run"}, "no/such/run has no 'checkpoints' folder"),
        ({"base_step": 9}, "no complete checkpoint 9: it has 3"),
        ({"loss_on": "answers"}, "loss_on = 'answers' is not one of responses, all"),
        ({"held_out_examples": 0}, "held_out_examples = 0"),
        ({"sequence_length": 4}, "no conversation that fits a row of 4"),
        ({"also_validated": ("sums.ess",)}, "Did you mean 'sums.es'"),
        ({"model": toy_run.model(vocab_size=400, max_length=L)}, "holds another model"),
    ],
)
def test_bad_input_is_one_sentence(changes, sentence, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("polylm_jax.training.programs.Programs.lower_step", None)
    with pytest.raises(InputError, match=sentence):
        toy_finetune.run(folder, tmp_path, changes)
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_text_that_is_no_conversation_is_refused(toy_folder, folder, tmp_path):
    plain = {
        "phases": toy_run.phases(), "cache_dir": f"{toy_folder}/stores",
        "vocabulary": f"{toy_folder}/toy.model",
    }  # fmt: skip
    with pytest.raises(InputError, match="'toy.en' is no conversations"):
        toy_finetune.run(folder, tmp_path, plain)


def test_what_decides_the_numbers_is_in_the_fingerprint(folder, tuned):
    fingerprint = json.loads((tuned / "fingerprint.json").read_text())
    assert fingerprint["finetuning"] == {"loss_on": "responses", "pack": True}
    with pytest.raises(InputError, match="finetuning.loss_on: responses -> all"):
        toy_finetune.run(folder, tuned, {"loss_on": "all"})


def test_the_base_is_what_the_run_starts_from_by_content(folder, tuned, tmp_path):
    shutil.copytree(folder / "base", tmp_path / "moved")
    toy_finetune.run(folder, tuned, {"base": f"{tmp_path}/moved"})
    toy_hf.checkpoint(tmp_path / "other", f"{folder}/toy.model", toy_finetune.MODEL, 0.2, step=3)
    with pytest.raises(InputError, match="start: [0-9a-f]{12}... -> [0-9a-f]{12}..."):
        toy_finetune.run(folder, tuned, {"base": f"{tmp_path}/other"})
    with pytest.raises(InputError, match="starts from BASE"):
        toy_finetune.run(folder, tuned, {"init_from": f"{tmp_path}/other"})


def test_what_a_tuned_run_computes_is_in_its_fingerprint(folder, tuned):
    fewer = Lora(dict.fromkeys(Lora().ranks, 4))
    changes = [{}, {"loss_on": "all"}, {"pack": False}]
    changes += [{"lora": lora} for lora in (Lora(), Lora(alpha=1.0), fewer)]
    found = [fingerprint(toy_finetune.experiment(folder, **one).resolve()) for one in changes]
    assert len({json.dumps(one, sort_keys=True) for one in found}) == len(changes)


def test_what_a_tuned_run_is_measured_on_is_not(folder, tuned):
    measured = toy_finetune.experiment(folder, held_out_examples=3, also_validated=("sums.es",))
    plain = toy_finetune.experiment(folder)
    assert fingerprint(plain.resolve()) == fingerprint(measured.resolve())
    own = {field.name for field in dataclasses.fields(FinetuningExperiment)}
    own -= {field.name for field in dataclasses.fields(Experiment)}
    decided = {"base", "base_step", "loss_on", "pack", "lora"}
    assert own == decided | {"held_out_examples", "also_validated"}
