"""Protocols: what a benchmark's number must be read with is kept by the task's name."""

import pytest

from polylm_jax.errors import InputError
from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, MEAN, RANK, Protocol

XNLI = Protocol("xnli", "ar", "test", RANK, "accuracy_mean", normalisation=MEAN, choices=3)
TYDI = Protocol("tydiqa", "ko", "validation", GENERATE, "f1", few_shot=1)


@pytest.fixture(autouse=True)
def forgotten():
    yield
    protocol.remove("xnli.ar")


def test_a_second_protocol_of_one_name_is_refused():
    protocol.add("xnli.ar", XNLI)
    protocol.add("xnli.ar", XNLI)
    assert protocol.find("xnli.ar") is XNLI and "xnli.ar" in protocol.names()
    with pytest.raises(InputError, match="'xnli.ar' already has another protocol"):
        protocol.add("xnli.ar", TYDI)


def test_an_unknown_task_is_told_the_nearest():
    protocol.add("xnli.ar", XNLI)
    with pytest.raises(InputError, match="'xnli.arr' has no protocol. Did you mean 'xnli.ar'?"):
        protocol.find("xnli.arr")


def test_a_protocol_in_words():
    assert XNLI.describe() == "test split, zero-shot, as published, mean per token"
    assert TYDI.describe() == (
        "validation split, one-shot, as published, greedy, at most 256 tokens, cut at '\\n'"
    )
