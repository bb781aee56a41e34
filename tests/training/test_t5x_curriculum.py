"""The curriculum under SeqIO: shares in tokens, phases where they belong, places that can be saved."""

import numpy as np
import pytest
import seqio
import tensorflow as tf
import toy_run
import toy_t5x

from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.errors import InputError
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.t5x import curriculum

LENGTHS = {"a": 10.0, "b": 250.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("t5x") / "toy"
    toy_run.make(made)
    toy_t5x.register(made)
    return made


def two_phases(ramp_rows=0):
    return Schedule(
        [Phase("one", {"a": 0.75, "b": 0.25}, 1000), Phase("two", {"b": 1.0}, 500, ramp_rows)]
    )


@pytest.mark.parametrize("ramp_rows", [0, 200])
def test_draws_are_corrected_so_that_tokens_have_the_shares(ramp_rows):
    schedule = two_phases(ramp_rows)
    plan = curriculum.plan(schedule, 32, LENGTHS)
    assert plan.names == ("a", "b")
    np.testing.assert_allclose(plan.weights[0], [0.75 / 10, 0.25 / 250] / np.float64(0.076))
    for row in (100, 1000, 1100, 1500):
        wanted = np.array([float(rows) for rows in schedule.planned(row)]) * 32
        draws = int(np.searchsorted([plan.expected_tokens(n).sum() for n in range(4000)], row * 32))
        np.testing.assert_allclose(plan.expected_tokens(draws), wanted, atol=250)
    assert plan.expected_tokens(10**9).sum() == pytest.approx(1500 * 32, abs=250)
    assert sum(plan.rates.values()) == pytest.approx(1)


def test_a_draw_has_the_weights_of_its_stretch():
    plan = curriculum.plan(two_phases(), 32, LENGTHS)
    first = int(plan.ends[0])
    weights = plan.dataset()
    for draw, stretch in ((0, 0), (first - 1, 0), (first, 1), (int(plan.ends[1]) + 5, 1)):
        found = next(weights.skip(draw).take(1).as_numpy_iterator())
        np.testing.assert_allclose(found, plan.weights[stretch], rtol=1e-6)


def rows(name, seed=0, count=None):
    mixture = seqio.get_mixture_or_task(name)
    dataset = mixture.get_dataset({"targets": toy_t5x.LENGTH}, "train", shuffle=True, seed=seed)
    return dataset if count is None else dataset.take(count)


def test_the_mixture_follows_the_schedule(folder):
    """Tokens of each language by step, told apart by their documents' first piece."""
    experiment = toy_t5x.experiment(
        folder,
        phases=[
            PhaseConfig({"t5x.en": 0.5, "t5x.th": 0.5}, steps=200, name="one", warmup_steps=1),
            PhaseConfig({"t5x.th": 0.5, "t5x.de": 0.5}, steps=200, name="two", rate="hold"),
        ],
    )
    name = curriculum.register(experiment, "t5x.follow")
    found = np.concatenate(list(tokens_by_language(name, 400 * 8)))
    half = len(found) // 2
    for part, shares in (
        (found[:half], {"en": 0.5, "th": 0.5}),
        (found[half:], {"th": 0.5, "de": 0.5}),
    ):
        counted = {code: float(np.mean(part == code)) for code in toy_t5x.WORDS}
        for code in toy_t5x.WORDS:
            assert counted[code] == pytest.approx(shares.get(code, 0.0), abs=0.06), (code, counted)


def tokens_by_language(name, count):
    """The language of every token of the first rows, document by document."""
    vocabulary = seqio.get_mixture_or_task(name).output_features["targets"].vocabulary
    stream = np.concatenate([row["targets"] for row in rows(name, count=count).as_numpy_iterator()])
    for document in np.split(stream, np.flatnonzero(stream == vocabulary.eos_id) + 1):
        language = vocabulary.decode(document.tolist()).split(" ")[0]
        yield np.repeat(language if language in toy_t5x.WORDS else "?", len(document))


def test_rows_are_full_and_documents_whole(folder):
    name = curriculum.register(toy_t5x.experiment(folder), "t5x.whole")
    vocabulary = seqio.get_mixture_or_task(name).output_features["targets"].vocabulary
    stream = [row["targets"] for row in rows(name, count=300).as_numpy_iterator()]
    assert all(row.shape == (toy_t5x.LENGTH,) and row.all() for row in stream)
    text = vocabulary.decode(np.concatenate(stream).tolist())
    whole = {text.strip() for code in toy_t5x.WORDS for text in toy_t5x.documents(code)}
    ids = np.concatenate(stream)
    documents = np.split(ids, np.flatnonzero(ids == vocabulary.eos_id) + 1)[:-1]
    assert len(documents) > 20 and text
    assert all(vocabulary.decode(d[:-1].tolist()).strip() in whole for d in documents)


def test_an_iterator_goes_on_where_it_was_saved(folder, tmp_path):
    name = curriculum.register(toy_t5x.experiment(folder), "t5x.saved")
    dataset = rows(name).batch(8)

    def take(iterator, count):
        return [next(iterator)["targets"].numpy() for _ in range(count)]

    iterator = iter(dataset)
    take(iterator, 25)  # into the ramp
    saved = tf.train.Checkpoint(ds=iterator).write(f"{tmp_path}/place")
    wanted = take(iterator, 5)
    again = iter(dataset)
    tf.train.Checkpoint(ds=again).read(saved).assert_consumed()
    np.testing.assert_array_equal(take(again, 5), wanted)
    assert not np.array_equal(take(iter(rows(name, seed=1).batch(8)), 5), wanted)


def test_a_store_without_documents_is_refused(folder):
    stores = curriculum.cache.ensure_stores(
        ["t5x.en"], f"{folder}/t5x_stores", f"{folder}/toy.model"
    )
    assert curriculum.tokens_per_document(stores)["t5x.en"] > 1
    splits = {"validation": stores["t5x.en"].manifest.splits["validation"]}
    empty = curriculum.dataclasses.replace(stores["t5x.en"].manifest, splits=splits)
    store = curriculum.TokenStore(stores["t5x.en"].folder, empty)
    with pytest.raises(InputError, match="t5x.en.*no training documents"):
        curriculum.tokens_per_document({"t5x.en": store})
