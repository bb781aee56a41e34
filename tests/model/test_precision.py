"""float32 asks for all of float32, whatever the device: every product of every program says so."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
import toy_run

from polylm_jax.evaluation import scoring
from polylm_jax.model import attention
from polylm_jax.model.loss import cross_entropy
from polylm_jax.model.network import PolyLM

HIGHEST = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)


def products(jaxpr):
    """(dtypes of the operands, precision) of every matrix product in it, whatever calls it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield {str(x.aval.dtype) for x in equation.invars}, equation.params["precision"]
        for inner in jax.tree.leaves([*equation.params.values()], is_leaf=is_jaxpr):
            if is_jaxpr(inner):
                yield from products(getattr(inner, "jaxpr", inner))


def is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def training(model, blocks):
    """The loss with its gradients, by chunks of positions or by blocks of the vocabulary."""
    tokens = jnp.zeros((2, 17), jnp.int32)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens[:, :1])["params"])

    def loss(params):
        x_BTD = model.apply({"params": params}, tokens[:, :-1])
        matrix = params["wte"]["embedding"]
        return cross_entropy(
            x_BTD, matrix, tokens[:, 1:], jnp.ones((2, 16)), num_chunks=2, vocab_blocks=blocks
        )[0]

    return jax.make_jaxpr(jax.grad(loss))(nn.unbox(params))


def scoring_labels(model):
    """Log-likelihoods of some labels of a row."""
    tokens = jnp.zeros((2, 8), jnp.int32)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens[:, :1])["params"])
    places = jnp.zeros((1, 4), jnp.int32)
    return jax.make_jaxpr(
        lambda params: scoring.label_scores(model, params, tokens, places, places, 4, 2)
    )(nn.unbox(params))


def decoding(model):
    """A prompt and one token more, with their logits."""

    def run(variables):
        x_BTD, cache = model.apply(
            variables, jnp.zeros((2, 8), jnp.int32), prefill=True, lengths_B=jnp.array([8, 8]),
            cache_length=16, mutable=["cache"],
        )  # fmt: skip
        step = {"params": variables["params"], **cache}
        x_BTD, _ = model.apply(step, jnp.zeros((2, 1), jnp.int32), decode=True, mutable=["cache"])
        return model.apply({"params": variables["params"]}, x_BTD, method=PolyLM.logits)

    tokens = jnp.zeros((2, 1), jnp.int32)
    return jax.make_jaxpr(run)(jax.eval_shape(lambda: model.init(jax.random.key(0), tokens)))


PROGRAMS = {
    "chunks": lambda model: training(model, 1),
    "blocks": lambda model: training(model, 2),
    "scoring": scoring_labels,
    "decoding": decoding,
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_product_of_float32_is_whole(name, dtype):
    model = PolyLM(dataclasses.replace(toy_run.MODEL, dtype=dtype))
    found = list(products(PROGRAMS[name](model).jaxpr))
    assert len(found) > 5
    for dtypes, precision in found:
        if dtype == "float32":
            assert precision == HIGHEST
        elif dtypes == {"bfloat16"}:
            assert precision is None  # exact in one pass: more would only be slower


def test_float32_takes_no_kernel_that_rounds_it(monkeypatch):
    monkeypatch.setattr(attention, "platform", lambda: "tpu")
    assert attention.choose("auto", 2048, jnp.dtype("float32")) == "reference"
    assert attention.choose("auto", 2048, jnp.dtype("bfloat16")) == "splash"
