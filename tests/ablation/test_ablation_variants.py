"""Variants: what is refused before anything runs."""

import pytest

from polylm_jax.ablation import variants
from polylm_jax.ablation.claims import Claim
from polylm_jax.errors import InputError
from polylm_jax.runtime.parameter_types import check_ranges


def test_lines_are_read_as_bindings():
    found = variants.read([("base",), ("more", "A=1", "b/c.d =  'x = y'")])
    assert list(found) == ["base", "more"]
    assert found["more"].lines == ("A = 1", "b/c.d = 'x = y'")
    assert variants.read(["alone"])["alone"].lines == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"a": []}, "VARIANTS is a dict"),
        ([], "VARIANTS is empty"),
        ([("a",), ("b",), ("a", "X = 1")], "'a' stands twice"),
        ([("a/b",)], "can't name a folder"),
        ([("..",)], "can't name a folder"),
        ([("locks",)], "can't name a folder"),
        ([("",)], "can't name a folder"),
        ([("a", "X 1")], "'X 1' is no gin line"),
    ],
)
def test_what_is_no_variant_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        variants.read(given)


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(InputError, match="variant = 'paris' is no variant. Did you mean 'pairs'"):
        variants.known("paris", variants.read([("base",), ("pairs",)]), "variant")


@pytest.mark.parametrize("seeds", [(), (0, 0), (0.5,), (True,), ("1",)])
def test_seeds_are_whole_numbers_and_differ(seeds):
    with pytest.raises(InputError, match="SEEDS"):
        variants.check_seeds(seeds)


def test_budgets_agree_to_less_than_a_step():
    variants.check_budgets({"a": 1000, "b": 1007}, "a", 8, ())
    with pytest.raises(InputError, match="'b' trains on 1,008 tokens and 'a' on 1,000"):
        variants.check_budgets({"a": 1000, "b": 1008}, "a", 8, ())
    variants.check_budgets({"a": 1000, "b": 2000}, "a", 8, ("b",))


def test_a_smallest_effect_is_a_size():
    with pytest.raises(InputError, match="smallest_effect = -1"):
        check_ranges(Claim("it helps", "a", "b", smallest_effect=-1))
