"""Every parameter of every mode refuses what its annotation doesn't take, and takes what it does."""

import collections.abc
import inspect
import types
import typing
from pathlib import Path

import gin
import pytest

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime import names, parameter_types
from polylm_jax.runtime.parameter_types import Later, annotations, checked, expected, from_text

RECIPE = "gin_configs/recipes/multi_18.gin"
VALUES = {  # kind of value -> one of it
    "bool": True,
    "int": 7,
    "float": 0.5,
    "str": "2GB",
    "none": None,
    "list": [[object()]],
    "dict": {object(): object()},
    "other": object(),
}
TEXTS = {"bool": "maybe", "int": "ten", "float": "2GB"}  # of flags


def kinds(annotation) -> set[str]:
    """The kinds of VALUES that an annotation takes, found apart from the code under test."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (object, typing.Any, inspect.Parameter.empty):
        return set(VALUES)
    if getattr(annotation, "_is_protocol", False):  # of which nothing can be said from outside
        return set(VALUES)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(kinds, arguments))
    if origin is typing.Annotated:
        return kinds(arguments[0])
    scalars = {bool: {"bool"}, int: {"int"}, float: {"int", "float"}, str: {"str"}}
    if annotation in scalars:
        return scalars[annotation]
    if annotation is type(None):
        return {"none"}
    inner = all(one in (..., object, typing.Any) for one in arguments)
    if (origin or annotation) in (tuple, list, collections.abc.Sequence):
        return {"list"} if inner else set()
    if (origin or annotation) in (dict, collections.abc.Mapping):
        return {"dict"} if inner else set()
    return set()


def mode_function(mode: str):
    return names.find(run.MODES[mode])


def selector_of(function) -> str:
    return gin.config._inverse_lookup(function).selector


@pytest.fixture(scope="module")
def configured():
    """Gin's state after a recipe that configures every mode."""
    gin.clear_config()
    files = [RECIPE, "gin_configs/runs/modes.gin", "gin_configs/runs/dpo.gin"]
    run.configure(files, [], [])
    yield gin
    gin.clear_config()


def reached_by_modes() -> dict[str, tuple[str, object]]:
    """Everything that gin calls, in any mode: its scoped name -> (a mode, the function or class)."""
    found = {}
    for mode in run.MODES:
        function = mode_function(mode)
        given = set(inspect.signature(function).parameters)
        found.setdefault(selector := selector_of(function), (mode, function))
        for name in sorted(given):
            bound = gin.get_bindings(selector, resolve_references=False).get(name)
            for reference in gin.config.iterate_references({name: bound}):
                target = reference.configurable
                if reference.evaluate and target.selector != "gin.macro":
                    found.setdefault(target.selector, (mode, target.wrapped))
    for reference in gin.config.iterate_references(run.bindings()):
        target = reference.configurable
        if reference.evaluate and target.selector != "gin.macro":
            found.setdefault(target.selector, ("train", target.wrapped))
    return found


def test_wrong_types_are_refused_for_every_parameter(configured):
    tried = 0
    for selector, (mode, wrapped) in reached_by_modes().items():
        hints = annotations(wrapped)
        for name, parameter in inspect.signature(wrapped).parameters.items():
            if name in ("recipe", "reconfigured") or parameter.kind is parameter.VAR_KEYWORD:
                continue
            assert name in hints, f"{selector}.{name} has no annotation"
            for kind in set(VALUES) - kinds(hints[name]):
                value = VALUES[kind]
                words = value if isinstance(value, str) else ""
                if words in parameter_types.WORDS or _is_plain_class(hints[name], kind):
                    continue
                with pytest.raises(InputError) as refused:
                    checked(f"{selector}.{name}", value, hints[name])
                sentence = str(refused.value)
                assert f"{selector}.{name}" in sentence and "\n" not in sentence, sentence
                assert "give " in sentence and len(sentence) < 500, sentence
                tried += 1
    assert tried > 1000


def _is_plain_class(annotation, kind: str) -> bool:
    """Callables and Protocols, of which nothing can be said from outside."""
    names = [annotation, *typing.get_args(annotation)]
    protocol = any(getattr(one, "_is_protocol", False) for one in names)
    return protocol or kind == "other" and any("Callable" in repr(one) for one in names)


def test_bound_values_are_checked_before_any_call(configured, monkeypatch):
    """Through gin itself: one parameter of each mode at a time, all others as the recipe has them."""
    for mode in run.MODES:
        function = mode_function(mode)
        hints = annotations(function)
        others = set(inspect.signature(function).parameters)
        for name, hint in hints.items():
            if name in ("recipe", "reconfigured", "return") or "str" in kinds(hint):
                continue
            key = f"{selector_of(function)}.{name}"
            before = gin.get_bindings(selector_of(function), resolve_references=False)
            gin.bind_parameter(key, "2GB")
            with pytest.raises(InputError, match="give "):
                run.check_types(mode, function, others - {name})
            if name in before:
                gin.bind_parameter(key, before[name])
            else:
                del gin.config._CONFIG["", selector_of(function)][name]


@pytest.mark.parametrize("mode", run.MODES)
def test_flags_of_each_wrong_type_are_refused(mode):
    for name, hint in annotations(mode_function(mode)).items():
        if "Sequence[str]" in repr(hint).replace("collections.abc.", ""):
            continue  # any text is a list of one
        for kind, text in TEXTS.items():
            if kind in kinds(hint) and "str" not in kinds(hint):
                with pytest.raises(InputError, match=f"^--{name}={text}: give "):
                    from_text(name, text, hint)
        if kinds(hint) and kinds(hint).isdisjoint({"bool"}) and hint is not object:
            with pytest.raises(InputError, match=f"^--{name}: give "):
                from_text(name, None, hint)


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "False", "NO"])
def test_words_for_no_are_no(word):
    assert from_text("overwrite", word, bool) is False
    assert checked("overwrite", word, bool) is False


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "True", None])
def test_words_for_yes_are_yes(word):
    assert from_text("overwrite", word, bool) is True


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("1e4", int, 10000),
        ("3", float, 3),
        ("3", str, "3"),
        ("1e5", str | None, "1e5"),
        ("None", str | None, None),
        ("None", str, "None"),
        ("'a b'", str, "a b"),
        ("0/3", str, "0/3"),
        ("en,th", collections.abc.Sequence[str], ("en", "th")),
        ("no", collections.abc.Sequence[str], ("no",)),  # Norwegian
        ("1,2", collections.abc.Sequence[int], (1, 2)),
        ("['a', 'b']", collections.abc.Sequence[str], ["a", "b"]),
        ("mine.all", str | collections.abc.Sequence[str], "mine.all"),
        ("{'th': 1.5}", float | collections.abc.Mapping[str, float] | None, {"th": 1.5}),
        ("never", bool | str, "never"),
        ("False", bool | str, False),
    ],
)
def test_what_a_flag_means_follows_its_annotation(text, annotation, value):
    found = from_text("x", text, annotation)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "annotation", "sentence"),
    [
        ([0, "a"], list[int], r"x = \[0, 'a'\], in which x\[1\] is 'a': give a list, each a whole"),
        ("en", collections.abc.Sequence[str], "x = 'en': give a list, each text, in quotes"),
        ((1, 2), int, r"x = \(1, 2\): give a whole number"),
        (True, int, "x = True: give a whole number"),
        (1.5, int | None, "x = 1.5: give a whole number or None"),
        (2, bool, "x = 2: give true or false"),
        ({1: 2.0}, dict[str, float], r"x\[1\] is 1"),
        ("y" * 500, int, "yyy"),
        (Later(dict), Path, r"x = @dict\(\): give @"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value, annotation, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        checked("x", value, annotation)
    assert len(str(refused.value)) < 200


def test_fitting_values_stay_themselves():
    phases = [Later(), Later(Path)]
    assert checked("x", phases, collections.abc.Sequence[Path]) is phases
    assert checked("x", Later(), int) == Later()
    assert checked("x", [True, 1], list[bool]) == [True, True]
    assert type(checked("x", [1.0], list[int])[0]) is int


def test_every_annotation_has_words(configured):
    for _, wrapped in reached_by_modes().values():
        for hint in annotations(wrapped).values():
            assert expected(hint)


@pytest.mark.parametrize("path", sorted(Path("gin_configs/recipes").glob("*.gin")), ids=str)
def test_recipes_fit_their_annotations(path):
    gin.clear_config()
    try:
        assert run.configure([str(path)], [], []) == []
        for mode in run.MODES:
            try:
                run.check_types(mode, mode_function(mode), ())
            except InputError as error:
                assert " needs " in str(error)
    finally:
        gin.clear_config()


def test_train_and_cache_take_as_many_bad_lines():
    gin.clear_config()
    try:
        run.configure([RECIPE], ["data.cache.max_bad = 0.25"], [])
        experiment = names.find("polylm_jax.training.Experiment")
        bound = gin.get_bindings(selector_of(experiment), resolve_references=False)
        assert bound["max_bad"] == 0.25
    finally:
        gin.clear_config()
