"""`dpo` from end to end: whole and with adapters, the reference scored once, the loss TRL's on the same batch."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
import toy_dpo
import toy_finetune

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.errors import InputError
from polylm_jax.model.lora import Lora
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import preference_tuning
from polylm_jax.training.preference_tuning import score_reference
from polylm_jax.training.programs import Programs


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_dpo.make(tmp_path_factory.mktemp("dpo"))


@pytest.fixture(scope="module")
def tuned(toy):
    toy_dpo.run(toy, toy / "tuned")
    return toy / "tuned"


def check(model_dir):
    """The base loses log 2 on every pair; the tuned one prefers the answers that it was shown."""
    first, last = toy_finetune.lines(model_dir, "validation.jsonl")
    assert set(first["loss"]) == {"es", "ja"} and min(first["pairs"].values()) > 5
    assert all(value == pytest.approx(math.log(2), abs=1e-5) for value in first["loss"].values())
    assert all(abs(value) < 1e-4 for value in first["gain"].values())
    assert all(value < 0.65 for value in last["loss"].values())
    assert all(value > 0.9 for value in last["chosen_gained"].values())
    steps = toy_finetune.lines(model_dir, "metrics.jsonl")
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert steps[-1]["loss"] < 0.6 and steps[-1]["chosen_gained"] > 0.8 and steps[-1]["gain"] > 1


def test_the_whole_model_learns_what_is_preferred(tuned):
    check(tuned)


def test_adapters_learn_it_and_leave_the_base(toy, tmp_path):
    toy_dpo.run(toy, tmp_path / "lora", {"lora": Lora(alpha=64.0)})
    check(tmp_path / "lora")
    assert checkpoint.read_progress(str(tmp_path / "lora")).base == str(toy / "base")


def reference_files(toy):
    return {p: p.stat().st_mtime_ns for p in (toy / "stores").rglob("reference/*")}


def test_the_reference_is_scored_once_per_base_and_length(toy, tuned, monkeypatch):
    before = reference_files(toy)
    assert len(before) == 8  # likelihoods and what they are of: two languages, two splits
    refused = pytest.fail
    assert score_reference(toy_dpo.experiment(toy), lambda *a: refused("scored again")) == 0
    assert reference_files(toy) == before
    told = [json.loads(p.read_text()) for p in before if p.suffix == ".json"]
    assert all(one["length"] == toy_dpo.LENGTH and one["base"]["step"] == 3 for one in told)
    other = toy_dpo.experiment(toy, base=str(tuned))
    keys = {one.reference.base["identity"] for one in (other, toy_dpo.experiment(toy))}
    assert len(keys) == 2 and score_reference(other) == 4
    assert score_reference(toy_dpo.experiment(toy, sequence_length=80)) == 4


def test_microbatches_change_no_step_and_beta_the_run(toy, tuned, tmp_path):
    one = [dataclasses.replace(toy_dpo.experiment(toy).phases[0], steps=2)]
    mesh = {"mesh": MeshConfig(4, 1, 2), "microbatches": 2}
    toy_dpo.run(toy, tmp_path / "p", {"phases": one, **mesh}, eval_every_steps=0)
    ours, whole = (toy_finetune.lines(p, "metrics.jsonl") for p in (tmp_path / "p", tuned))
    for name in ("loss", "gain", "grad_norm"):
        assert ours[0][name] == pytest.approx(whole[0][name], abs=2e-5)
    with pytest.raises(InputError, match="preference.beta"):
        toy_dpo.run(toy, tmp_path / "p", {"phases": one, "beta": 0.3, **mesh}, eval_every_steps=0)


def in_transformers(folder, batch):
    """(log p of the chosen, of the rejected answers) [pairs] by PyTorch, each alone in its row, padded."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    found = {1: [], -1: []}
    for tokens, segments, weights in zip(
        *(batch[n] for n in ("tokens", "segment_ids_BT", "weights"))
    ):
        for segment in range(1, segments.max() + 1):
            (where,) = np.nonzero(segments == segment)
            ids = torch.tensor(tokens[where[0] : where[-1] + 1].astype(np.int64))[None]
            if where[-1] == len(segments) - 1 and weights[where[-1]]:  # its last label ends the row
                ids = torch.tensor(tokens[where[0] : where[-1] + 2].astype(np.int64))[None]
            with torch.no_grad():
                log_p = torch.log_softmax(model(ids).logits[0, :-1].float(), -1)
            log_p = log_p.gather(-1, ids[0, 1:, None])[:, 0]
            signs = torch.tensor(weights[where[0] : where[0] + len(log_p)])
            found[int(signs.sign().sum().sign())].append(log_p[signs != 0].sum())
    return torch.stack(found[1]), torch.stack(found[-1])


def test_the_loss_of_a_batch_is_trls(toy, tuned, tmp_path):
    """Policy and reference in PyTorch, pair by pair; TRL's own `sigmoid` loss of their log-likelihoods."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    experiment = toy_dpo.experiment(toy)
    resolved = experiment.resolve()
    batch = resolved.rows.inputs(np.arange(8))
    sides = {}
    for name, path in (("policy", tuned), ("reference", toy / "base")):
        export(str(path), str(tmp_path / name), f"{toy}/toy.model", verify=False)
        sides[name] = in_transformers(tmp_path / name, batch)
    logits = (sides["policy"][0] - sides["policy"][1]) - (
        sides["reference"][0] - sides["reference"][1]
    )
    theirs = -torch.nn.functional.logsigmoid(0.1 * logits).mean().item()
    programs = Programs(resolved)
    params = checkpoint.restore_params(str(tuned), programs.abstract_state.params)
    placed = {k: v for k, v in batch.items() if k not in ("tokens", "component", "weights")}
    held = {"tokens": batch["tokens"], "weights": batch["weights"], "packing": placed}
    loss = jax.jit(lambda params, held: programs.objective.loss(programs.model, params, held, {}))
    sums = loss(params, held)
    assert len(logits) == batch["pair_BL"].max(axis=1).sum() > 8 and theirs < 0.65
    assert float(sums.loss) / len(logits) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta": 0.0}, "beta = 0.0"),
        ({"label_smoothing": 0.5}, "label_smoothing = 0.5"),
        ({"z_loss": 1e-4}, "z_loss = 0.0001"),
        ({"loss_on": "all"}, "loss_on = 'all'"),
        ({"base": ""}, "needs BASE"),
        (
            {"phases": [toy_dpo.PhaseConfig("sums.es", steps=2, warmup_steps=0)]},
            "is no pairs of answers",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_scored(toy, tmp_path, changes, said, monkeypatch):
    monkeypatch.setattr(preference_tuning.Scorer, "load", lambda *a: pytest.fail("scored"))
    with pytest.raises(InputError, match=said):
        toy_dpo.run(toy, tmp_path / "p", changes)
