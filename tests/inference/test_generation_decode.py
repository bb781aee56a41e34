"""Decoding: the cache, batches, chance, ends of texts, compiles, meshes, and what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_generation as toy

from polylm_jax.errors import InputError
from polylm_jax.inference.generation import buckets, steps
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.decode import Request
from polylm_jax.inference.generation.sampling import GREEDY, Kind, Sampling, knobs
from polylm_jax.model import partitioning
from polylm_jax.model.network import PolyLM

DRAWN = Sampling(temperature=1.0, top_k=20, top_p=0.95, repetition_penalty=1.1)


@pytest.fixture(scope="module")
def decoder():
    return toy.decoder()


@pytest.fixture(scope="module")
def params():
    return toy.params()


@jax.jit
def whole_logits(params, rows):
    """Float32 logits [B, T, V] without a cache."""
    model = PolyLM(dataclasses.replace(toy.MODEL, remat="none"))
    x_BTD = model.apply({"params": params}, jnp.asarray(rows))
    return model.apply({"params": params}, x_BTD, method="logits")


def test_cached_logits_are_the_uncached_ones(decoder, params):
    rows = np.array(toy.prompts(90, 90, 90))
    lengths = np.array([5, 16, 11])
    whole = whole_logits(params, rows)
    prompts = np.where(np.arange(16) < lengths[:, None], rows[:, :16], 0)
    static = steps.Static(decoder.config, Kind(), (toy.EOS,), toy.MODEL.vocab_size)
    prefill = jax.jit(functools.partial(steps.apply, static, prefill=True, cache_length=32))
    logits, cache = prefill(
        decoder.params, jnp.asarray(prompts), last_B=lengths - 1, lengths_B=jnp.asarray(lengths)
    )
    step = jax.jit(
        lambda cache, token: steps.apply(
            static, decoder.params, token[:, None], cache=cache, decode=True
        )
    )
    every = np.arange(3)
    for made in range(64):
        np.testing.assert_allclose(logits, whole[every, lengths - 1 + made], atol=1e-4)
        if made in (16, 48):
            cache = steps.widen(cache, columns={16: 64, 48: 96}[made])
        logits, cache = step(cache, jnp.asarray(rows[every, lengths + made]))
    assert jax.tree.leaves(cache)[-1].shape[-1] == 96


def test_greedy_tokens_are_the_likeliest(decoder, params):
    requests = [Request(ids, 50) for ids in toy.prompts(3, 20, 40)]
    found = [[*r.tokens, *done.tokens] for r, done in zip(requests, decoder.complete(requests))]
    longest = max(map(len, found))  # what stands behind a text changes nothing in it
    padded = [row + [0] * (longest - len(row)) for row in found]
    likeliest_BT = np.argmax(whole_logits(params, np.array(padded)), axis=-1)
    for request, row, likeliest_T in zip(requests, found, likeliest_BT, strict=True):
        start = len(request.tokens)
        assert likeliest_T[start - 1 : len(row) - 1].tolist() == row[start:]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_a_mixed_batch_gives_each_what_it_gets_alone(decoder, sampling):
    requests = [
        Request(ids, 40 - number, sampling, seed=number % 2)
        for number, ids in enumerate(toy.prompts(1, 30, 7, 16, 17, 2, 11, 20, 5, 9))
    ]
    together = decoder.complete(requests)
    for request, done in zip(requests, together, strict=True):
        assert decoder.complete([request]) == [done]


def test_chance_does_not_depend_on_the_place_in_the_batch(decoder):
    (ids,) = toy.prompts(9)
    wanted = [Request(ids, 24, DRAWN, seed=s, sample=n) for s in (0, 1) for n in (0, 1)]
    texts = [done.tokens for done in decoder.complete(wanted)]
    assert len({tuple(text) for text in texts}) == 4
    others = [Request(p, 30, Sampling(0.7), seed=5) for p in toy.prompts(3, 12, 6, seed=1)]
    mixed = decoder.complete([*others, *reversed(wanted)])
    assert [done.tokens for done in reversed(mixed[3:])] == texts


def test_no_prompt_length_compiles_by_itself(decoder):
    sizes = [program._cache_size for program in (steps.prefill, steps.advance, steps.widen)]
    for length in (17, 32):  # two of one bucket, all columns that they can need
        decoder.complete([Request(ids, 62) for ids in toy.prompts(length)])
    before = [size() for size in sizes]
    decoder.complete([Request(ids, 30 + len(ids)) for ids in toy.prompts(*range(17, 33))])
    assert [size() for size in sizes] == before


@pytest.mark.parametrize(("limit", "prompts", "columns"), [
    (2048, (16, 32, 64, 128, 256, 512, 1024, 2048),
     (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)),
    (100, (16, 32, 64, 100), (64, 96, 100)),
    (10, (10,), (10,)),
])  # fmt: skip
def test_buckets_are_few_and_end_at_the_model(limit, prompts, columns):
    assert buckets.prompt_buckets(limit) == prompts
    assert buckets.cache_buckets(limit) == columns


def test_texts_end_at_their_own_end_of_text_or_limit(decoder):
    requests = [
        Request(ids, 60, Sampling(1.5), seed=n) for n, ids in enumerate(toy.prompts(*[8] * 12))
    ]
    done = decoder.complete(requests)
    assert {one.finish for one in done} == {"eos", "length"}
    for one in done:
        ends = [place for place, token in enumerate(one.tokens) if token == toy.EOS]
        assert ends == ([len(one.tokens) - 1] if one.finish == "eos" else [])
        assert one.finish == "eos" or len(one.tokens) == 60
    for limit in (1, 2):
        assert len(decoder.complete([Request([5, 6], limit)])[0].tokens) == limit


def test_a_watch_ends_one_text_and_leaves_the_others(decoder):
    requests = [Request(ids, 50) for ids in toy.prompts(8, 8)]
    free, heard = decoder.complete(requests), []

    def watch(number, tokens):
        heard.append((number, len(tokens)))
        return number == 0 and len(tokens) > 20

    done = decoder.complete(requests, watch)
    assert done[0].finish == "stop" and 20 < len(done[0].tokens) < 50
    assert done[0].tokens == free[0].tokens[: len(done[0].tokens)]
    assert done[1] == free[1]
    assert heard[0] == (0, 1)


@pytest.mark.parametrize("axes", [(2, 2, 2), (1, 2, 4)])
def test_a_sharded_model_writes_the_same(axes):
    config = dataclasses.replace(toy.MODEL, vocab_size=96)
    mesh = partitioning.make_mesh(partitioning.MeshConfig(*axes))
    one, many = toy.decoder(config), toy.decoder(config, mesh)
    prompts = [[token % 96 for token in ids] for ids in toy.prompts(3, 16, 8)]
    requests = [Request(prompts[0], 12), Request(prompts[1], 12, DRAWN, seed=3)]
    requests.append(Request(prompts[2], 12, beams=Beams(2)))
    for ours, theirs in zip(one.complete(requests), many.complete(requests), strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.score is None or abs(ours.score - theirs.score) < 1e-5


def test_tokens_without_a_piece_are_never_made():
    few = toy.decoder(pieces=50)
    prompts = [[token % 50 for token in ids] for ids in toy.prompts(8, 8, 8)]
    requests = [
        Request(prompts[0], 40),
        Request(prompts[1], 40, Sampling(2.0)),
        Request(prompts[2], 40, beams=Beams(3)),
    ]
    free = [done.tokens for done in toy.decoder().complete(requests)]
    assert all(max(tokens) >= 50 for tokens in free)
    assert all(max(done.tokens) < 50 for done in few.complete(requests))


def test_drawn_tokens_come_as_often_as_they_should():
    logits_BV = jnp.log(jnp.array([[0.5, 0.3, 0.15, 0.05]])).repeat(4000, axis=0)
    rows = [(Sampling(2.0, top_k=3), seed, 0) for seed in range(4000)]
    from polylm_jax.inference.generation import sampling

    drawn_B = sampling.choose(
        logits_BV, knobs(rows), Kind(samples=True, candidates=4), None, jnp.arange(4000)
    )
    expected = np.sqrt([0.5, 0.3, 0.15, 0.0])
    found = np.bincount(drawn_B, minlength=4) / 4000
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.03)
    assert found[3] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": []}, "a prompt of 0 tokens"),
        ({"tokens": [5] * 150}, "a prompt of 150 tokens and max_new_tokens = 20 exceed .* 160"),
        ({"tokens": [97]}, "token 97 and the model 97 tokens"),
        ({"max_new_tokens": 0}, "max_new_tokens = 0"),
        ({"sampling": Sampling(-1.0)}, "temperature = -1.0"),
        ({"sampling": Sampling(1.0, top_p=0)}, "top_p = 0"),
        ({"sampling": Sampling(1.0, top_k=-2)}, "top_k = -2"),
        ({"sampling": Sampling(repetition_penalty=0)}, "repetition_penalty = 0"),
        ({"beams": Beams(0)}, "beams = 0"),
        ({"beams": Beams(early_stopping="soon")}, "early_stopping = 'soon'"),
        ({"beams": Beams(), "sampling": Sampling(1.0)}, "temperature = 1.0 with beams = 4"),
        ({"beams": Beams(), "sample": 4}, "sample = 4 of beams = 4"),
    ],
)
def test_what_can_not_be_is_refused(decoder, change, words):
    good = Request([5, 6, 7], 20)
    with pytest.raises(InputError, match=words):
        decoder.completions([good, dataclasses.replace(good, **change)])


def test_a_decoder_that_can_not_be_is_refused():
    with pytest.raises(InputError, match="batch_size = 3 does not divide over data x fsdp = 8"):
        toy.decoder(mesh=partitioning.make_mesh(partitioning.MeshConfig()), batch_size=3)
    with pytest.raises(InputError, match="chunk = 65"):
        toy.decoder(chunk=65)
