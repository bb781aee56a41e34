"""Layers computed one by one give what the scan gives, from the same parameters."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run

from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import init_params

CONFIG = dataclasses.replace(toy_run.MODEL, num_layers=3)


@pytest.fixture(scope="module")
def params():
    import flax.linen as nn

    return nn.unbox(init_params(PolyLM(CONFIG), jax.random.key(0)))


def test_a_stack_is_split_as_layers_apart_have_their_names(params):
    split = layers_apart.split(params)
    assert split.keys() == params.keys() - {"h"} | {"h_0", "h_1", "h_2"}
    for number in range(3):
        layer = jax.tree.map(operator.itemgetter(number), params["h"])
        jax.tree.map(np.testing.assert_array_equal, split[f"h_{number}"], layer)
    assert layers_apart.split({"ln_f": 1}) == {"ln_f": 1}


@pytest.mark.parametrize("remat", ["none", "dots"])
def test_layers_apart_compute_what_the_scan_does(params, remat):
    config = dataclasses.replace(CONFIG, remat=remat)
    tokens_BT = np.random.default_rng(0).integers(0, 300, (4, 16))
    segments_BT = jnp.asarray(np.arange(16) // 8 + np.zeros((4, 1), int))

    def both(model):
        def loss(params):
            x_BTD = model.apply({"params": params}, tokens_BT, segment_ids_BT=segments_BT)
            return jnp.sum(x_BTD**3), x_BTD

        gradients, x_BTD = jax.jit(jax.grad(loss, has_aux=True))(params)
        return gradients, x_BTD

    apart = layers_apart.computed(config)
    assert isinstance(apart, layers_apart.LayersApart)

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * float(jnp.max(jnp.abs(b))))

    jax.tree.map(close, both(apart), both(PolyLM(config)))


def test_models_that_are_deep_or_wide_are_scanned():
    large = PolyLMConfig(num_layers=12, embed_dim=768, num_heads=12, mlp_dim=3072)
    deep = dataclasses.replace(CONFIG, num_layers=9)
    for config in (large, deep, dataclasses.replace(CONFIG, scan_layers=False)):
        assert isinstance(layers_apart.computed(config), PolyLM)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("rows", [1, 6, 8, 24, 32, 100])
@pytest.mark.parametrize("length", [16, 128, 2000])
def test_a_part_is_whole_rows_of_enough_tokens(devices, rows, length):
    mesh = partitioning.make_mesh(partitioning.MeshConfig(), jax.devices()[:devices])
    with partitioning.activate(mesh):
        parts = layers_apart.parts(layers_apart.computed(CONFIG), rows, length)
        here = rows // devices if rows % devices == 0 else rows
    assert here % parts == 0
    assert parts == 1 or here * length // parts >= layers_apart.TOKENS_AT_ONCE
    wider = [n for n in range(parts + 1, here + 1) if here % n == 0]
    assert all(here * length // n < layers_apart.TOKENS_AT_ONCE for n in wider)


def test_only_a_small_model_on_a_cpu_is_taken_in_parts(monkeypatch):
    def parts(**changes):
        return layers_apart.parts(
            layers_apart.computed(dataclasses.replace(CONFIG, **changes)), 32, 128
        )

    assert parts() == 4
    assert parts(vocab_size=200_000) == parts(num_layers=9) == parts(scan_layers=False) == 1
    monkeypatch.setattr(layers_apart, "platform", lambda: "tpu")
    assert parts() == 1
