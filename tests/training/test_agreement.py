"""Processes that were not given the same thing leave before anything compiles, and say who and what.

The real ones are in test_train_hosts.py; here each is a thread, and the store they share a table.
"""

import concurrent.futures
import threading
import types

import pytest
import toy_run

from polylm_jax.errors import InputError
from polylm_jax.training import agreement
from polylm_jax.training.settings import Settings

pytest_plugins = ["toy_fixture"]


class Store:
    """The calls of JAX's store that are used here."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.values
        self.values[key] = value

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.values.items() if key.startswith(folder)]

    def blocking_key_value_get(self, key, milliseconds):
        return self.values[key]


@pytest.fixture
def several(monkeypatch):
    """several([what each is given, or an InputError that it meets]) -> what each one says."""
    me = threading.local()

    def run(given, store=None, wait=20.0):
        store = store or Store()
        monkeypatch.setattr(agreement.shared_keys, "client", lambda: store)
        known = types.SimpleNamespace(
            process_count=lambda: len(given), process_index=lambda: me.number
        )
        monkeypatch.setattr(agreement, "jax", known)
        monkeypatch.setattr(agreement, "WAIT_SECONDS", wait)
        monkeypatch.setattr(agreement, "_POLL_SECONDS", 0.01)

        def process(number):
            me.number = number
            try:
                if isinstance(given[number], InputError):
                    raise given[number]
                agreement.agree("recipe", lambda: given[number])
            except InputError as error:
                agreement.refuse(error)
                return str(error)
            return ""

        with concurrent.futures.ThreadPoolExecutor(len(given)) as pool:
            return list(pool.map(process, range(len(given))))

    return run


@pytest.fixture(scope="module")
def decided(toy_folder):
    """What decides the toy's run, as process 0 says it."""
    return agreement.decides(toy_run.experiment(toy_folder).resolve(), Settings())


def changed(toy_folder, experiment=None, settings=None):
    resolved = toy_run.experiment(toy_folder, **(experiment or {})).resolve()
    return agreement.decides(resolved, Settings(**(settings or {})))


def test_the_same_is_agreed_on(decided, several):
    assert several([decided] * 3) == ["", "", ""]


@pytest.mark.parametrize(
    ("experiment", "settings", "words"),
    [
        ({"seed": 1}, {}, "seed: 0 -> 1"),
        ({"microbatches": 2}, {}, "experiment.microbatches: 1 -> 2"),
        # Before, a validation that one process alone made was waited for, for ever.
        ({}, {"eval_every_steps": 7}, "settings.eval_every_steps: 1000 -> 7"),
        ({}, {"save_every_minutes": 1}, "settings.save_every_minutes: 15.0 -> 1"),
        # A save is a collective: one process alone would wait in it.
        ({}, {"keep_at": [40]}, "settings.keep_at.0: absent -> 40"),
        ({}, {"recipe": "SEED = 1"}, "recipe.SEED: absent -> '1'"),
    ],
)
def test_another_recipe_or_cadence_is_named(
    experiment, settings, words, toy_folder, decided, several
):
    said = several([decided, changed(toy_folder, experiment, settings), decided])
    assert len({*said}) == 1
    assert "process 1 was not given what process 0 was: " in said[0] and words in said[0]


def test_another_store_on_one_host_is_named(decided, several, tmp_path):
    folder = tmp_path / "other"
    toy_run.make(folder)
    toy_run.write_store(folder, "toy.th", "th", toy_run.random_text(7))
    said = several([decided, decided, changed(folder)])
    assert "process 2 was not given" in said[0] and "stores.toy.th: " in said[0]
    assert "stores.toy.en:" not in said[0]


def test_other_code_or_libraries_are_named(decided, several):
    older = {**decided, "code": decided["code"] | {"polylm_jax": "0" * 64, "libtpu": "0.0.1"}}
    said = several([decided, older])
    assert said[0] == said[1]
    assert "code.polylm_jax: " in said[0] and "code.libtpu: " in said[0]


def test_one_that_refuses_its_input_is_not_waited_for(decided, several):
    said = several([decided, InputError("CACHE_DIR = 'x' has no store"), decided])
    assert said[0] == said[2] == "process 1 refuses: CACHE_DIR = 'x' has no store"


class OneSilent(Store):
    """Nothing of process 1 comes through."""

    def key_value_set(self, key, value, allow_overwrite=False):
        if not key.endswith("/1"):
            super().key_value_set(key, value, allow_overwrite)


def test_one_that_says_nothing_is_named_in_the_end(decided, several):
    said = several([decided, decided], OneSilent(), wait=0.1)
    assert "process 1 has not said within 0.1 s what it was given" in said[0]
