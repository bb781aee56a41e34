"""How many steps two runs have in common, and from which checkpoint another one goes on."""

import dataclasses
import json

import pytest
import toy_run
from gcs_server import GcsServer

from polylm_jax.ablation import branches, continued, reuse
from polylm_jax.ablation.continued import Beginning
from polylm_jax.ablation.plans import Ablation, Plan
from polylm_jax.ablation.variants import Run, read
from polylm_jax.errors import InputError
from polylm_jax.model.averaging import Average
from polylm_jax.runtime.storage import Folder
from polylm_jax.training import run_directory
from polylm_jax.training.experiment import SEED

pytest_plugins = ["toy_fixture"]
ONE, TWO = toy_run.phases(8, 4, 0)
CURVE = dataclasses.replace(ONE, warmup_steps=2)
MORE = dataclasses.replace(CURVE, steps=4, rate="continue", name="more")
OTHER = dataclasses.replace(TWO, rate="continue")
STABLE = dataclasses.replace(CURVE, rate="warmup_stable")
DOWN = dataclasses.replace(STABLE, steps=4, rate="decay", name="down")
LEFT = (dataclasses.replace(STABLE, steps=5), dataclasses.replace(DOWN, steps=3))
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
def test_steps_are_shared_up_to_the_first_difference(plan, one, other, steps):
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


def test_the_longest_beginning_with_a_checkpoint_is_taken(plan, tmp_path):
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


def test_scores_of_other_weights_are_not_taken_along(plan, tmp_path):
    average = {"average": Average(steps=3)}
    trunk = plan(STABLE, variant="trunk", weights="average", **average)
    same = plan(*LEFT, variant="same", weights="average", **average)
    plain = plan(*LEFT, variant="plain", **average)
    none = plan(*LEFT, variant="none")
    (tmp_path / "trunk/seed_0/checkpoints/5").mkdir(parents=True)
    for name in ("metrics", "validation", "ledger"):
        (tmp_path / f"trunk/seed_0/{name}.jsonl").write_text('{"step": 4}\n{"step": 6}\n')
    (tmp_path / "trunk/seed_0/fingerprint.json").write_text(json.dumps({"start": SEED}))
    for branch, logs in ((same, 3), (plain, 2)):
        beginning = reuse.longest(branch, [trunk], str(tmp_path))
        continued.continue_from(beginning, branch.run, str(tmp_path))
        made = list((tmp_path / branch.run.path).glob("*.jsonl"))
        assert len(made) == logs and all(len(path.read_text().splitlines()) == 1 for path in made)
    assert not (tmp_path / plain.run.path / "validation.jsonl").exists()
    assert reuse.longest(none, [trunk], str(tmp_path)) is None  # it has no average to go on with


def test_in_a_bucket_a_beginning_is_copied_whole(plan, monkeypatch):
    trunk, branch = plan(STABLE, variant="trunk"), plan(STABLE, DOWN, variant="branch")
    files = {
        "fingerprint.json": json.dumps({"start": SEED}),
        "metrics.jsonl": "".join(f'{{"step": {n}, "loss": {n}.5}}\n' for n in range(1, 9)),
        "checkpoints/8/params/d/one": "later",
        "checkpoints/6/params/d/one": "values",
        "checkpoints/6/params/manifest.ocdbt": "list",
        "checkpoints/6/commit_success.txt": "",
    }  # checkpoint 8 is not committed
    with GcsServer() as server:
        objects = server.buckets["bucket"]
        objects |= {f"out/trunk/seed_0/{k}": (1, v.encode()) for k, v in files.items()}
        beginning = reuse.longest(branch, [trunk], "gs://bucket/out")
        assert beginning == Beginning(trunk.run, 6)
        place, written = Folder("gs://bucket/out"), Folder.write

        def killed(folder, key, value):
            if key.endswith("commit_success.txt"):
                raise KeyboardInterrupt
            written(folder, key, value)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Folder, "write", killed)
            continued.continue_from(beginning, branch.run, "gs://bucket/out")
        assert "out/branch/seed_0/checkpoints/6/params/d/one" in objects
        assert not continued.has_begun(place, branch.run)
        objects["out/branch/seed_0/checkpoints/7/params/d/one"] = (1, b"of the copy before")
        continued.continue_from(beginning, branch.run, "gs://bucket/out")
        assert continued.has_begun(place, branch.run)
        made = {
            k.removeprefix("out/branch/seed_0/"): v
            for k, (_, v) in objects.items()
            if "/branch/" in k
        }
        assert json.loads(made.pop("continued_from.json")) == {"run": "trunk, seed 0", "step": 6}
        assert made.pop("metrics.jsonl").decode().splitlines()[-1] == '{"step": 6, "loss": 6.5}'
        assert made == {k: v.encode() for k, v in files.items() if k.startswith("checkpoints/6/")}


def test_a_decay_off_a_trunk_is_bitwise_the_run_alone(toy_folder, tmp_path, plan):
    trunk, branch = plan(STABLE, variant="trunk"), plan(*LEFT, variant="branch")
    settings = {"mesh": toy_run.MeshConfig()}
    one = {"phases": [STABLE], **settings}
    toy_run.run(toy_folder, tmp_path / trunk.run.path, one, keep_at=(5,), keep_last=1)
    assert run_directory.kept(Folder(str(tmp_path)), trunk.run.path) == [5, 8]
    beginning = reuse.longest(branch, [trunk], str(tmp_path))
    assert beginning == Beginning(trunk.run, 5)
    continued.continue_from(beginning, branch.run, str(tmp_path))
    both = {"phases": list(LEFT), **settings}
    toy_run.run(toy_folder, tmp_path / branch.run.path, both, allow_changes=True)
    (start,) = toy_run.events(tmp_path / branch.run.path, "start")
    assert start["step"] == 5
    toy_run.run(toy_folder, tmp_path / "alone", both)
    toy_run.assert_bitwise_equal(
        toy_run.final_state(toy_folder, tmp_path / branch.run.path, **both),
        toy_run.final_state(toy_folder, tmp_path / "alone", **both),
    )
    assert toy_run.losses(tmp_path / branch.run.path) == toy_run.losses(tmp_path / "alone")


@pytest.mark.parametrize(
    ("leaves", "sentence"),
    [
        ({"branch": 5}, None),
        (
            {"branch": 7},
            "another run than 'trunk' from step 6 on, in its learning rate: .* or 6 here",
        ),
        ({"mixed": 6}, "another run than 'trunk' from step 5 on, in its rows"),
        ({"sooner": 5}, "another run than 'trunk' from step 4 on, in its learning rate"),
        ({"branch": 9}, "'branch': 9, and .* the shorter one has 8 steps"),
        ({"branch": 0}, "give a step between"),
        ({"other": 2}, "another run than 'trunk' from its first step on"),
        ({"brunch": 5}, "LEAVES = 'brunch' is no variant. Did you mean 'branch'"),
        ({"trunk": 5}, "another variant than the trunk"),
        ({}, "give both"),
    ],
)
def test_a_branch_that_differs_from_its_trunk_is_refused(plan, leaves, sentence):
    sooner = dataclasses.replace(STABLE, decay_steps=5)
    made = [
        plan(STABLE, variant="trunk"),
        plan(*LEFT, variant="branch"),
        plan(sooner, variant="sooner"),
        plan(LEFT[0], dataclasses.replace(OTHER, steps=3), variant="mixed"),
        plan(dataclasses.replace(STABLE, mixture={"toy.th": 1.0}), variant="other"),
    ]
    plans = {one.run: one for one in made}
    named = read([one.run.variant for one in made][::-1])

    def checked():
        steps = branches.read("trunk", leaves, named)
        asked = Ablation((0,), variants=named, trunk="trunk", leaves=steps)
        branches.check(plans, asked)
        return asked

    if sentence is None:
        asked = checked()
        assert asked.runs[0] == Run("trunk", 0)  # though it stands last
        assert "training.train.keep_at = (5,)" in asked.lines(Run("trunk", 0), "place")
        assert not any("keep_at" in line for line in asked.lines(Run("branch", 0), "place"))
        assert branches.trunk_of(asked, Run("branch", 0)) == Run("trunk", 0)
        assert branches.trunk_of(asked, Run("other", 0)) is None
    else:
        with pytest.raises(InputError, match=sentence):
            checked()
