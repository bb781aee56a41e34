"""`run.py ablate` as a user has it: runs as processes, one at a time on each, finished ones left alone."""

import dataclasses
import json
import os
import re

import pytest
import toy_ablation
import toy_run
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.ablation import launch
from polylm_jax.ablation.variants import Run
from polylm_jax.ablation.workers import fork_server, sweep
from polylm_jax.runtime import lock
from polylm_jax.runtime.storage import Folder

pytest_plugins = ["toy_fixture"]
ALONE = ["OTHER_BUDGETS = []", "CLAIMS = []"]  # of one variant


BUSY: list[int] = []  # how many runs were under way at each report that wasn't the last


class Noted(sweep.Sweep):
    """A sweep that reports whenever it may."""

    def _report_if_due(self):
        self._next_report, unreported = 0.0, self._unreported
        super()._report_if_due()
        if unreported and not self._unreported:
            BUSY.append(len(self._under_way))


@pytest.fixture(scope="module")
def trained(toy_folder, tmp_path_factory):
    """(the recipe's argument, ABLATION_DIR): its variants trained, by two processes that were forked."""
    folder = tmp_path_factory.mktemp("ablation")
    lines = ["SEEDS = (3, 4)", "WORKERS = 2"]
    recipe = toy_ablation.recipe(folder / "toy.gin", toy_folder, folder / "out", *lines)
    server = fork_server.ForkServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server, "_begun", [server])
        patch.setattr(sweep, "Sweep", Noted)
        assert run.main(["ablate", recipe]) == 0
    server.end()
    return recipe, folder / "out"


def phases(*steps):
    first, second = toy_run.phases(8, 4, 0)
    first = dataclasses.replace(first, warmup_steps=2)
    third = dataclasses.replace(first, name="three", rate="hold")
    return [
        dataclasses.replace(phase, steps=n)
        for phase, n in zip((first, second, third), steps, strict=False)
    ]


@pytest.mark.parametrize(
    ("variant", "seed", "steps", "begins"),
    [
        ("both", 3, (8, 4), ("short", 8)),
        ("turned", 3, (8, 2, 2), ("both", 10)),
        ("turned", 4, (8, 2, 2), ("both", 10)),
    ],
)
def test_a_shared_beginning_gives_the_same_run(
    trained, toy_folder, tmp_path, variant, seed, steps, begins
):
    changes = {"phases": phases(*steps), "seed": seed, "mesh": toy_run.MeshConfig()}
    toy_run.run(toy_folder, tmp_path / "whole", changes, eval_every_steps=4)
    folder = trained[1] / variant / f"seed_{seed}"
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, folder, **changes),
        toy_run.final_state(toy_folder, tmp_path / "whole", **changes),
    )
    assert toy_run.losses(folder) == toy_run.losses(tmp_path / "whole")
    (start,) = toy_run.events(folder, "start")
    assert start["step"] == start["reached"] == begins[1]
    continued = json.loads((folder / "continued_from.json").read_text())
    assert continued == {"run": f"{begins[0]}, seed {seed}", "step": begins[1]}


def test_nobody_waits_for_a_report(trained):
    assert max(BUSY) == 2


def test_finished_runs_are_never_run_again(trained, capfd):
    before = {p: p.stat().st_mtime for p in trained[1].rglob("events.jsonl")}
    assert run.main(["ablate", trained[0]]) == 0
    out = capfd.readouterr().out
    assert out.count("done before") == 6 and "report.html" in out
    assert {p: p.stat().st_mtime for p in trained[1].rglob("events.jsonl")} == before
    assert run.main(["ablate", trained[0], "--report_only"]) == 0
    assert "the second phase helps" in (trained[1] / "report.html").read_text()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["ONE = {'toy.en': 0.6, 'toy.th': 0.4}"], "was trained with another recipe"),
        (["VARIANTS = [('both',), ('both',)]"], "'both' stands twice"),
        (
            ["OTHER_BUDGETS = []"],
            "'short' trains on 1,024 tokens and 'both' on 1,536",
        ),
        (["BASE_VARIANT = 'bath'"], "BASE_VARIANT = 'bath' is no variant. Did you mean 'both'"),
        (["ablation.Claim.than = 'shot'"], "claim 'the second phase helps' = 'shot' is no variant"),
        (["VARIANTS = [('both', 'PAIR = 1')]", *ALONE], "variant 'both': "),
        (["VARIANTS = [('both', \"ONE = {'toy.fr': 1.0}\")]", *ALONE], "variant 'both': .*toy.fr"),
        (["ablation.ablate.variant = 'bith'"], "variant = 'bith' is no variant"),
        (["ablation.ablate.seed = 4"], "seed = 4 is not one of"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    trained, toy_folder, tmp_path, capfd, lines, sentence
):
    recipe = toy_ablation.recipe(tmp_path / "toy.gin", toy_folder, trained[1], *lines)
    assert run.main(["ablate", recipe]) == 2
    said = capfd.readouterr()
    line = said.err.splitlines()[-1]  # before it: values that further lines replace
    assert re.search(sentence, line), line
    assert "[1/" not in said.out


def test_a_run_of_another_process_is_left_to_it(toy_folder, tmp_path, capfd):
    recipe = toy_ablation.recipe(
        tmp_path / "toy.gin", toy_folder, tmp_path / "out", "VARIANTS = [('both',)]",
        "OTHER_BUDGETS = []", "CLAIMS = []",
    )  # fmt: skip
    assert run.main(["ablate", recipe, "--start=False"]) == 0
    assert (tmp_path / "out/recipes/both.seed_3.gin").exists()
    toy_ablation.write_logs(tmp_path / "out/both/seed_3", {"en": 2.0}, steps=4, total=12)
    with launch.held(str(tmp_path / "out"), Run("both", 3)):
        assert run.main(["ablate", recipe, "--variant=both"]) == 2
        assert f"is in use by process {os.getpid()}" in capfd.readouterr().err
        assert run.main(["ablate", recipe]) == 0
        assert "is left to another process" in capfd.readouterr().out
    lock.hold(Folder(str(tmp_path / "out/locks/both.seed_3"))).close()
