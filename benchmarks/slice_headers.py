"""What `plan` makes of the recipes named after a slice, written into their headers.

    python -m benchmarks.slice_headers gin_configs/recipes/polylm_1_7b_v4_32.gin ...

Plans each one anew (libtpu, no TPU; minutes to an hour each, one after another) and replaces the lines
from '# planned:' to before '# expected:'. --plan=FILE takes a plan.json that is there already, of one
recipe; --before=FILE one of the same recipe with libtpu's own 16 MiB of VMEM, which is told beside it.
--libtpu_vmem plans with those 16 MiB alone, a fifth of the time: the header says so.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence

REPO = pathlib.Path(__file__).resolve().parents[1]
GIB = 2**30
WIDTH = 98
LIBTPU_VMEM = {"xla_tpu_scoped_vmem_limit_kib": None}
_INDENT = "#             "
_PLANNED = re.compile(r"^# planned: .*?(?=^# expected: )", re.MULTILINE | re.DOTALL)


def header(plan: Mapping, before: Mapping | None = None, libtpu_vmem: bool = False) -> str:
    """The lines of a plan (`planning.report`), and of one `before` it what a step was expected to take.

    libtpu_vmem: the plan is of a program whose fusions have libtpu's own VMEM, less than a run's.
    """
    memory, work, line = plan["memory"], plan["work"], plan["roofline"]
    crossing = work["crossing_bytes_per_chip"]
    crosses = (
        f"; {crossing / 1e9:.3g} GB a chip cross between the slices, {line['between_slices']:.2g} s"
        if plan["slices"] > 1
        else ""
    )
    planned = (
        f"{memory['total'] / GIB:.1f} GiB a chip of {memory['hbm'] / GIB:.1f}; "
        f"{work['hardware_flops'] / work['model_flops']:.2f} x the model's FLOPs; a bound of "
        f"{line['seconds']:.3g} s a step, {line['mfu_bound']:.0%} MFU (matrix units "
        f"{line['matrix_units']:.3g} s, HBM {line['hbm']:.3g}, links {line['interconnect']:.3g}, of them "
        f"{line['waited']:.3g} beside nothing){crosses}"
    )
    half = next(row for row in plan["run"] if row["mfu"] == 0.5)
    told = {"planned": planned + _expected(plan, before, libtpu_vmem), "at 50 %": _run(half)}
    return "".join(
        textwrap.fill(text, WIDTH, initial_indent=f"# {name + ':':<12}", subsequent_indent=_INDENT)
        + "\n"
        for name, text in told.items()
    )


def _expected(plan: Mapping, before: Mapping | None, libtpu_vmem: bool) -> str:
    """Nothing where the compiler's program says no cycles."""
    expected = plan["expected"]
    if not expected:
        return ""
    best, worst = expected["seconds_range"]
    was = (
        f" (with libtpu's 16 MiB of VMEM for a fusion: {before['expected']['seconds']:.3g} s, "
        f"{before['expected']['mfu']:.0%})"
        if before
        else ""
    )
    if libtpu_vmem:
        was = "; so with libtpu's 16 MiB of VMEM for a fusion, and a run's have more: not planned with that"
    return (
        f"; by its cycles {expected['seconds']:.3g} s ({best:.3g} to {worst:.3g}), "
        f"{expected['mfu']:.0%} MFU, are to be expected: {_run(expected['run'])}{was}"
    )


def _run(row: Mapping) -> str:
    days = f"{row['days']:.0f}" if row["days"] >= 10 else f"{row['days']:.1f}"
    return f"{row['tokens_per_second']:,.0f} tokens/s, {days} days, {row['chip_hours']:,.0f} chip-hours"


def rewritten(recipe: str, lines: str) -> str:
    """A recipe's text with these lines in its header; ValueError for one that has no place for them."""
    made, number = _PLANNED.subn(lambda _: lines, recipe)
    if number != 1:
        raise ValueError("the header has no '# planned:' before its '# expected:'")
    return made


def planned(recipe: pathlib.Path, libtpu_vmem: bool = False) -> dict:
    """The plan of a recipe, by `run.py plan` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "plan.json"
        command = [sys.executable, str(REPO / "run.py"), "plan", f"--gin_file={recipe}"]
        command += [f"--gin.COMPILER_OPTIONS={LIBTPU_VMEM}"] if libtpu_vmem else []
        subprocess.run([*command, f"--gin.PLAN_FILE='{file}'"], check=True, cwd=REPO)
        return json.loads(file.read_text())


def main(argv: Sequence[str]) -> int:
    """Writes each recipe as soon as its plan is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="+", type=pathlib.Path)
    parser.add_argument("--plan", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path)
    parser.add_argument("--libtpu_vmem", action="store_true")
    given = parser.parse_args(argv)
    vmem = given.libtpu_vmem
    if (given.plan or given.before) and len(given.recipes) > 1:
        parser.error("--plan and --before are of one recipe")
    before = json.loads(given.before.read_text()) if given.before else None
    for recipe in given.recipes:
        plan = json.loads(given.plan.read_text()) if given.plan else planned(recipe, vmem)
        recipe.write_text(rewritten(recipe.read_text(), header(plan, before, vmem)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
