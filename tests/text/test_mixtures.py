"""Mixtures as shares of tokens: what SeqIO's rates mean, and those that are refused."""

import math

import pytest
import seqio
import tensorflow as tf

from polylm_jax.errors import InputError
from polylm_jax.text import mixtures


@pytest.fixture(autouse=True)
def registry():
    """Tasks a, b, c; the registries are emptied of them afterwards."""
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files: tf.data.Dataset.from_tensors({"targets": "x"}), ["train"]
    )
    feature = seqio.Feature(seqio.ByteVocabulary())
    for name in "abc":
        seqio.TaskRegistry.add(f"mix.{name}", source, output_features={"targets": feature})
    yield
    for names in (seqio.MixtureRegistry, seqio.TaskRegistry):
        for name in [n for n in names.names() if n.startswith("mix.")]:
            names.remove(name)


def mixture(name, **rates):
    """Registers mix.NAME of mix.a, mix.b, ... with the rates given."""
    seqio.MixtureRegistry.add(f"mix.{name}", [(f"mix.{n}", rate) for n, rate in rates.items()])
    return f"mix.{name}"


def test_shares_are_the_rates():
    assert mixtures.flatten(mixture("m", a=0.25, b=0.75)) == {"mix.a": 0.25, "mix.b": 0.75}


def test_a_task_alone_has_all():
    assert mixtures.flatten("mix.a") == {"mix.a": 1.0}


def test_nested_rates_are_proportions_and_meet_in_one_task():
    mixture("inner", a=1, b=3)
    mixture("middle", inner=0.5, c=0.5)
    found = mixtures.flatten(mixture("outer", middle=0.8, a=0.2))
    assert found == pytest.approx({"mix.a": 0.8 * 0.125 + 0.2, "mix.b": 0.3, "mix.c": 0.4})
    assert math.isclose(sum(found.values()), 1)


def test_nested_shares_agree_with_seqio():
    mixture("inner", a=2, b=6)
    name = mixture("outer", inner=0.6, c=0.4)
    of = seqio.MixtureRegistry.get(name)
    assert mixtures.flatten(name) == pytest.approx({t.name: of.get_rate(t) for t in of.tasks})


def test_a_rate_may_be_a_function_of_the_task():
    rates = {"a": lambda task: 0.9 if task.name == "mix.a" else 0.0, "b": 0.1}
    assert mixtures.flatten(mixture("m", **rates)) == {"mix.a": 0.9, "mix.b": 0.1}


def test_a_task_of_share_0_is_left_out():
    assert mixtures.flatten(mixture("m", a=1, b=0)) == {"mix.a": 1.0}


@pytest.mark.parametrize(
    "rates, says",
    [
        ({"a": 0.6, "b": 0.6}, "sum to 1.2"),
        ({"a": 0.5, "b": 0.499}, "sum to 0.999"),
        ({"a": 1.5, "b": -0.5}, "'mix.b' the rate -0.5"),
        ({"a": float("nan")}, "nan"),
        ({"a": float("inf")}, "inf"),
        ({"a": 0, "b": 0.0}, "0 alone"),
        ({"a": "half"}, "'half'"),
    ],
)
def test_wrong_rates_are_refused(rates, says):
    with pytest.raises(InputError, match=says):
        mixtures.flatten(mixture("m", **rates))


def test_wrong_rates_inside_are_refused():
    mixture("inner", a=2, b=-1)
    with pytest.raises(InputError, match="'mix.inner'.*'mix.b'"):
        mixtures.flatten(mixture("outer", inner=1))


def test_an_unknown_name_is_refused_with_the_nearest():
    mixture("stage1", a=1)
    with pytest.raises(
        InputError, match="'mix.stage2' isn't registered. Did you mean 'mix.stage1'"
    ):
        mixtures.flatten("mix.stage2")


def test_tasks_of_mixtures_and_tasks_come_once():
    mixture("m", a=0.5, b=0.5)
    assert mixtures.tasks_of(("mix.b", "mix.m", "mix.c")) == ("mix.b", "mix.a", "mix.c")
