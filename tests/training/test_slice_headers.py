"""The header of a slice's recipe from its plan: every number from the report, nothing else touched."""

import json

import pytest

import run
from benchmarks import slice_headers

PLAN = {
    "slices": 1,
    "memory": {"total": 41.24 * 2**30, "hbm": 95.74 * 2**30},
    "work": {"hardware_flops": 1.07, "model_flops": 1.0, "crossing_bytes_per_chip": 0.0},
    "roofline": {
        "seconds": 7.22, "mfu_bound": 0.849, "matrix_units": 6.55, "hbm": 0.994,
        "interconnect": 0.956, "waited": 0.666, "between_slices": 0.0,
    },
    "run": [{"mfu": 0.5, "tokens_per_second": 342001.2, "days": 24.9, "chip_hours": 76413.0}],
    "expected": {
        "seconds": 8.73, "seconds_range": [8.38, 8.94], "mfu": 0.7,
        "run": {"tokens_per_second": 480123.0, "days": 9.96, "chip_hours": 54400.0},
    },
}  # fmt: skip


def words(lines):
    return " ".join(lines.replace("#", " ").split())


def test_every_number_is_the_plans():
    before = {"expected": {"seconds": 11.6, "mfu": 0.53}}
    lines = slice_headers.header(PLAN, before)
    assert all(line.startswith("#") and len(line) < 100 for line in lines.splitlines())
    said = words(lines)
    assert said.startswith("planned: 41.2 GiB a chip of 95.7; 1.07 x the model's FLOPs; a bound of")
    assert (
        "7.22 s a step, 85% MFU (matrix units 6.55 s, HBM 0.994, links 0.956, of them 0.666" in said
    )
    assert "8.73 s (8.38 to 8.94), 70% MFU, are to be expected: 480,123 tokens/s, 10.0 days" in said
    assert "16 MiB of VMEM for a fusion: 11.6 s, 53%" in said
    assert said.endswith("at 50 %: 342,001 tokens/s, 25 days, 76,413 chip-hours")


def test_a_plan_with_less_vmem_than_a_run_has_says_so():
    said = words(slice_headers.header(PLAN, libtpu_vmem=True))
    assert "480,123 tokens/s" in said
    assert "so with libtpu's 16 MiB of VMEM for a fusion, and a run's have more" in said
    assert "16 MiB" not in words(slice_headers.header(PLAN))


def test_another_compilers_program_and_several_slices():
    several = PLAN | {"slices": 2, "expected": None}
    several["work"] = PLAN["work"] | {"crossing_bytes_per_chip": 1.01e9}
    several["roofline"] = PLAN["roofline"] | {"between_slices": 0.1616}
    said = words(slice_headers.header(several))
    assert "1.01 GB a chip cross between" in said and "0.16 s" in said
    assert "to be expected" not in said


def test_every_slice_header_has_its_place(tmp_path):
    recipes = sorted((run.REPO / "gin_configs/recipes").glob("*_v[456]*.gin"))
    assert len(recipes) == 13
    for recipe in recipes:
        text = recipe.read_text()
        made = slice_headers.rewritten(text, "# planned:    new\n")
        assert made.replace("# planned:    new\n", "") in text.replace(
            slice_headers._PLANNED.search(text)[0], ""
        )
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    copy = tmp_path / recipe.name
    copy.write_text(text)
    assert not slice_headers.main([str(copy), f"--plan={tmp_path / 'plan.json'}"])
    assert "480,123 tokens/s" in copy.read_text()
    assert copy.read_text().partition("from __gin__")[2] == text.partition("from __gin__")[2]
    with pytest.raises(ValueError, match="no '# planned:'"):
        slice_headers.rewritten("# expected: nothing\n", "")
