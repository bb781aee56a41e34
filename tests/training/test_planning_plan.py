"""`plan` as a whole: bad input, what a search tries, and, where libtpu is, a real compile for TPUs."""

import dataclasses
import importlib.util
import json
import types

import pytest

from polylm_jax.errors import InputError
from polylm_jax.model import cost
from polylm_jax.model.config import POLICIES, PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import metrics, programs
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.planning import candidates, chips, compilation, plan_view, report
from polylm_jax.training.planning.plan import plan

MODEL = PolyLMConfig(
    num_layers=2, embed_dim=256, num_heads=2, mlp_dim=512, vocab_size=1024, max_length=256
)
EXPERIMENT = Experiment(
    model=MODEL,
    phases=[PhaseConfig({"a": 1.0}, steps=3000)],
    vocabulary="none.model",  # a plan opens no data
    cache_dir="none",
    sequence_length=256,
    batch_size=16,
    mesh=MeshConfig(fsdp=4),
    vocab_blocks=2,
)
SLICE = chips.parse("v5e:2x2")
PEAK = metrics.peak_flops("TPU v5 lite")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"topology": "v5e:2x2x2"}, "has 3 axes and a v5e slice has 2"),
        ({"price_per_chip_hour": 0}, "price_per_chip_hour = 0: give a positive number"),
        ({"price_per_chip_hour": "4.2"}, "price_per_chip_hour = '4.2': give a positive number"),
        ({"search_limit": 0}, "search_limit = 0"),
        ({"json_path": "no/such/folder/plan.json"}, "json_path = 'no/such/folder/plan.json' can't"),
        ({"json_path": "."}, "json_path = '.' can't be written"),
    ],
)
def test_bad_input_gets_one_sentence(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        plan(EXPERIMENT, **({"topology": "v5e:2x2", "json_path": None} | changes))


def test_without_libtpu_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install -r requirements-tpu.txt"):
        plan(EXPERIMENT, "v5e:2x2", json_path=None)


@pytest.fixture(scope="module")
def counted_once():
    """The bytes of a setting are the same in every search: each is traced once for all."""
    known, count = {}, candidates.memory_report

    def report_of(experiment, shape):
        key = experiment.mesh, experiment.microbatches, experiment.model.remat
        if key not in known:
            known[key] = count(experiment, shape)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "memory_report", report_of)
        yield


@pytest.mark.usefixtures("counted_once")
def test_a_search_tries_what_divides_and_fits_best_first():
    tried = candidates.candidates(EXPERIMENT, SLICE, PEAK, limit=1000)
    meshes = {one.mesh.shape(4) for one in tried}
    assert meshes == {(4, 1, 1), (2, 2, 1), (1, 4, 1), (2, 1, 2), (1, 2, 2)}  # two heads
    # 16 rows over two parts at the least.
    assert {one.microbatches for one in tried} == {1, 2, 4, 8}
    assert {one.model.remat for one in tried} == POLICIES.keys()
    thumbs = [candidates.thumb(one, SLICE, PEAK) for one in tried]
    assert thumbs == sorted(thumbs)
    assert candidates.candidates(EXPERIMENT, SLICE, PEAK, limit=3) == tried[:3]


@pytest.mark.usefixtures("counted_once")
def test_a_search_leaves_out_what_cannot_fit():
    tight = dataclasses.replace(SLICE, chip=dataclasses.replace(SLICE.chip, hbm_bytes=2**24))
    tried = candidates.candidates(EXPERIMENT, tight, PEAK, limit=1000)
    assert all(candidates.held(one, tight) <= 2**24 for one in tried)
    assert len(tried) < len(candidates.candidates(EXPERIMENT, SLICE, PEAK, limit=1000))
    none = dataclasses.replace(SLICE, chip=dataclasses.replace(SLICE.chip, hbm_bytes=2**10))
    with pytest.raises(InputError, match="no mesh of 4 chips of v5e holds the model"):
        candidates.candidates(EXPERIMENT, none, PEAK, limit=1)


def test_what_fits_ranks_before_what_does_not():
    slow, fast = ({"fits": True, "roofline": {"seconds": s}} for s in (2.0, 1.0))
    large = {"fits": False}
    assert candidates.ranked([large, slow, fast]) == [fast, slow, large]


@pytest.mark.parametrize(
    ("message", "gib"),
    [
        ("RESOURCE_EXHAUSTED: Used 18.16G of 15.75G hbm. Exceeded hbm capacity by 2.41G.", 18.16),
        ("RESOURCE_EXHAUSTED: HLO temporaries (128.00G) exceeds available HBM (30.75G).", 128.0),
        ("RESOURCE_EXHAUSTED: Used 512.0M of 256.0M hbm.", 0.5),
    ],
)
def test_what_the_compiler_says_of_too_large_a_step(message, gib):
    assert compilation.needed(message) == pytest.approx(gib * 2**30)
    assert compilation.needed("RESOURCE_EXHAUSTED: something else") is None


def test_a_step_that_needs_more_than_there_is_does_not_fit():
    compiled = compilation.Compiled(compilation.Memory(16 * 2**30), True, "", 1.0)
    chip = types.SimpleNamespace(device_kind="TPU v5 lite")
    told = report.report(
        EXPERIMENT.resolve(open_stores=False, num_devices=4), SLICE, [chip], compiled
    )
    assert not told["fits"] and "roofline" not in told


def test_a_step_that_the_compiler_refuses_is_reported(capsys):
    refused = compilation.Compiled(compilation.Memory(None), False, "", 1.0, "no [place] in sflag")
    chip = types.SimpleNamespace(device_kind="TPU v5 lite")
    told = report.report(
        EXPERIMENT.resolve(open_stores=False, num_devices=4), SLICE, [chip], refused
    )
    plan_view.show(told)
    plan_view.show_search([told])
    out = capsys.readouterr().out
    assert "the compiler says: no [place] in sflag" in out and "unknown" in out
    assert out.count("does not fit") == 2
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_nothing_of_a_search_is_cut(capsys):
    """The widest setting, with times on both sides."""
    chip = types.SimpleNamespace(device_kind="TPU v5 lite")
    compiled = compilation.Compiled(compilation.Memory(2**30), True, "", 1.0)
    one = dataclasses.replace(EXPERIMENT, model=dataclasses.replace(MODEL, remat="dots_attention"))
    told = report.report(one.resolve(open_stores=False, num_devices=4), SLICE, [chip], compiled)
    told["setting"]["mesh"] = {"data": 128, "fsdp": 128, "tensor": 128}
    told |= {
        "work": {"hardware_flops": 1.2345, "model_flops": 1.0},
        "roofline": {"seconds": 0.0001234, "mfu_bound": 0.9999, "binds": "interconnect"},
        "expected": {"seconds": 0.0001234, "mfu": 0.9999},
    }
    plan_view.show_search([told])
    out = capsys.readouterr().out
    assert "…" not in out and "interconnect" in out and "128 x 128 x 128" in out


@pytest.mark.parametrize(
    ("platform", "kind", "plain", "sums"),
    [
        ("cpu", "cpu", False, False),
        ("tpu", "TPU v5 lite", True, False),
        ("tpu", "TPU v6 lite", True, True),
    ],
)
def test_options_of_the_compiler_go_by_the_chip(platform, kind, plain, sums):
    told = programs.compiler_options(types.SimpleNamespace(platform=platform, device_kind=kind))
    assert (programs.TPU_OPTIONS.items() <= told.items()) == plain
    assert (programs.TPU_SUMS.items() <= told.items()) == sums


libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu isn't installed: pip install -r requirements-tpu.txt",
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The toy's plan for four v5e chips, as saved."""
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plan(EXPERIMENT, "v5e:2x2", json_path=str(path), price_per_chip_hour=2.0, recipe="the recipe")
    return json.loads(path.read_text())


@libtpu
def test_a_real_step_fits_and_counts_its_work(planned):
    assert planned["fits"] and planned["recipe"] == "the recipe"
    memory = planned["memory"]
    state = 12 * MODEL.num_params / 4  # parameters and two moments in float32, over four chips
    assert state <= memory["arguments"] <= 1.1 * state
    assert memory["total"] < memory["hbm"] == 15.75 * 2**30
    # Two blocks of the vocabulary make its logits twice; full rematerialisation all but the MLP's
    # second product; the attention kernel's blocks on the diagonal are whole.
    tokens = EXPERIMENT.batch_size * EXPERIMENT.sequence_length
    D, F, V, L = MODEL.embed_dim, MODEL.mlp_dim, MODEL.vocab_size, MODEL.num_layers
    layer = 4 * D * D + 2 * D * F
    again = 4 * D * D + D * F
    products = 2 * tokens * (L * (3 * layer + again) + 4 * V * D)
    attention = 2 * tokens * L * 256 * D * (2 + 2 + 3 + 4)
    hardware = planned["work"]["hardware_flops"]
    assert hardware == pytest.approx(products + attention, rel=1e-2)
    assert planned["work"]["model_flops"] == pytest.approx(
        tokens * cost.flops_per_token(MODEL, 256)
    )


@libtpu
def test_a_real_step_has_its_collectives_and_its_estimate(planned):
    kinds = {(row["kind"], row["axes"]) for row in planned["collectives"]}
    assert ("all-gather", "fsdp") in kinds
    line = planned["roofline"]
    assert line["seconds"] >= max(line["matrix_units"], line["hbm"], line["interconnect"])
    assert 0 < line["mfu_bound"] <= 1
    assert [row["mfu"] for row in planned["run"]] == [0.4, 0.5, 0.6]
    assert all(row["money"] == pytest.approx(2 * row["chip_hours"]) for row in planned["run"])


@libtpu
def test_the_tables_are_shown(planned, capsys):
    plan_view.show(planned)
    plan_view.show_search([planned])
    out = capsys.readouterr().out
    for text in (
        "fits, left over",
        "hardware / model",
        "all-gather",
        "binds",
        "chip-hours",
        "Search",
    ):
        assert text in out, text


@libtpu
def test_a_slice_that_does_not_exist_gets_one_sentence():
    with pytest.raises(InputError, match="topology = 'v5p:3x5x7': libtpu says"):
        compilation.devices(chips.parse("v5p:3x5x7"))
