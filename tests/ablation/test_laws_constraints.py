"""What a proposal must keep: named where it contradicts itself, kept by what is proposed."""

import numpy as np
import pytest

from polylm_jax.ablation.laws.constraints import Constraints, Sum, refuse_contradictions, space
from polylm_jax.errors import InputError

NAMES = ("en", "th", "en-th", "code")
PRIOR_K = np.array([0.5, 0.2, 0.1, 0.2])


def refusal(**constraints) -> str:
    with pytest.raises(InputError) as caught:
        refuse_contradictions(space(Constraints(**constraints), NAMES, PRIOR_K))
    return str(caught.value)


def test_contradicting_constraints_are_named_with_a_remedy():
    told = refusal(
        floors={"th": 0.6, "english": 0.5},
        ceilings={"code": 0.3},
        groups={"english": ["en", "en-th"]},
    )
    assert "'floor of th: 0.6' and 'floor of english: 0.5'" in told and "code" not in told
    assert "eased by 0.1" in told


def test_epochs_and_nearness_are_named_too():
    assert "'th: 4 epochs'" in refusal(
        floors={"th": 0.3}, sums=[Sum("th: 4 epochs", {"th": 2}, 0.4)]
    )
    assert "'within 0.1 of the prior'" in refusal(floors={"th": 0.4}, near=0.1)


def test_what_fits_is_not_refused():
    fine = Constraints(floors={"th": 0.3}, ceilings={"en": 0.5}, near=0.1)
    refuse_contradictions(space(fine, NAMES, PRIOR_K))
