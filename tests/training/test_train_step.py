"""One step is one step: whatever the mesh, the microbatches, the chunks of the loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, RatePhase, learning_rate, make_optimizer
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import parts as training_parts
from polylm_jax.training import train_state
from polylm_jax.training.step import make_train_step

TOY = PolyLMConfig(
    num_layers=2,
    embed_dim=32,
    num_heads=8,
    mlp_dim=64,
    vocab_size=64,
    max_length=16,
    dtype="float32",
    remat="none",
)
B, L, COMPONENTS = 16, 16, 3
RATE = learning_rate([RatePhase(steps=100, peak=3e-3, warmup_steps=4)])
ALONE = (1, 1, 1)


def batch(seed=1):
    tokens = jax.random.randint(jax.random.key(seed), (B, L + 1), 0, TOY.vocab_size)
    return tokens, jnp.arange(B) % COMPONENTS


def train(shape=ALONE, seeds=range(3), config=TOY, packing=None, computed=PolyLM, **options):
    """(final state, metrics of each step) of the jitted step on a mesh; a seed is a step's batch.

    computed: of a config, the model that the step applies.
    """
    mesh = partitioning.make_mesh(MeshConfig(*shape), jax.devices()[: int(np.prod(shape))])
    model, tx = PolyLM(config), make_optimizer(OptimizerConfig(), RATE)
    state = train_state.create(model, tx, mesh, jax.random.key(0))
    step = make_train_step(computed(config), tx, RATE, COMPONENTS, **options)
    rows, history = partitioning.batch_sharding(mesh), []
    with partitioning.activate(mesh):
        jitted = jax.jit(step)
        for seed in seeds:
            tokens, component = jax.device_put(batch(seed), rows)
            state, metrics = jitted(state, tokens, component, **(packing or {}))
            history.append(jax.device_get(metrics))
    return state, history


def assert_same(got, expected, rtol=1e-5):
    """Parameters and metrics to float32 tolerance.

    The bias of the keys is left out: softmax does not see it, so its gradient is rounding, and
    Adam makes steps of full size of that.
    """
    for one, other in zip(got[1], expected[1], strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), one, other
        )

    def without_key_bias(state):
        attention = state.params["h"]["attn"]
        bias = attention["c_attn"]["bias"].at[:, 1].set(0)
        attention = attention | {"c_attn": attention["c_attn"] | {"bias": bias}}
        return state.params | {"h": state.params["h"] | {"attn": attention}}

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        without_key_bias(got[0]),
        without_key_bias(expected[0]),
    )


@pytest.fixture(scope="module")
def alone():
    return train()


def test_metrics_are_what_they_say(alone):
    state, history = alone
    first = history[0]
    _, component = batch(0)
    assert first["loss"] == pytest.approx(np.log(TOY.vocab_size), abs=0.1)
    np.testing.assert_allclose(first["component_nats"].sum() / (B * L), first["loss"], rtol=1e-6)
    np.testing.assert_array_equal(first["component_weight"], np.bincount(component) * L)
    assert [h["learning_rate"] for h in history] == [float(RATE(s)) for s in range(3)]
    np.testing.assert_allclose(history[-1]["param_norm"], optax.tree.norm(state.params), rtol=1e-6)
    assert first["z_loss"] == 0
    assert state.step == 3


def test_the_gradient_is_that_of_the_plain_mean(alone):
    model = PolyLM(TOY)
    tx = make_optimizer(OptimizerConfig(), RATE)
    mesh = partitioning.make_mesh(MeshConfig(), jax.devices()[:1])
    params = train_state.create(model, tx, mesh, jax.random.key(0)).params
    tokens, _ = batch(0)

    def mean(params):
        hidden = model.apply({"params": params}, tokens[:, :-1])
        logits = model.apply({"params": params}, hidden, method="logits")
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]))

    loss, gradients = jax.jit(jax.value_and_grad(mean))(params)
    np.testing.assert_allclose(alone[1][0]["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(alone[1][0]["grad_norm"], optax.tree.norm(gradients), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 2, 1), (2, 2, 2), (1, 1, 8)])
def test_a_mesh_changes_nothing(alone, shape):
    assert_same(train(shape), alone)


@pytest.mark.parametrize(
    "options",
    [
        {"microbatches": 4},
        {"num_chunks": 1},
        {"vocab_blocks": 4},
    ],
    ids=str,
)
def test_how_a_batch_is_cut_changes_nothing(alone, options):
    assert_same(train(**options), alone)


@pytest.mark.parametrize(
    ("shape", "microbatches", "parts"),
    [(ALONE, 1, 8), (ALONE, 2, 8), ((2, 2, 2), 1, 2), ((4, 2, 1), 1, 1)],
    ids=str,
)
def test_parts_that_a_cpu_takes_change_nothing(alone, shape, microbatches, parts, monkeypatch):
    taken = []
    summed = training_parts.summed
    monkeypatch.setattr(layers_apart, "TOKENS_AT_ONCE", 2 * L)
    monkeypatch.setattr(
        training_parts, "summed", lambda *given: taken.append(given[-1]) or summed(*given)
    )
    got = train(shape, computed=layers_apart.computed, microbatches=microbatches)
    assert_same(got, alone)
    assert set(taken) == {parts}


@pytest.mark.parametrize("remat", ["full", "dots", "attention"])
def test_rematerialisation_changes_nothing(alone, remat):
    assert_same(train(config=dataclasses.replace(TOY, remat=remat)), alone)


PACKED = {
    "segment_ids_BT": jnp.broadcast_to(jnp.arange(L) // (L // 2), (B, L)),
    "positions_BT": jnp.broadcast_to(jnp.arange(L) % (L // 2), (B, L)),
}


def test_uneven_weights_count_over_the_whole_batch(monkeypatch):
    """Rows with 1 to 16 labels: a mean of microbatch means would be another number.

    Of two segments each, and on a mesh: microbatches cut all of it where it lies.
    """
    weights = (jnp.arange(L) <= jnp.arange(B)[:, None]).astype(jnp.float32)
    packing = PACKED | {"weights": weights}
    whole = train(packing=packing)
    assert_same(train(packing=packing, microbatches=8), whole)
    assert_same(train((2, 2, 2), packing=packing, microbatches=2), whole)
    monkeypatch.setattr(layers_apart, "TOKENS_AT_ONCE", L)
    assert_same(train(packing=packing, computed=layers_apart.computed), whole)
    expected = jax.ops.segment_sum(weights.sum(axis=1), batch()[1], COMPONENTS)
    np.testing.assert_array_equal(whole[1][0]["component_weight"], expected)


def test_packed_rows_reach_the_model(alone):
    packed = train(packing=PACKED)
    assert abs(packed[1][2]["loss"] - alone[1][2]["loss"]) > 1e-5


def test_z_loss_is_reported_apart_and_pulls_on_the_gradient(alone):
    _, history = train(z_loss=1e-2)
    np.testing.assert_allclose(history[0]["loss"], alone[1][0]["loss"], rtol=1e-6)
    assert history[0]["z_loss"] == pytest.approx(1e-2 * np.log(TOY.vocab_size) ** 2, rel=0.1)
    assert history[0]["grad_norm"] != pytest.approx(alone[1][0]["grad_norm"], rel=1e-4)


def test_training_learns():
    """Forty steps on the same two batches."""
    _, history = train(seeds=[number % 2 for number in range(40)])
    losses = [metrics["loss"] for metrics in history]
    assert losses[-1] < losses[0] - 0.5


def test_bfloat16_trains_as_float32_does(alone):
    got = train(config=dataclasses.replace(TOY, dtype="bfloat16"))
    for one, other in zip(got[1], alone[1], strict=True):
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=2e-3)
        np.testing.assert_allclose(one["grad_norm"], other["grad_norm"], rtol=2e-2)
