"""The GPU's table of tries: what is tried, what is kept, what a failure costs; a toy step in full."""

import pytest

from benchmarks import gpu_train_step
from benchmarks.gpu_train_step import AXES, LOSSES, START, TOY, measure, search, table
from polylm_jax.errors import InputError
from polylm_jax.model.config import POLICIES


def machine(tried, allowed=1000):
    """Larger batches are faster up to 16 rows; 'none' needs more than there is from 8 rows on."""

    def run(one):
        if one not in tried:
            if len(tried) == allowed:
                return None
            tried.append(one)
        if one["remat"] == "none" and one["rows"] > 4:
            return one | {"error": "out of memory"}
        rate = min(one["rows"], 16) * 100
        rate += {"cudnn": 50, "full logits": 7, "none": 30, "dots": 20}.get(one["remat"], 0)
        rate += 50 * (one["attention"] == "cudnn") + 7 * (one["loss"] == "2 chunks")
        return one | {"tokens_per_s": rate, "mfu": rate / 1e4}

    return run


def test_the_fastest_that_fits_is_kept():
    tried = []
    best = search(machine(tried), START)
    assert best == START | {"loss": "2 chunks", "remat": "dots", "rows": 16}
    assert {one["remat"] for one in tried} == set(POLICIES)
    assert {one["loss"] for one in tried} == set(LOSSES)
    assert len(tried) <= sum(len(values) for axis in AXES for values in axis.values()) + 20


def test_it_stops_where_the_time_is_over():
    tried = []
    search(machine(tried, allowed=3), START)
    assert len(tried) == 3


def test_the_table_has_the_fastest_first_and_failures_last():
    run = machine([])
    settings = [START | {"remat": "none"}, START, START | {"rows": 16}]
    rows = table([run(one) for one in settings]).splitlines()[2:]
    assert ["| 16 |" in row for row in rows] == [True, False, False]
    assert "out of memory" in rows[2] and "16.7%" in rows[0]


@pytest.mark.parametrize("loss", ["8 chunks", "full logits"])
def test_a_toy_step_is_measured(loss):
    line = measure(START | {"attention": "reference", "loss": loss, "rows": 2}, TOY)
    assert line["tokens_per_s"] > 0 and line["temporaries_GiB"] >= 0


def test_without_a_gpu_a_sentence_says_so():
    with pytest.raises(InputError, match="finds no GPU"):
        gpu_train_step.check_gpu()
