"""How many steps two runs have in common, and from which checkpoint another one goes on."""

import dataclasses
import json

import pytest
import toy_run

from polylm_jax.ablation import reuse
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.reuse import Beginning
from polylm_jax.ablation.variants import Run
from polylm_jax.training.experiment import SEED

pytest_plugins = ["toy_fixture"]
ONE, TWO = toy_run.phases(8, 4, 0)
CURVE = dataclasses.replace(ONE, warmup_steps=2)
MORE = dataclasses.replace(CURVE, steps=4, rate="continue", name="more")
OTHER = dataclasses.replace(TWO, rate="continue")
STABLE = dataclasses.replace(CURVE, rate="warmup_stable")
DOWN = dataclasses.replace(STABLE, steps=4, rate="decay", name="down")
AGAIN = dataclasses.replace(CURVE, steps=4, name="again")


@pytest.fixture
def plan(toy_folder):
    def made(*phases, variant="one", seed=0, **changes):
        experiment = toy_run.experiment(toy_folder, phases=list(phases), seed=seed, **changes)
        return Plan(Run(variant, seed), "train", experiment.resolve(num_devices=8), "")

    return made


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ([CURVE], [CURVE, TWO], 8),  # held, after the whole curve
        ([CURVE], [CURVE, AGAIN], 8),  # warmed up once more
        ([CURVE], [CURVE, MORE], 2),  # a longer curve: its warm-up
        ([STABLE], [STABLE, DOWN], 8),  # level, then down
        ([STABLE, DOWN], [STABLE, dataclasses.replace(DOWN, decay_shape="1-sqrt")], 9),
        ([STABLE, DOWN], [dataclasses.replace(STABLE, steps=4), DOWN], 4),  # down earlier
        ([STABLE, OTHER], [dataclasses.replace(STABLE, steps=12)], 8),  # one curve, other rows
        ([CURVE, MORE], [CURVE, OTHER], 8),  # the same longer curve, other rows
        ([CURVE, TWO], [CURVE, TWO], 12),
        ([CURVE, TWO], [dataclasses.replace(CURVE, mixture={"toy.en": 1.0}), TWO], 0),
    ],
)
def test_steps_are_shared_up_to_the_first_other_row_or_learning_rate(plan, one, other, steps):
    assert reuse.shared_steps(plan(*one), plan(*other)) == steps
    assert reuse.shared_steps(plan(*other), plan(*one)) == steps


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"batch_size": 16}, {"optimizer": {"weight_decay": 0.5}}],
)
def test_another_setting_shares_nothing(plan, changes):
    if "optimizer" in changes:
        before = plan(CURVE).resolved.experiment.optimizer
        changes = {"optimizer": dataclasses.replace(before, **changes["optimizer"])}
    assert reuse.shared_steps(plan(CURVE), plan(CURVE, **changes)) == 0


def test_the_longest_beginning_that_has_a_checkpoint_is_taken(plan, tmp_path):
    def kept(variant, *steps):
        for step in steps:
            (tmp_path / variant / "seed_0/checkpoints" / str(step)).mkdir(parents=True)
        recorded(variant, SEED)

    def recorded(variant, start):
        (tmp_path / variant / "seed_0/fingerprint.json").write_text(json.dumps({"start": start}))

    run = plan(CURVE, OTHER, variant="run")
    longer = plan(CURVE, MORE, variant="longer")
    short = plan(CURVE, variant="short")
    assert reuse.longest(run, [longer, short], str(tmp_path)) is None
    kept("longer", 12, 4)
    kept("short", 8)  # of another curve: no beginning
    (tmp_path / "longer/seed_0/checkpoints/8.orbax-checkpoint-tmp").mkdir()
    assert reuse.longest(run, [longer, short], str(tmp_path)) == Beginning(longer.run, 4)
    kept("longer", 8)
    recorded("longer", "3fa4c1d2e5b6")  # trained before from parameters that lie there no more
    assert reuse.longest(run, [longer], str(tmp_path)) is None
    recorded("longer", SEED)
    assert reuse.longest(run, [longer, short], str(tmp_path)) == Beginning(longer.run, 8)
    same = plan(CURVE, MORE, variant="same")  # something of a run is left to train
    assert reuse.longest(same, [longer], str(tmp_path)) == Beginning(longer.run, 8)
    assert reuse.longest(run, [longer], "gs://bucket/ablation") is None
