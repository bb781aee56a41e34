"""FineTasks' criteria: what each catches, from scores of runs with seeds."""

import itertools
import json
import math

import pytest
from tables import unpadded

from polylm_jax.errors import InputError
from polylm_jax.evaluation import signal_report
from polylm_jax.evaluation.signal_report import criteria

STEPS = range(0, 60, 10)


def runs(curve, metric="accuracy_sum", variants=2, seeds=2):
    """variant -> seeds -> scores; curve(step, variant, seed)."""
    return {
        f"v{variant}": [
            {("t", metric): {step: curve(step, variant, seed) for step in STEPS}}
            for seed in range(seeds)
        ]
        for variant in range(variants)
    }


def one(curve, guessing=25.0, **options):
    (found,) = criteria(runs(curve, **options), {"t": guessing})
    return found


def test_a_task_that_learns_says_something():
    found = one(lambda step, variant, seed: 25 + step / 2 + 3 * variant + 0.1 * seed)
    assert found.says and found.rises == pytest.approx(1) and found.keeps_order == 1
    assert found.over_noise > 20 and found.above_guessing > 3


@pytest.mark.parametrize(
    ("curve", "criterion"),
    [
        (lambda step, variant, seed: 60 - step / 10 + variant + 0.01 * seed, "rises"),
        (lambda step, variant, seed: 50.0, "rises"),
        (lambda step, variant, seed: 25 + step / 2 + variant + 9 * seed, "over_noise"),
        (lambda step, variant, seed: 24 + step / 60 + 0.001 * variant + seed, "above_guessing"),
        (
            lambda step, variant, seed: (
                25 + step / 2 + 3 * variant * (-1) ** (step // 10) + 0.1 * seed
            ),
            "keeps_order",
        ),
    ],
)
def test_each_criterion_catches_its_fault(curve, criterion):
    found = one(curve)
    least = {"rises": 0.5, "over_noise": 20, "above_guessing": 3, "keeps_order": 0.5}
    assert not found.says and getattr(found, criterion) < least[criterion]


def test_bits_fall_and_have_no_guessing():
    found = one(lambda step, variant, seed: 3 - step / 50 - 0.1 * variant + 0.001 * seed,
                metric="answer_bits_per_byte")  # fmt: skip
    assert found.says and found.rises == pytest.approx(1) and found.above_guessing is None


def test_what_one_run_cannot_tell_is_left_open():
    found = one(lambda step, variant, seed: 25.0 + step, variants=1, seeds=1)
    assert found.rises == pytest.approx(1) and found.says
    assert (found.over_noise, found.above_guessing, found.keeps_order) == (None, None, None)
    still = one(lambda step, variant, seed: 25.0 + step)  # seeds that agree to the last bit
    assert math.isinf(still.over_noise) and still.keeps_order == 0


def test_runs_to_a_report_and_what_is_silent(tmp_path, capsys):
    chosen = {}
    for variant in range(2):
        for seed in range(2):
            place = tmp_path / f"v{variant}_{seed}"
            place.mkdir()
            lines = [
                {"step": step, "time": 1.0,
                 "good": {"accuracy_sum": 25 + step + 5 * variant + 0.1 * seed, "items": 100},
                 "flat": {"accuracy_sum": 50 - step / 10 + seed, "items_too_long": 3}}
                for step in STEPS
            ]  # fmt: skip
            (place / "evaluation.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
            chosen.setdefault(f"v{variant}", []).append(str(place))
    signal_report.signal(chosen, str(tmp_path / "out"))
    assert "1 of 2 scores say something" in capsys.readouterr().out
    text = unpadded((tmp_path / "out" / "signal.md").read_text())
    assert "| good | accuracy by sum |" in text and "| (flat) |" in text
    assert signal_report.silent(str(tmp_path / "out")) == {"flat"}


def test_checkpoints_evaluated_later_are_judged_alike(tmp_path):
    chosen = {}
    for variant, seed in itertools.product(range(2), range(2)):
        place = tmp_path / f"v{variant}_{seed}"
        chosen.setdefault(f"v{variant}", []).append(str(place))
        for step in STEPS:
            metrics = {"accuracy_sum": 25 + step + 5 * variant + 0.1 * seed, "items": 100}
            tasks = {"good": {"metrics": metrics, "protocol": {"choices": 4}}}
            write_results(place / f"step_{step}_ab", step, tasks)
    signal_report.signal(chosen, str(tmp_path / "out"))
    (found,) = json.loads((tmp_path / "out" / "signal.json").read_text())
    expected = criteria(
        runs(lambda step, variant, seed: 25 + step + 5 * variant + 0.1 * seed), {"t": 25.0}
    )[0]
    assert found == {**expected._asdict(), "task": "good", "says": True}
    write_results(tmp_path / "v0_0" / "step_10_cd", 10, {})  # another kind of weights
    with pytest.raises(InputError, match="step 10 stands twice"):
        signal_report.signal(chosen, str(tmp_path / "out"))


def write_results(place, step, tasks):
    place.mkdir(parents=True)
    told = {"checkpoint": {"name": "toy", "step": step}, "tasks": tasks}
    (place / "results.json").write_text(json.dumps(told))


def test_bad_input_is_one_sentence(tmp_path):
    for chosen, sentence in (
        ({}, "runs is empty"),
        ({"a": []}, "runs is empty"),
        ({"a": [str(tmp_path)]}, "holds no evaluation.jsonl"),
    ):
        with pytest.raises(InputError, match=sentence) as error:
            signal_report.signal(chosen, str(tmp_path / "out"))
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"signal\.json"):
        signal_report.silent(str(tmp_path))
