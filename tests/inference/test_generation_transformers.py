"""The same tokens and scores as transformers' `generate` on the same weights, and its filters."""

import jax.numpy as jnp
import numpy as np
import pytest
import toy_generation as toy

from polylm_jax.inference.generation import sampling
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.decode import Request
from polylm_jax.inference.generation.sampling import Kind, Sampling

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import torch

NEW = 24
ENDS = (2, 58)  # the second is frequent here, so that beams end at all lengths
PROMPTS = toy.prompts(3, 9, 16, 5)
LONG = toy.prompts(30)  # another program than theirs


@pytest.fixture(scope="module")
def decoder():
    return toy.decoder(eos=ENDS)


@pytest.fixture(scope="module")
def twin():
    return toy.twin()


def theirs(twin, ids, eos=ENDS, **options):
    """(the new ids, the end of text last where there is one; the score of a beam search)."""
    inputs = torch.tensor([ids])
    made = twin.generate(
        inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=NEW, do_sample=False,
        eos_token_id=list(eos), pad_token_id=0, output_scores=True, return_dict_in_generate=True,
        **options,
    )  # fmt: skip
    rows = made.sequences[:, len(ids) :].tolist()
    cut = [row[: 1 + next((i for i, t in enumerate(row) if t in eos), NEW)] for row in rows]
    scores = getattr(made, "sequences_scores", None)
    return cut, None if scores is None else scores.tolist()


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_tokens(decoder, twin, penalty):
    chosen = Sampling(repetition_penalty=penalty)
    prompts = PROMPTS + LONG
    done = decoder.complete([Request(ids, NEW, chosen) for ids in prompts])
    for ids, ours in zip(prompts, done, strict=True):
        assert [ours.tokens] == theirs(twin, ids, repetition_penalty=penalty)[0]


@pytest.mark.parametrize(
    ("beams", "penalty"),
    [
        (Beams(4), 1.0),
        (Beams(4, length_penalty=0.0, early_stopping=True), 1.0),
        (Beams(3, length_penalty=2.0, early_stopping="never"), 1.0),
        (Beams(2, length_penalty=-0.5), 1.3),
        (Beams(1), 1.0),
    ],
    ids=str,
)
def test_beams_and_their_scores(decoder, twin, beams, penalty):
    chosen = Sampling(repetition_penalty=penalty)
    requests = [
        Request(ids, NEW, chosen, sample=rank, beams=beams)
        for ids in PROMPTS
        for rank in range(beams.beams)
    ]
    done = iter(decoder.complete(requests))
    for ids in PROMPTS:
        rows, scores = theirs(
            twin, ids, num_beams=beams.beams, num_return_sequences=beams.beams,
            length_penalty=beams.length_penalty, early_stopping=beams.early_stopping,
            repetition_penalty=penalty,
        )  # fmt: skip
        for row, score in zip(rows, scores or [None], strict=True):
            ours = next(done)
            assert ours.tokens == row
            if score is not None:  # one beam is greedy search to them, which has none
                np.testing.assert_allclose(ours.score, score, atol=1e-4)


@pytest.mark.parametrize("top_k", [0, 1, 7, 64, 500])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
def test_filters_keep_the_same_tokens(top_k, top_p):
    V, temperature = 300, 0.8
    # No sum of their probabilities is within 2e-4 of a `top_p`, where rounding would decide.
    scaled_BV = np.random.default_rng(top_k).normal(0, 4, (4, V)).astype("f")
    kept = torch.from_numpy(scaled_BV)
    if top_k:
        kept = transformers.TopKLogitsWarper(top_k)(None, kept)
    if top_p < 1:
        kept = transformers.TopPLogitsWarper(top_p)(None, kept)
    candidates = sampling.kind([Sampling(temperature, top_k, top_p)], V).candidates
    if not candidates:
        assert bool(torch.isfinite(kept).all())
        return
    least_B = sampling.threshold(
        jnp.asarray(scaled_BV), jnp.full(4, top_k), jnp.full(4, top_p, jnp.float32), candidates
    )
    ours = scaled_BV >= np.asarray(least_B)[:, None]
    np.testing.assert_array_equal(ours, torch.isfinite(kept).numpy())


def test_a_repetition_penalty_is_theirs():
    logits_BV = np.random.default_rng(0).normal(0, 3, (2, 50)).astype("f")
    ids = torch.tensor([[3, 7, 7, 9], [1, 2, 3, 4]])
    expected = transformers.RepetitionPenaltyLogitsProcessor(1.4)(ids, torch.from_numpy(logits_BV))
    seen_BV = np.zeros((2, 50), bool)
    seen_BV[np.arange(2)[:, None], ids.numpy()] = True
    found = sampling.penalise(jnp.asarray(logits_BV), jnp.asarray(seen_BV), jnp.full(2, 1.4))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)
    assert Kind() == sampling.kind([Sampling()], 50)
