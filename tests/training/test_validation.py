"""Bits per byte: every held-out label once, in bytes that a reader of the text would count."""

import functools
import math

import jax
import numpy as np
import pytest
import toy_run

from polylm_jax.data import rows
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, make_optimizer
from polylm_jax.runtime.processes import Several
from polylm_jax.training import train_state, validation
from polylm_jax.training.validation import Pieces, Score

pytest_plugins = ["toy_fixture"]

L = toy_run.LENGTH
MESHES = [(8, 1, 1), (2, 2, 2)]


@pytest.fixture(scope="module")
def stores(toy_folder):
    return {task: TokenStore.open(f"{toy_folder}/stores/{task}") for task in toy_run.LANGUAGES}


@pytest.fixture(scope="module")
def rows_of(stores):
    """Held-out rows, at most so many of each component."""
    found = rows.Rows(Schedule([Phase("all", {task: 1 / 3 for task in stores}, 9)]), stores, L, 0)
    return functools.partial(validation.held_out, found)


@pytest.fixture(scope="module")
def pieces():
    """Bytes of each piece, other than 1 for most: 0 for EOS and its like; half as many characters."""
    lengths = np.random.default_rng(0).integers(1, 4, toy_run.MODEL.vocab_size).astype(np.int32)
    lengths[:3] = 0
    return Pieces(lengths, (lengths + 1) // 2)


def test_a_short_split_is_scored_to_its_last_label(stores, rows_of):
    rows = rows_of(toy_run.LANGUAGES, 1000)
    for number, label in enumerate(rows.labels):
        task = next(task for task, language in toy_run.LANGUAGES.items() if language == label)
        split = stores[task].read_rows("validation", np.zeros(1, np.int64), 299)[0]
        mine = rows.label == number
        labels = rows.tokens[mine][:, 1:][rows.counted[mine]]
        np.testing.assert_array_equal(labels, split[1:])
        inputs = rows.tokens[mine][:, :-1][rows.counted[mine]]
        np.testing.assert_array_equal(inputs, split[:-1])


def test_a_long_split_is_sampled_evenly(stores, rows_of):
    rows, again = (rows_of(toy_run.LANGUAGES, 4) for _ in range(2))
    np.testing.assert_array_equal(rows.tokens, again.tokens)
    assert len(rows.tokens) == 3 * 4 and rows.counted.all()
    english = stores["toy.en"].read_rows("validation", np.arange(18, dtype=np.int64), L)
    mine = rows.tokens[rows.label == rows.labels.index("en")]
    where = [int(np.flatnonzero((english == row).all(axis=1))[0]) for row in mine]
    assert where == [0, 4, 9, 13]


def test_bits_per_byte_by_hand():
    score = Score(nats=10 * math.log(2), bytes=4, tokens=5, characters=2)
    assert score.bits_per_byte == pytest.approx(2.5)
    assert score.bits_per_character == pytest.approx(5.0)
    assert (score + score).characters == 4
    assert score.loss == pytest.approx(2 * math.log(2))


def test_the_average_counts_each_language_once():
    bits = {"en": 1.0, "th": 3.0, "en-th": 100.0, "code": 100.0}
    scores = {label: Score(b * math.log(2) * 1000, 1000, 1) for label, b in bits.items()}
    scores["en"] = Score(1.0 * math.log(2) * 10**9, 10**9, 1)
    assert validation.average(scores) == pytest.approx(2.0)
    assert validation.average({"code": scores["code"]}) == pytest.approx(100.0)


def test_a_report_has_bits_per_byte_and_per_character():
    scores = {"th": Score(30 * math.log(2), 30, 5, 10), "en": Score(5 * math.log(2), 10, 5, 10)}
    line = validation.report(scores, scores)
    assert line["bits_per_byte"] == pytest.approx({"th": 1.0, "en": 0.5})
    assert line["bits_per_character"] == pytest.approx({"th": 3.0, "en": 0.5})
    assert line["average_bits_per_character"] == pytest.approx(1.75)


def test_components_of_one_language_are_pooled(stores, rows_of, pieces):
    rows = rows_of({task: "th" for task in stores}, 1000)
    scores = rows.scores(np.ones(len(rows.tokens)), pieces)
    assert scores.keys() == {"th"}
    assert scores["th"].tokens == 3 * 299
    assert scores["th"].nats == len(rows.tokens)


def test_the_unigram_is_smoothed_over_the_same_labels(stores, rows_of, pieces):
    V = len(pieces.bytes)
    rows = rows_of(toy_run.LANGUAGES, 1000)
    scores = validation.unigram(rows, stores, toy_run.LANGUAGES, pieces)
    for task, label in toy_run.LANGUAGES.items():
        train = stores[task].read_rows("train", np.zeros(1, np.int64), 2699)[0]
        labels = stores[task].read_rows("validation", np.zeros(1, np.int64), 299)[0][1:]
        nats = sum(-math.log(((train == t).sum() + 1) / (len(train) + V)) for t in labels)
        expected = nats / (math.log(2) * pieces.bytes[labels].sum())
        assert scores[label].bits_per_byte == pytest.approx(expected)


def test_a_unigram_of_much_text_counts_rows_spread_over_it(stores):
    text = stores["toy.en"].read_rows("train", np.zeros(1, np.int64), 2699)[0]
    counts = validation.train_counts(stores["toy.en"], 320, 1000, length=100)
    rows = [number * 26 // 10 for number in range(10)]
    expected = np.concatenate([text[row * 100 : row * 100 + 100] for row in rows])
    np.testing.assert_array_equal(counts, np.bincount(expected, minlength=320))


@pytest.mark.parametrize("tokens_at_once", [layers_apart.TOKENS_AT_ONCE, L], ids=["whole", "parts"])
@pytest.mark.parametrize("shape", MESHES)
def test_the_model_is_scored_as_by_plain_softmax(
    shape, tokens_at_once, rows_of, pieces, monkeypatch
):
    monkeypatch.setattr(layers_apart, "TOKENS_AT_ONCE", tokens_at_once)
    mesh = partitioning.make_mesh(partitioning.MeshConfig(*shape))
    model = PolyLM(toy_run.MODEL)
    tx = make_optimizer(OptimizerConfig(), lambda step: 0.0)
    params = train_state.create(model, tx, mesh, jax.random.key(1)).params
    rows = rows_of(toy_run.LANGUAGES, 1000)
    held_out = validation.Validation(rows, pieces, mesh, 16)
    computed = layers_apart.computed(toy_run.MODEL)
    held_out.compile(computed, train_state.abstract(model, tx, mesh).params, 2)
    scores = held_out.run(params)

    x_BTD = model.apply({"params": jax.device_get(params)}, rows.tokens[:, :-1])
    logits = np.asarray(x_BTD @ np.asarray(params["wte"]["embedding"]).T, np.float64)
    logprobs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nats = -np.take_along_axis(logprobs, rows.tokens[:, 1:, None], axis=-1)[..., 0] * rows.counted
    for number, label in enumerate(rows.labels):
        mine = rows.label == number
        counted = rows.tokens[mine][:, 1:][rows.counted[mine]]
        for measure, sizes in zip(("bits_per_byte", "bits_per_character"), pieces):
            expected = nats[mine].sum() / (math.log(2) * sizes[counted].sum())
            assert getattr(scores[label], measure) == pytest.approx(expected, rel=1e-5)
    assert held_out.run(params, stop=lambda: True) is None


def test_the_same_parameters_are_scored_once(rows_of, pieces, monkeypatch):
    mesh = partitioning.make_mesh(partitioning.MeshConfig())
    model, tx = PolyLM(toy_run.MODEL), make_optimizer(OptimizerConfig(), lambda step: 0.0)
    first, other = (train_state.create(model, tx, mesh, jax.random.key(n)).params for n in range(2))
    held_out = validation.Validation(rows_of(toy_run.LANGUAGES, 1000), pieces, mesh, 16)
    held_out.compile(model, train_state.abstract(model, tx, mesh).params, 2)
    alone = held_out.run(first), held_out.run(other)
    monkeypatch.setattr(Several, "runs", True)
    assert (held_out.run(first), held_out.run(other)) == alone and alone[0] != alone[1]
    program, calls = held_out._values, []
    monkeypatch.setattr(held_out, "_computed", lambda *_: calls.append(1) or np.zeros(1))
    assert held_out.run(first) == alone[0] and not calls
    fewer = rows_of(toy_run.LANGUAGES, 8)
    monkeypatch.setattr(held_out, "rows", fewer)
    monkeypatch.setattr(held_out, "_computed", lambda *_: np.zeros(len(fewer.tokens)))
    assert held_out.run(first) != alone[0] and held_out._values is program
