"""A mode that is spread takes the fields of its groups, for whoever asks: a caller, gin, help."""

import ast
import dataclasses
import inspect
import re

import gin
import pytest

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime import command_line, names
from polylm_jax.runtime.ranges import Count, Share
from polylm_jax.runtime.spread import spread


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept.

    last: how many.
    share: of each.
    """

    last: Count = 2
    share: Share | None = None


@dataclasses.dataclass(frozen=True)
class More(Kept):
    """More of it."""

    last: Count = 5


@spread("kept")
def mode(place: str, *, other: int = 1, kept: More):
    """Keeps some.

    other: a number.

    Raises InputError for bad input.
    """
    return place, other, kept


def test_fields_are_parameters():
    assert mode("here") == ("here", 1, More(5, None))
    assert mode("here", share=0.5, other=3, last=1) == ("here", 3, More(1, 0.5))
    assert [*inspect.signature(mode).parameters] == ["place", "other", "last", "share"]
    assert inspect.signature(mode).parameters["last"].default == 5
    with pytest.raises(TypeError, match="nothing"):
        mode("here", nothing=1)


@pytest.mark.parametrize("wrong", [{"last": 0}, {"last": "two"}, {"share": 1.5}])
def test_a_field_is_held_against_its_annotation(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"{name} = .*: give "):
        mode("here", **wrong)


def test_the_text_of_the_fields_is_the_modes():
    text = inspect.getdoc(mode).splitlines()
    assert [text[0], text[-1]] == ["Keeps some.", "Raises InputError for bad input."]
    assert [line for line in text if line][1:-1] == [
        "other: a number.",
        "last: how many.",
        "share: of each.",
    ]


def test_gin_binds_fields_and_refuses_others():
    configured = gin.external_configurable(mode, module="spread_test")
    try:
        gin.parse_config("spread_test.mode.last = 7")
        assert configured("here") == ("here", 1, More(7))
        with pytest.raises(ValueError, match="lsat"):
            gin.parse_config("spread_test.mode.lsat = 7")
    finally:
        gin.clear_config()


@pytest.mark.parametrize("name", run.MODES)
def test_help_sees_the_parameters_and_text_of_the_call(name):
    function, source = names.find(run.MODES[name]), command_line.source(run.MODES[name])
    assert [*command_line.parameters(source)] == [*inspect.signature(function).parameters]
    assert ast.get_docstring(source) == inspect.getdoc(function)


@pytest.mark.parametrize("name", run.MODES)
def test_help_says_what_each_parameter_is(name):
    text = inspect.getdoc(names.find(run.MODES[name]))
    taken = inspect.signature(names.find(run.MODES[name])).parameters
    said = {
        word for line in re.findall(r"^([\w, ]+):", text, re.MULTILINE) for word in line.split(", ")
    }
    assert not taken.keys() - said - {*command_line.GIVEN}
