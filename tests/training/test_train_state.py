"""The state is born in shards, and is the same whatever the mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import OptimizerConfig, RatePhase, learning_rate, make_optimizer
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.training import train_state

TOY = PolyLMConfig(
    num_layers=2, embed_dim=32, num_heads=8, mlp_dim=64, vocab_size=64, max_length=16
)
SHAPES = [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 1, 8)]


def optimizer():
    return make_optimizer(OptimizerConfig(), learning_rate([RatePhase(steps=10, warmup_steps=1)]))


def mesh_of(shape):
    return partitioning.make_mesh(MeshConfig(*shape))


def create(shape, seed=0):
    return train_state.create(PolyLM(TOY), optimizer(), mesh_of(shape), jax.random.key(seed))


@pytest.fixture(scope="module")
def alone():
    """On one device."""
    mesh = partitioning.make_mesh(MeshConfig(), jax.devices()[:1])
    return train_state.create(PolyLM(TOY), optimizer(), mesh, jax.random.key(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_start_is_the_same_on_every_mesh(alone, shape):
    jax.tree.map(np.testing.assert_array_equal, create(shape), alone)


def test_another_seed_is_another_start(alone):
    other = create((8, 1, 1), seed=1)
    assert not np.array_equal(other.params["wte"]["embedding"], alone.params["wte"]["embedding"])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_made_is_what_was_announced(shape):
    abstract = train_state.abstract(PolyLM(TOY), optimizer(), mesh_of(shape))
    state = create(shape)
    assert jax.tree.structure(state) == jax.tree.structure(abstract)
    for made, announced in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert (made.shape, made.dtype) == (announced.shape, announced.dtype)
        assert made.sharding.is_equivalent_to(announced.sharding, made.ndim)


@pytest.mark.parametrize(("shape", "parts"), [((1, 8, 1), 8), ((2, 2, 2), 4), ((8, 1, 1), 1)])
def test_parameters_and_moments_are_sharded(shape, parts):
    state = create(shape)
    moments = state.opt_state[1]
    for tree in (state.params, moments.mu, moments.nu):
        kernel = tree["h"]["mlp"]["c_fc"]["kernel"]
        embedding = tree["wte"]["embedding"]
        for array in (kernel, embedding):
            held = {shard.data.size for shard in array.addressable_shards}
            assert held == {array.size // parts}


def test_state_is_float32_with_an_integer_step(alone):
    assert alone.step == 0
    assert alone.step.dtype == jnp.int32
    assert {x.dtype for x in jax.tree.leaves(alone.params)} == {jnp.dtype(jnp.float32)}


def test_13b_is_laid_out_without_being_made():
    """Every device's share of 13,906,790,400 parameters and two moments, from shapes alone."""
    config = PolyLMConfig(num_layers=40, embed_dim=5120, num_heads=40, mlp_dim=20480)
    state = train_state.abstract(PolyLM(config), optimizer(), mesh_of((1, 8, 1)))
    assert sum(x.size for x in jax.tree.leaves(state.params)) == config.num_params
    sizes = [x.size for x in jax.tree.leaves(state.params)]
    # Biases and layer norms lie whole on every device: 0.02 % of the parameters.
    vectors = sum(size for size in sizes if size <= 40 * 20480)
    held = sum(
        int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
        for x in jax.tree.leaves(state)
    )
    counters = 12  # of the state, of Adam, of the learning rate
    assert held == 3 * 4 * ((config.num_params - vectors) // 8 + vectors) + counters
