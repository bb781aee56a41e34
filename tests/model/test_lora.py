"""Adapters: the base stays, what is merged computes the same, and PEFT reads what is written."""

import dataclasses
import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_finetune
import toy_hf
import toy_run

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.hf import exporting, verifying
from polylm_jax.checkpoints.identity import identify
from polylm_jax.checkpoints.param_store import Reader, folder_of, open_params
from polylm_jax.errors import InputError
from polylm_jax.model import parameters
from polylm_jax.model.layers_apart import split
from polylm_jax.model.lora import ADAPTERS, AdaptedModel, Lora
from polylm_jax.model.network import PolyLM
from polylm_jax.training import metrics
from polylm_jax.training.adapted_programs import AdaptedPrograms
from polylm_jax.training.phases import PhaseConfig

LORA = Lora({"attn.c_attn": 4, "attn.c_proj": 4, "mlp.c_fc": 2, "mlp.c_proj": 4}, alpha=8.0)
CHANGES = {"lora": LORA}
IDS = np.arange(60, dtype=np.int32).reshape(3, 20) + 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_finetune.make(tmp_path_factory.mktemp("lora"))


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("tuned")
    toy_finetune.run(folder, model_dir, CHANGES, log_every_steps=1)
    return model_dir


def restored(path, config=toy_finetune.MODEL):
    return checkpoint.restore_params(str(path), verifying.abstract_params(config, jax.devices()[0]))


def logits(params, model=None):
    model = model or PolyLM(toy_finetune.MODEL)

    @jax.jit
    def compute(params):
        return model.apply({"params": params}, IDS) @ params["wte"]["embedding"].T

    return np.asarray(compute(params))


def random_adapters(config, lora=LORA):
    """Adapters of which nothing is zero."""
    boxed = jax.eval_shape(lambda: parameters.init_params(PolyLM(config), jax.random.key(0)))
    leaves, tree = jax.tree.flatten(jax.eval_shape(lambda: lora.init(boxed, jax.random.key(1))))
    chance = np.random.default_rng(0)
    values = [jnp.asarray(chance.normal(0, 0.1, x.shape), jnp.float32) for x in leaves]
    return jax.tree.unflatten(tree, values)


@pytest.mark.parametrize("scan_layers", [True, False])
def test_merged_adapters_compute_the_same(scan_layers, folder):
    config = dataclasses.replace(toy_finetune.MODEL, scan_layers=scan_layers)
    base = restored(folder / "base")
    base = base if scan_layers else split(base)
    adapters = random_adapters(config)
    plain = PolyLM(config)
    beside = logits({**base, ADAPTERS: adapters}, AdaptedModel(plain, LORA))
    before = logits(base, plain)  # merging uses the base's matrices up
    merged = logits(LORA.merged(base, adapters), plain)
    np.testing.assert_allclose(beside, merged, atol=1e-5)
    assert np.abs(beside - before).max() > 0.01


def test_fresh_adapters_change_nothing(folder, tuned):
    first, _, last = toy_finetune.lines(tuned, "validation.jsonl")
    for code in ("es", "ja"):
        assert last["loss"][code] < first["loss"][code] - 0.2
    shapes = Reader(folder_of(str(tuned), 16)).shapes
    assert {name.rpartition(".")[2] for name in shapes} == {"a", "b"}
    assert shapes["h.mlp.c_fc.a"] == (2, 16, 2) and shapes["h.attn.c_proj.b"] == (2, 4, 16)
    before, after = restored(folder / "base"), restored(tuned)
    for path, old in jax.tree_util.tree_flatten_with_path(before)[0]:
        new = after
        for key in path:
            new = new[key.key]
        changed = bool(jnp.any(new != old))
        assert changed == (path[-1].key == "kernel"), jax.tree_util.keystr(path)


def test_gradients_and_moments_are_the_adapters_alone(folder, tuned):
    resolved = toy_finetune.experiment(folder, **CHANGES).resolve()
    programs = AdaptedPrograms(resolved)
    state = programs.abstract_state
    trained = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim)
    assert moments == 2 * trained
    assert trained == 2 * (16 * 4 + 4 * 48 + 2 * 16 * 4 + 16 * 2 + 2 * 32 + 32 * 4 + 4 * 16)
    assert sum(x.size for x in jax.tree.leaves(state.frozen)) == toy_finetune.MODEL.num_params


def test_a_run_that_was_told_to_leave_ends_the_same(folder, tuned, tmp_path, monkeypatch):
    real = metrics.Window.add

    def add(window, at, fetched):
        real(window, at, fetched)
        if at == 5:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(metrics.Window, "add", add)
        with pytest.raises(SystemExit):
            toy_finetune.run(folder, tmp_path, CHANGES)
    toy_finetune.run(folder, tmp_path, CHANGES)
    assert toy_run.losses(tmp_path) == toy_run.losses(tuned)
    for name in ("h.attn.c_attn.a", "h.mlp.c_proj.b"):
        here, there = (Reader(folder_of(str(run), 16)).whole(name) for run in (tmp_path, tuned))
        np.testing.assert_array_equal(here, there)


def test_merged_parameters_are_the_same_read_in_pieces(tuned):
    reader, whole = open_params(str(tuned), 16), restored(tuned)
    for name, shape in reader.shapes.items():
        there = whole
        for key in name.split("."):
            there = there[key]
        for start, values in reader.blocks(name):
            here = tuple(slice(s, s + n) for s, n in zip(start, values.shape))
            np.testing.assert_allclose(values, np.asarray(there)[here], atol=1e-6)
        assert there.shape == shape


def test_adapters_refuse_another_base(folder, tuned, tmp_path):
    place, base = tmp_path / "tuned", tmp_path / "base"
    shutil.copytree(tuned, place)
    shutil.copytree(folder / "base", base)
    progress = identify(str(place))[1]
    path = place / "checkpoints/16/progress/metadata"
    path.write_text(json.dumps(dataclasses.replace(progress, base=str(base)).sealed()))
    assert identify(str(place))[0].identity == identify(str(tuned))[0].identity  # the base moved
    shutil.rmtree(base)
    toy_hf.checkpoint(base, f"{folder}/toy.model", toy_finetune.MODEL, 0.2, step=3)
    with pytest.raises(InputError, match="put that base back"):
        exporting.export(str(place), f"{tmp_path}/out", f"{folder}/toy.model")
    before = {name: value for name, value in progress.fingerprint.items() if name != "start"}
    older = dataclasses.replace(progress, base=str(base), fingerprint=before)
    path.write_text(json.dumps(older.sealed()))  # what earlier versions left has no start
    assert identify(str(place))[0].identity != identify(str(tuned))[0].identity


@pytest.fixture(scope="module")
def exported(folder, tuned, tmp_path_factory):
    """(the base's folder, the merged one, the adapters' one)."""
    out, path = tmp_path_factory.mktemp("exported"), f"{folder}/toy.model"
    exporting.export(f"{folder}/base", f"{out}/base", path, verify=False)
    exporting.export(str(tuned), f"{out}/merged", path)
    exporting.export(str(tuned), f"{out}/peft", path, file_format="peft", peft_base=f"{out}/base")
    return out / "base", out / "merged", out / "peft"


def test_peft_computes_what_the_merged_model_does(exported, tuned):
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    import transformers

    base, merged, adapters = exported
    load = transformers.AutoModelForCausalLM.from_pretrained
    plain = load(base, dtype=torch.float32)
    before = plain(torch.from_numpy(IDS).long()).logits.detach().numpy()
    adapted = peft.PeftModel.from_pretrained(plain, adapters).eval()
    config = adapted.peft_config["default"]
    assert config.base_model_name_or_path == str(base) and config.rank_pattern == {"mlp.c_fc": 2}
    with torch.no_grad():
        beside = adapted(torch.from_numpy(IDS).long()).logits.numpy()
        together = load(merged, dtype=torch.float32)(torch.from_numpy(IDS).long()).logits.numpy()
        folded = adapted.merge_and_unload()(torch.from_numpy(IDS).long()).logits.numpy()
    np.testing.assert_allclose(beside, together, atol=1e-4)
    np.testing.assert_allclose(folded, together, atol=1e-4)
    np.testing.assert_allclose(logits(restored(tuned)), together, atol=1e-4)
    assert np.abs(beside - before).max() > 0.1


@pytest.mark.parametrize(
    ("lora", "sentence"),
    [
        (Lora({}), "lora.ranks is empty"),
        (Lora({"attn.c_atn": 4}), "Did you mean 'attn.c_attn'"),
        (Lora({"mlp.c_fc": 0}), r"lora.ranks\['mlp.c_fc'\] is 0"),
        (Lora(alpha=-1.0), "lora.alpha = -1"),
    ],
)
def test_bad_adapters_are_one_sentence(lora, sentence, folder, tmp_path):
    with pytest.raises(InputError, match=sentence):
        toy_finetune.run(folder, tmp_path, {"lora": lora})


def test_another_rank_or_base_is_another_run(folder, tuned, tmp_path):
    other = {"lora": Lora(dict.fromkeys(LORA.ranks, 3), alpha=8.0)}
    with pytest.raises(InputError, match="lora.ranks.attn.c_attn: 4 -> 3"):
        toy_finetune.run(folder, tuned, other)
    with pytest.raises(InputError, match="has no adapters"):
        exporting.export(
            f"{folder}/base", str(tmp_path / "x"), f"{folder}/toy.model", file_format="peft"
        )


def test_adapters_can_be_tuned_on_top_of_adapters(folder, tuned, tmp_path):
    phases = [PhaseConfig("sums.both", steps=2, warmup_steps=0)]
    again = {"lora": LORA, "base": str(tuned), "phases": phases}
    toy_finetune.run(folder, tmp_path, again)
    last = toy_finetune.lines(tuned, "validation.jsonl")[-1]["loss"]
    assert toy_finetune.lines(tmp_path, "validation.jsonl")[0]["loss"] == pytest.approx(
        last, rel=1e-5
    )


def test_a_rank_above_a_matrixs_sides_is_told(folder):
    lora = Lora({"attn.c_attn": 33, "attn.c_proj": 32, "mlp.c_fc": 17})
    told = list(lora.notes(embed_dim=32, mlp_dim=16))
    assert [one.split(":")[0] for one in told] == [
        "lora.ranks['attn.c_attn'] = 33 is above the smaller side of its matrix, 32",
        "lora.ranks['mlp.c_fc'] = 17 is above the smaller side of its matrix, 16",
    ]
    experiment = toy_finetune.experiment(folder, lora=Lora({"mlp.c_proj": 4096}))
    assert "lora.ranks['mlp.c_proj'] = 4096" in next(iter(experiment.notes()))
