"""Numbers that nobody can mean are refused for every parameter of every mode, before it is called."""

import inspect
import math
import typing

import gin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parameter_types import RECIPE, reached_by_modes

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime import ranges
from polylm_jax.runtime.parameter_types import annotations, checked, expected, from_text
from polylm_jax.runtime.ranges import Bounds

# Parameters that say by themselves, with the nearest that there is, what they take.
OWN = {"skip_rows"}
ABSURD = (-1, -(10**30), 10**30, -0.5, math.nan, math.inf, -math.inf)


def numbers(annotation) -> list[tuple[type, Bounds | None]]:
    """The kinds of numbers that an annotation takes anywhere in it, with their bounds."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        bounds = [one for one in arguments[1:] if isinstance(one, Bounds)]
        return [(arguments[0], bounds[0] if bounds else None)]
    if annotation in (int, float):
        return [(annotation, None)]
    return [found for one in arguments for found in numbers(one)]


@pytest.fixture(scope="module")
def numeric():
    """(name, annotation, default) of every parameter with a number in it that a mode can reach."""
    gin.clear_config()
    run.configure([RECIPE, "gin_configs/runs/modes.gin", "gin_configs/runs/dpo.gin"], [], [])
    found = []
    for selector, (_, wrapped) in reached_by_modes().items():
        hints = annotations(wrapped)
        for name, parameter in inspect.signature(wrapped).parameters.items():
            if name in hints and name not in OWN and numbers(hints[name]):
                found.append((f"{selector}.{name}", hints[name], parameter.default))
    gin.clear_config()
    return found


def test_every_number_says_its_range(numeric):
    silent = [
        name for name, annotation, _ in numeric for _, bounds in numbers(annotation) if not bounds
    ]
    assert not silent, f"give them one of runtime.ranges: {silent}"
    assert len(numeric) > 150


def test_a_default_is_within_its_range(numeric):
    for name, annotation, default in numeric:
        if default is not inspect.Parameter.empty and repr(default) != "<factory>":
            checked(name, default, annotation)


def scalar(annotation):
    """Whether a number stands for the parameter itself, not inside a list or mapping."""
    members = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated or annotation in (int, float):
        return True
    return any(typing.get_origin(one) is typing.Annotated for one in members)


def test_what_nobody_can_mean_is_one_sentence(numeric):
    tried = 0
    for name, annotation, _ in numeric:
        ((kind, bounds), *_) = numbers(annotation)
        for value in ABSURD if scalar(annotation) else ():
            # Negative where it means something: seeds, mesh axes, the sign of a length penalty.
            if bounds.low < 0 and -1 <= value < 0 and (kind is float or isinstance(value, int)):
                continue
            with pytest.raises(InputError) as refused:
                checked(name, value, annotation)
            sentence = str(refused.value)
            assert sentence.startswith(f"{name} = ") and "give " in sentence, sentence
            assert "\n" not in sentence
            tried += 1
    assert tried > 800


KINDS = [
    "Count",
    "Natural",
    "Port",
    "Axis",
    "Positive",
    "NonNegative",
    "Share",
    "SomeShare",
    "Decay",
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.one_of(st.integers(), st.floats(), st.integers(-3, 3), st.floats(-2, 2)),
)
def test_a_range_takes_what_it_says(name, value):
    takes = {
        "Count": lambda v: isinstance(v, int) and 1 <= v < 2**63,
        "Natural": lambda v: isinstance(v, int) and 0 <= v < 2**63,
        "Port": lambda v: isinstance(v, int) and 0 <= v <= 65535,
        "Axis": lambda v: isinstance(v, int) and -1 <= v < 2**63,
        "Positive": lambda v: 0 < v < 2**63,
        "NonNegative": lambda v: 0 <= v < 2**63,
        "Share": lambda v: 0 <= v <= 1,
        "SomeShare": lambda v: 0 < v <= 1,
        "Decay": lambda v: 0 <= v < 1,
    }[name]
    annotation = getattr(ranges, name)
    # 1e4 is a whole number, as in a recipe.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if takes(whole):
        assert checked("x", value, annotation) == value
        assert from_text("x", repr(value), annotation | None) == value
    else:
        with pytest.raises(InputError):
            checked("x", value, annotation)
        with pytest.raises(InputError):
            from_text("x", repr(value), annotation | None)


def test_the_sentence_says_the_range():
    assert expected(ranges.Count | None) == "a whole number, 1 or more, or None"
    assert expected(ranges.Share) == "a number, from 0 to 1"
    assert expected(ranges.Positive) == "a number, above 0"
    assert expected(ranges.SomeShare) == "a number, above 0, up to 1"
    assert expected(ranges.Decay) == "a number, from 0 to below 1"
    with pytest.raises(InputError, match=r"keep_at = \[5, -3\], in which keep_at\[1\] is -3"):
        checked("keep_at", [5, -3], typing.Sequence[ranges.Natural])


@pytest.mark.parametrize(
    ("mode", "argument", "sentence"),
    [
        ("train", "--gin.SAVE_EVERY_STEPS=-3", "SAVE_EVERY_STEPS = -3: give a whole number, 1 or"),
        ("train", "--gin.BATCH_SIZE=1e300", "BATCH_SIZE = 1e+300: give a whole number, 1 or more"),
        (
            "train",
            "--gin.training.PhaseConfig.peak_learning_rate=1e38",
            "peak_learning_rate = 1e+38: give a number, above 0, and below 2^63.",
        ),
        ("train", "--hung_seconds=1e38", "=1e38: give a number, 1 or more, and below 2^63."),
        ("train", "--hung_seconds=nan", "--hung_seconds=nan: give a number, 1 or more"),
        ("serve", "--port=99999", "--port=99999: give a whole number, from 0 to 65535"),
        ("evaluate", "--limit=-4", "--limit=-4: give a whole number, 1 or more, or None"),
        ("export", "--max_shard_gb=0", "--max_shard_gb=0: give a number, above 0"),
    ],
)
def test_run_says_it_before_anything_is_done(mode, argument, sentence, capsys, monkeypatch):
    monkeypatch.setattr(gin, "get_configurable", lambda function: _never)
    given = [mode, f"--gin_file={RECIPE}", argument, "--gin.DATA_DIR='x'"]
    assert run.main(given) == 2
    assert sentence in capsys.readouterr().err


def _never(**_):
    raise AssertionError("the mode was called")
