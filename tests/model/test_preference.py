"""The loss of a preference: the formula of its paper as PyTorch computes it, and its gradient, without the logits held."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.model import preference

B, T, D, V = 3, 12, 8, 40


@pytest.fixture(scope="module")
def batch():
    """Rows of two pairs each: question, chosen, question, rejected, twice; the last row has one pair."""
    chance = np.random.default_rng(0)
    pair = np.array([[1] * 6 + [2] * 6, [1] * 6 + [2] * 6, [1] * 8 + [0] * 4], np.int32)
    sign = np.array(
        [[0, 1, 1, 0, -1, -1] * 2, [0, 0, 1, 0, 0, -1] * 2, [0, 1, 1, 1, 0, 0, -1, -1] + [0] * 4],
        np.float32,
    )
    reference = np.zeros((B, T), np.float32)
    reference[:, 0], reference[:2, 6] = (0.5, -1.0, 2.0), (0.25, 3.0)
    x = chance.normal(size=(B, T, D)).astype(np.float32)
    wte = chance.normal(size=(V, D)).astype(np.float32)
    labels = chance.integers(0, V, (B, T)).astype(np.int32)
    return x, wte, labels, sign, pair, reference


def in_torch(batch, beta, label_smoothing):
    """(sum of losses, gradients of x and wte) as the paper's equation 7, with cDPO's smoothing, in float64.

    Every pair by itself: log p of each label by a softmax over the whole vocabulary, summed over each
    answer; TRL's `dpo_loss` of type 'sigmoid' is these lines.
    """
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, wte, labels, sign, pair, reference = (torch.tensor(one) for one in batch)
    x, wte = (one.double().requires_grad_() for one in (x, wte))
    log_p = torch.log_softmax(x @ wte.T, dim=-1).gather(-1, labels.long()[..., None])[..., 0]
    total = torch.zeros((), dtype=torch.float64)
    for row in range(B):
        for number in range(1, int(pair[row].max()) + 1):
            here = pair[row] == number
            chosen = log_p[row][here & (sign[row] > 0)].sum()
            rejected = log_p[row][here & (sign[row] < 0)].sum()
            logits = (chosen - rejected) - reference[row][here].sum().double()
            logsigmoid = torch.nn.functional.logsigmoid
            total = total - (1 - label_smoothing) * logsigmoid(beta * logits)
            total = total - label_smoothing * logsigmoid(-beta * logits)
    total.backward()
    return total.item(), x.grad.numpy(), wte.grad.numpy()


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.0), (0.5, 0.0), (0.1, 0.2)])
@pytest.mark.parametrize("pieces", [{"num_chunks": 3}, {"vocab_blocks": 4}])
def test_loss_and_gradient_are_those_of_the_formula(batch, beta, smoothing, pieces):
    x, wte, *rest = map(jnp.asarray, batch)

    def loss(x, wte):
        return preference.preference_loss(x, wte, *rest, beta=beta, label_smoothing=smoothing, **pieces)  # fmt: skip

    (value, pairs), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, wte)
    expected, *slopes = in_torch(batch, beta, smoothing)
    assert value == pytest.approx(expected, abs=1e-5) and pairs.there_BP.sum() == 5
    assert jnp.sum(pairs.loss_BP) == pytest.approx(expected, abs=1e-5)
    for ours, theirs in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_model_that_is_its_reference_loses_log_2(batch):
    x, wte, labels, sign, pair, _ = map(jnp.asarray, batch)
    nll = -jnp.take_along_axis(jax.nn.log_softmax(x @ wte.T), labels[..., None], -1)[..., 0]
    margins = -preference.sums(sign * nll, pair)
    at_first = jnp.zeros((B, T)).at[:, 0].set(margins[:, 1]).at[:, 6].set(margins[:, 2] * (pair[:, 6] == 2))  # fmt: skip
    pairs = preference.pair_losses(nll, sign, pair, at_first, 0.1)
    np.testing.assert_allclose(pairs.loss_BP[pairs.there_BP], np.log(2), rtol=1e-5)
    np.testing.assert_allclose(pairs.gain_BP, 0, atol=1e-5)
