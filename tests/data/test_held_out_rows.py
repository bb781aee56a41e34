"""Held-out text of several components is scored once: both directions of a pair take turns at its rows."""

import json

import numpy as np
import pytest
import toy_run

from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.rows import Rows
from polylm_jax.data.stores.cache import ensure_stores
from polylm_jax.text import registrations
from tasks import corpus

pytest_plugins = ["toy_fixture"]

LENGTH = 24


def write(path, count, word):
    lines = [
        {"id": f"{word}{n}", "en": f"{word} {n} abc", "th": f"ab{n} {word}"} for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def rows(toy_folder, tmp_path):
    """The name of a corpus -> its rows, of 60 pairs and whatever there is besides."""
    for name, count in (("some", 60), ("other", 60)):
        write(tmp_path / f"{name}.jsonl", count, name)

    def of(name, length=LENGTH, held_out=0.4, other=(), **options):
        with registrations.for_a_time():
            model = f"{toy_folder}/toy.model"
            pairs = {"en-th": "some.jsonl", **dict(other)}
            names = corpus.register(
                str(tmp_path), model, {}, pairs, name=name, held_out=held_out, **options
            )
            stores = ensure_stores(names, str(tmp_path / "cache"), model)
        share = 1 / len(names)
        schedule = Schedule([Phase("1", dict.fromkeys(names, share), 8)])
        return Rows(schedule, stores, length, seed=0)

    return of


def whole(rows, component):
    """Counted labels of all rows of a component's held-out text, in order."""
    store = rows.stores[component]
    return store.read_rows("validation", np.zeros(1, np.int64), store.num_tokens("validation") - 1)[
        0, 1:
    ]


def test_two_directions_score_every_second_row_each(rows):
    both = rows("both")
    found = {name: both.held_out(name, 10**6) for name in both.stores}
    sizes = [len(held["tokens"]) for held in found.values()]
    (name, *_), total = found, len(whole(both, "both.en_th"))
    assert sum(sizes) == -(-total // LENGTH) > 10 and abs(sizes[0] - sizes[1]) <= 1
    for turn, name in enumerate(sorted(found)):
        labels, counted = whole(both, name), found[name]["counted"]
        mine = found[name]["tokens"][:, 1:][counted]
        starts = range(turn * LENGTH, len(labels), 2 * LENGTH)
        assert (mine == np.concatenate([labels[s : s + LENGTH] for s in starts])).all()
    assert sum(held["counted"].sum() for held in found.values()) == total
    (note,) = both.notes()
    assert "1 of 1 sources" in note


def test_one_direction_or_other_files_score_all_rows(rows):
    for made in (
        rows("one", both_directions=False),
        rows("two", other={"en-th.opus": "other.jsonl"}),
    ):
        for name in made.stores:
            held = made.held_out(name, 10**6)["counted"].sum()
            expected = len(whole(made, name)) / (1 if made.stores.keys() == {"one.en_th"} else 2)
            assert abs(held - expected) <= LENGTH


def test_of_one_row_each_direction_keeps_it(rows):
    made = rows("short", length=300, held_out=0.05)
    for name in made.stores:
        assert made.held_out(name, 10**6)["counted"].sum() == len(whole(made, name)) > 0


def test_no_more_rows_of_a_source_than_asked(rows):
    made = rows("most")
    assert sum(len(made.held_out(name, 6)["tokens"]) for name in made.stores) == 6


def test_stores_that_no_files_are_known_of_keep_theirs(toy_folder):
    made = toy_run.experiment(toy_folder).resolve().rows
    assert not list(made.notes())
    assert len(made.held_out("toy.en", 4)["tokens"]) == 4
