"""Log-likelihoods: equal to plain softmax over all logits, on any mesh, however rows are shared."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import scipy.special
import toy_hf

from polylm_jax.evaluation import batching
from polylm_jax.evaluation.requests import Request, encode_pairs, rolling
from polylm_jax.evaluation.scoring import Scorer
from polylm_jax.model import parameters, partitioning
from polylm_jax.model.network import PolyLM
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, dtype="float32", remat="none")


@pytest.fixture(scope="module")
def model():
    return PolyLM(CONFIG)


@pytest.fixture(scope="module")
def params(model):
    """Random parameters, large enough that tokens differ in their likelihood."""
    import flax.linen as nn

    params = nn.unbox(parameters.init_params(model, jax.random.key(0)))
    return jax.tree.map(lambda x: 4 * x, params)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer.load(toy_hf.vocabulary(tmp_path_factory.mktemp("toy")))


def random_requests(count=60, longest=40):
    """Requests of every length that fits, the last one at the limit."""
    chance = np.random.default_rng(0)
    found = []
    for _ in range(count):
        length = int(chance.integers(2, longest + 2))
        ids = chance.integers(3, 600, length).astype(np.int32)
        cut = int(chance.integers(1, length))
        found.append(Request(ids[:cut], ids[cut:]))
    ids = chance.integers(3, 600, longest + 1).astype(np.int32)
    return [*found, Request(ids[:1], ids[1:])]


@functools.partial(jax.jit, static_argnames="model")
def logits(model, params, ids_T):
    """[T][V] of one row."""
    x_BTD = model.apply({"params": params}, ids_T[None])
    return model.apply({"params": params}, x_BTD, method="logits")[0]


def padded(ids):
    """As long as the model's rows, so that all have one program; no token sees a later one."""
    return np.pad(np.asarray(ids, np.int32), (0, CONFIG.max_length - len(ids)))


def plain(model, params, request):
    """(log p, greedy) of one request from the softmax over all logits of its row."""
    ids = np.concatenate(request)[:-1]
    logits_TV = np.asarray(logits(model, params, padded(ids)), np.float64)[: len(ids)]
    log_p_TV = scipy.special.log_softmax(logits_TV, -1)[len(request.context) - 1 :]
    labels = request.continuation
    return log_p_TV[np.arange(len(labels)), labels].sum(), (log_p_TV.argmax(-1) == labels).all()


def scorer(model, mesh, **options):
    devices = jax.devices()[: np.prod(mesh)]
    grid = partitioning.make_mesh(MeshConfig(*mesh), devices)
    return Scorer(model, grid, **{"tokens_per_part": 128, "label_chunk": 24, **options}), grid


def placed(model, params, grid):
    boxed = jax.eval_shape(lambda: parameters.init_params(model, jax.random.key(0)))
    return jax.device_put(params, partitioning.param_shardings(boxed, grid))


@pytest.mark.parametrize("mesh", [(1, 1, 1), (2, 2, 2)])
def test_scores_are_those_of_a_plain_softmax(model, params, mesh):
    requests = random_requests()
    found, grid = scorer(model, mesh)
    scores = found.all(placed(model, params, grid), requests)
    expected = [plain(model, params, request) for request in requests[::6]]
    for request, score, (log_p, greedy) in zip(requests[::6], scores[::6], expected, strict=True):
        assert score.log_p == pytest.approx(log_p, abs=2e-4)
        assert score.tokens == len(request.continuation)
        assert score.is_greedy == greedy
    assert found.programs <= len(batching.lengths(40))


def test_greedy_is_what_the_model_would_have_written(model, params):
    found, _ = scorer(model, (1, 1, 1))
    ids = [5, 17]
    for _ in range(4):
        ids.append(int(logits(model, params, padded(ids))[len(ids) - 1].argmax()))
    other = [*ids[:-1], (ids[-1] + 1) % 600]
    requests = [
        Request(np.array(ids[:2], np.int32), np.array(text[2:], np.int32)) for text in (ids, other)
    ]
    assert [score.is_greedy for score in found.all(params, requests)] == [True, False]


def test_a_request_beyond_the_positions_is_left_out(model, params):
    found, _ = scorer(model, (1, 1, 1))
    ids = np.full(42, 7, np.int32)
    fits, long = Request(ids[:1], ids[1:41]), Request(ids[:1], ids[1:])
    scores = found.all(params, [long, fits])
    assert scores[0] is None and scores[1].tokens == 40


def test_requests_that_begin_alike_share_a_row():
    context = np.arange(10, 20, dtype=np.int32)
    answers = [Request(context, np.array([a], np.int32)) for a in (3, 4, 5, 6)]
    inner = Request(context[:4], context[4:6])
    other = Request(context[1:], np.array([9], np.int32))
    requests = [*answers, inner, other]
    rows = batching.share_rows(requests, range(len(requests)))
    assert sorted(sorted(row.requests) for row in rows) == [[0, 1, 2, 3, 4], [5]]


def test_a_row_takes_no_more_labels_than_it_has_tokens(model, params):
    request = Request(np.array([5], np.int32), np.array([6, 7, 8], np.int32))
    rows = batching.share_rows([request] * 7, range(7))
    assert all(3 * len(row.requests) <= 3 for row in rows)
    found, _ = scorer(model, (1, 1, 1))
    scores = found.all(params, [request] * 7)
    assert len({score.log_p for score in scores}) == 1


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("longest", [20, 40, 256, 2048])
def test_few_lengths_and_little_padding(longest, multiple):
    lengths = batching.lengths(longest, multiple)
    assert lengths[-1] == longest and len(lengths) <= 13
    for tokens in range(33, longest + 1):
        assert batching.length_for(tokens, lengths) <= 1.5 * tokens + multiple


def test_a_continuation_is_cut_where_lm_eval_cuts_it(tokenizer):
    def ids(text):
        return tokenizer.encode(text)

    whole, spaced, empty = encode_pairs(
        tokenizer, [("The ferry", " leaves"), ("The ferry  ", "leaves"), ("", "เรือ")]
    )
    assert whole.context.tolist() == ids("The ferry")
    assert [*whole.context, *whole.continuation] == ids("The ferry leaves")
    assert [*spaced.context, *spaced.continuation] == ids("The ferry  leaves")
    assert spaced.context.tolist() == ids("The ferry")
    assert empty.context.tolist() == [tokenizer.eos_id]
    assert empty.continuation.tolist() == ids("เรือ")


def test_a_continuation_is_never_swallowed_by_its_context(tokenizer):
    pieces = [tokenizer.processor.id_to_piece(i) for i in range(300, tokenizer.vocab_size)]
    word = next(p for p in pieces if len(p) > 2 and len(tokenizer.encode(p[:-1])) == 1
                and tokenizer.encode(p) == [tokenizer.processor.piece_to_id(p)])  # fmt: skip
    (request,) = encode_pairs(tokenizer, [(word[:-1], word[-1])])
    assert request.continuation.tolist() == tokenizer.encode(word[-1])


@pytest.mark.parametrize("length", [0, 1, 4, 5, 8, 10])
def test_rolling_windows_score_each_token_once(length):
    ids = np.arange(length, dtype=np.int32)
    windows = rolling(ids, 99, 4)
    scored = [int(token) for window in windows for token in window.continuation]
    assert scored == list(range(length))
    for window in windows[1:]:
        assert window.input_length == 4  # as much context as the model takes
    if length == 10:
        assert windows[-1].context.tolist() == [5, 6, 7]
        assert windows[-1].continuation.tolist() == [8, 9]
