"""An expected time from libtpu's cycles: what has a note, what has none, what runs beside."""

import json
import re
import types

import gin
import pytest

import run
from polylm_jax.errors import InputError
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.planning import candidates, chips, cycles, hlo
from polylm_jax.training.programs import TPU_VMEM, compiler_options

V5P = chips.CHIPS["v5p"]
PEAK = 459e12
UNKNOWN = 2**63 - 1


def fusion(name, number, called="body"):
    noted = f', backend_config={{"window_config":{{"estimated_cycles":"{number}"}}}}'
    return f"%{name} = f32[8,16]{{1,0}} fusion(%x), kind=kLoop, calls=%{called}{noted}"


PROGRAM = f"""
%body (p: f32[8,16]) -> f32[8,16] {{
  %p = f32[8,16]{{1,0}} parameter(0)
  ROOT %n = f32[8,16]{{1,0}} negate(%p)
}}

%gathering (q: f32[8,16]) -> f32[32,16] {{
  %q = f32[8,16]{{1,0}} parameter(0)
  ROOT %g = f32[32,16]{{1,0}} all-gather(%q), replica_groups=[2,4]<=[8], dimensions={{0}}
}}

%turn (t: (s32[], f32[8,16])) -> (s32[], f32[8,16]) {{
  %t = (s32[], f32[8,16]{{1,0}}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = f32[8,16]{{1,0}} get-tuple-element(%t), index=1
  {fusion("layer", 7000)}
  ROOT %r = (s32[], f32[8,16]{{1,0}}) tuple(%i, %layer)
}}

%goes_on (c: (s32[], f32[8,16])) -> pred[] {{
  %c = (s32[], f32[8,16]{{1,0}}) parameter(0)
  %j = s32[] get-tuple-element(%c), index=0
  %limit = s32[] constant(5)
  ROOT %less = pred[] compare(%j, %limit), direction=LT
}}

ENTRY %main (x: f32[8,16], w: f32[16,16]) -> f32[8,16] {{
  %x = f32[8,16]{{1,0}} parameter(0)
  %w = f32[16,16]{{1,0}} parameter(1)
  %zero = s32[] constant(0)
  %state = (s32[], f32[8,16]{{1,0}}) tuple(%zero, %x)
  %loop = (s32[], f32[8,16]{{1,0}}) while(%state), condition=%goes_on, body=%turn
  {fusion("once", 900)}
  {fusion("unknown", UNKNOWN)}
  %gathered = f32[32,16]{{1,0}} fusion(%x), kind=kCustom, calls=%gathering
  %begun = (f32[16,16]{{1,0}}, f32[16,16]{{1,0:S(1)}}, u32[]) copy-start(%w)
  %come = f32[16,16]{{1,0:S(1)}} copy-done(%begun)
  ROOT %product = f32[8,16]{{1,0}} dot(%once, %w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
}}
"""


def test_cycles_are_summed_over_runs():
    found = cycles.estimate(hlo.parse(PROGRAM), V5P, peak_flops=PEAK, waited=1e-6)
    assert found.noted == pytest.approx((5 * 7000 + 900) / V5P.clock)
    array, matrix = 8 * 16 * 4, 16 * 16 * 4
    # The fusion without a number reads and writes; the product binds on bytes; the gather and the
    # copy run elsewhere.
    assert found.unnoted == pytest.approx((2 * array + 2 * array + matrix) / V5P.hbm_rate)
    assert found.seconds == pytest.approx(found.noted + found.unnoted + 1e-6)


def test_a_program_of_another_compiler_has_none():
    plain = PROGRAM.replace("estimated_cycles", "other")
    assert cycles.estimate(hlo.parse(plain), V5P, peak_flops=PEAK, waited=0.0) is None


def test_the_clock_is_the_one_that_the_peak_follows_from():
    """Products of one cycle: 4 units of 128 x 128 a core, two cores on v4 and v5p, 4 x as much on v6e."""
    units = {"v4": 2, "v5e": 1, "v5p": 2, "v6e": 4}
    peaks = {"v4": 275e12, "v5e": 197e12, "v5p": 459e12, "v6e": 918e12}
    for name, chip in chips.CHIPS.items():
        made = 2 * 4 * 128 * 128 * units[name] * chip.clock
        assert made == pytest.approx(peaks[name], rel=0.01)


def test_what_is_expected_lies_in_what_published_runs_did():
    mean, least, most = cycles.factor()
    assert 0.85 < least <= mean <= most < 1.05
    seconds, best, worst = cycles.Cycles(1.0, 0.5, 0.25).expected()
    assert best <= seconds <= worst
    assert seconds == pytest.approx(1.75 / mean)


@pytest.mark.parametrize("name", ["32b_v5p_64", "16b_v5e_256", "22b_v4_64"])
def test_published_runs_can_be_compiled_again(name):
    gin.clear_config()
    path = run.REPO / f"benchmarks/calibration/{name}.gin"
    run.configure([str(path)], [], [])
    experiment, topology = gin.get_configurable(Experiment)(), gin.query_parameter("%TOPOLOGY")
    gin.clear_config()
    experiment.check_shapes(chips.parse(topology).num_chips)
    billions = experiment.model.num_params / 1e9
    assert billions == pytest.approx(float(name.partition("b")[0]), rel=0.03)


def test_published_runs_are_as_the_docs_have_them():
    """The table of docs/speed.md, the recipes' headers and the factor."""
    page = (run.REPO / "docs/speed.md").read_text()
    rows = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if "| MaxText" in line]
    assert len(rows) == len(cycles.CALIBRATION)
    for (name, measured, _, counted, ratio), one in zip(rows, cycles.CALIBRATION, strict=True):
        assert name.startswith(one.name)
        assert measured == f"{one.measured:.1%}".replace("%", " %")
        assert counted == f"{one.cycles:.1%}".replace("%", " %")
        assert ratio == f"{one.ratio:.3f}"
        (header,) = (run.REPO / "benchmarks/calibration").glob(f"{size_of(one)}_*.gin")
        assert f"{one.measured:.1%} by ours".replace("%", " %") in " ".join(
            header.read_text().replace("#", "").split()
        )
    mean, least, most = cycles.factor()
    assert f"Factor {mean:.3f}, between {least:.3f} and {most:.3f}." in page


def size_of(one):
    """'MaxText 32B, 64 v5p' -> '32b'."""
    return one.name.split()[1].rstrip(",").lower()


def test_a_search_ranks_by_what_is_expected():
    """The bound alone put 1.0 first, whose products wait for their operands."""
    bound = {"fits": True, "roofline": {"seconds": 1.0}, "expected": {"seconds": 3.0}}
    fast = {"fits": True, "roofline": {"seconds": 1.1}, "expected": {"seconds": 2.0}}
    assert candidates.ranked([bound, fast]) == [fast, bound]
    no_cycles = [{"fits": True, "roofline": {"seconds": s}, "expected": None} for s in (2, 1)]
    assert candidates.ranked(no_cycles) == no_cycles[::-1]


@pytest.mark.parametrize(
    ("kind", "kib"),
    [("TPU v5", 65536), ("TPU v5 lite", 65536), ("TPU v6 lite", 98304), ("TPU v4", None)],
)
def test_vmem_goes_by_the_kind_of_chip(kind, kib):
    told = compiler_options(types.SimpleNamespace(platform="tpu", device_kind=kind))
    assert told.get(TPU_VMEM) == (kib and str(kib))


def test_a_recipe_has_the_last_word_on_options():
    chip = types.SimpleNamespace(platform="tpu", device_kind="TPU v5")
    own = {TPU_VMEM: None, "xla_tpu_overlap_compute_collective_tc": "false", "more": 3}
    told = compiler_options(chip, own)
    assert TPU_VMEM not in told
    assert told["xla_tpu_overlap_compute_collective_tc"] == "false" and told["more"] == 3
    assert compiler_options(types.SimpleNamespace(platform="cpu", device_kind="cpu"), own)["more"]
    with pytest.raises(InputError, match="COMPILER_OPTIONS has 'more'"):
        compiler_options(chip, {"more": json})
