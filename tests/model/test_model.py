"""The model: its size, what a token can see, packed rows, the cache, precision."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.errors import InputError
from polylm_jax.model.config import POLICIES, PolyLMConfig
from polylm_jax.model.layers_apart import split
from polylm_jax.model.network import PolyLM

TOY = PolyLMConfig(
    num_layers=3,
    embed_dim=32,
    num_heads=4,
    mlp_dim=64,
    vocab_size=97,
    max_length=48,
    dtype="float32",
    remat="none",
)


def fresh_params(config):
    """As a model begins. (One program: each of its hundred operations alone would be one, too.)"""
    tokens = jnp.zeros((1, 1), jnp.int32)
    return nn.unbox(jax.jit(PolyLM(config).init)(jax.random.key(0), tokens)["params"])


@pytest.fixture(scope="module")
def params():
    """TOY's, with noise on all of them: biases that are zero would hide what they do."""
    fresh = fresh_params(TOY)
    leaves, tree = jax.tree.flatten(fresh)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def rows(batch, length, seed=2):
    return jax.random.randint(jax.random.key(seed), (batch, length), 0, TOY.vocab_size)


@functools.partial(jax.jit, static_argnames="config")
def logits(params, tokens, config=TOY, **kwargs):
    model = PolyLM(config)
    hidden = model.apply({"params": params}, tokens, **kwargs)
    return model.apply({"params": params}, hidden, method="logits")


def applied(config, **options):
    """`apply` of its arrays, with further options, as one program."""
    return jax.jit(functools.partial(PolyLM(config).apply, **options))


@pytest.mark.parametrize(
    ("layers", "width", "heads", "parameters"),
    [
        (12, 768, 12, 283_236_864),
        (24, 2048, 16, 1_737_084_928),
        (40, 5120, 40, 13_906_790_400),
    ],
)
def test_parameters_are_counted_exactly(layers, width, heads, parameters):
    config = PolyLMConfig(
        num_layers=layers, embed_dim=width, num_heads=heads, mlp_dim=4 * width
    ).check()
    shapes = jax.eval_shape(
        lambda: PolyLM(config).init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    )
    assert config.num_params == parameters
    assert sum(x.size for x in jax.tree.leaves(shapes)) == parameters


def test_parameters_are_named_as_in_gpt2(params):
    shapes = jax.tree.map(jnp.shape, params)
    flat, _ = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=lambda x: isinstance(x, tuple))
    assert {"/".join(key.key for key in path): shape for path, shape in flat} == {
        "wte/embedding": (97, 32),
        "wpe/embedding": (48, 32),
        "h/ln_1/scale": (3, 32),
        "h/ln_1/bias": (3, 32),
        "h/attn/c_attn/kernel": (3, 32, 3, 4, 8),
        "h/attn/c_attn/bias": (3, 3, 4, 8),
        "h/attn/c_proj/kernel": (3, 4, 8, 32),
        "h/attn/c_proj/bias": (3, 32),
        "h/ln_2/scale": (3, 32),
        "h/ln_2/bias": (3, 32),
        "h/mlp/c_fc/kernel": (3, 32, 64),
        "h/mlp/c_fc/bias": (3, 64),
        "h/mlp/c_proj/kernel": (3, 64, 32),
        "h/mlp/c_proj/bias": (3, 32),
        "ln_f/scale": (32,),
        "ln_f/bias": (32,),
    }


def test_kernels_start_xavier_normal_and_biases_at_zero():
    config = dataclasses.replace(TOY, embed_dim=128, mlp_dim=512)
    fresh = fresh_params(config)
    for kernel, fans in (
        (fresh["h"]["attn"]["c_attn"]["kernel"], 128 + 384),
        (fresh["h"]["attn"]["c_proj"]["kernel"], 128 + 128),
        (fresh["h"]["mlp"]["c_fc"]["kernel"], 128 + 512),
        (fresh["h"]["mlp"]["c_proj"]["kernel"], 512 + 128),
    ):
        for layer in kernel:
            np.testing.assert_allclose(jnp.std(layer), np.sqrt(2 / fans), rtol=0.03)
    assert not jnp.any(fresh["h"]["mlp"]["c_fc"]["bias"])
    assert not jnp.array_equal(*fresh["h"]["mlp"]["c_fc"]["kernel"][:2])  # each layer its own


def test_the_loss_starts_near_the_uniform_one():
    config = dataclasses.replace(TOY, vocab_size=5000)
    tokens = jax.random.randint(jax.random.key(3), (8, 40), 0, 5000)
    log_p = jax.nn.log_softmax(logits(fresh_params(config), tokens[:, :-1], config))
    nll = -jnp.take_along_axis(log_p, tokens[:, 1:, None], axis=-1)
    np.testing.assert_allclose(jnp.mean(nll), np.log(5000), atol=0.05)


def test_no_token_sees_a_later_one(params):
    """The gradient of one position's output in the embeddings of the inputs, by position."""
    tokens, position = rows(1, 24), 9
    one_hot = jax.nn.one_hot(tokens, TOY.vocab_size)

    def output(one_hot):
        delta = jnp.einsum("BTV,VD->BTD", one_hot, params["wte"]["embedding"])

        class Replaced(PolyLM):
            def _embed(self, tokens_BT, positions_BT):
                del tokens_BT, positions_BT
                return delta + self.wpe.embedding[None, : delta.shape[1]]

        return Replaced(TOY).apply({"params": params}, tokens)[0, position].sum()

    felt = jnp.abs(jax.jit(jax.grad(output))(one_hot)).sum(axis=(0, 2))
    assert jnp.all(felt[: position + 1] > 0)
    assert not jnp.any(felt[position + 1 :])


def test_packed_rows_equal_their_parts(params):
    first, second = rows(2, 11, seed=4), rows(2, 17, seed=5)
    packed = jnp.concatenate([first, second], axis=1)
    lengths = (11, 17)
    segments = jnp.repeat(jnp.array([1, 2]), jnp.array(lengths))[None].repeat(2, axis=0)
    positions = jnp.concatenate([jnp.arange(n) for n in lengths])[None].repeat(2, axis=0)
    together = logits(params, packed, segment_ids_BT=segments, positions_BT=positions)
    np.testing.assert_allclose(together[:, :11], logits(params, first), atol=2e-5)
    np.testing.assert_allclose(together[:, 11:], logits(params, second), atol=2e-5)


@pytest.mark.parametrize("scan_layers", [True, False])
def test_the_cache_changes_nothing(params, scan_layers):
    """Prompts of several lengths in one prefill, then token by token, equal whole rows."""
    config = dataclasses.replace(TOY, scan_layers=scan_layers)
    params = params if scan_layers else split(params)
    tokens, lengths, steps = rows(4, 24), jnp.array([3, 9, 1, 12]), 6
    whole = logits(params, tokens, config)
    prefill = applied(config, prefill=True, cache_length=20, mutable=["cache"])
    decode = applied(config, decode=True, mutable=["cache"])
    to_logits = applied(config, method="logits")
    prompts = jnp.where(jnp.arange(12) < lengths[:, None], tokens[:, :12], 0)
    hidden, state = prefill({"params": params}, prompts, lengths_B=lengths)
    every = np.arange(4)
    got = [to_logits({"params": params}, hidden)[every, lengths - 1]]
    for step in range(steps):
        token = tokens[every, lengths + step][:, None]
        hidden, state = decode({"params": params, **state}, token)
        got.append(to_logits({"params": params}, hidden)[:, 0])
    for step, row in enumerate(got):
        np.testing.assert_allclose(row, whole[every, lengths - 1 + step], atol=2e-5)
    np.testing.assert_array_equal(state["cache"]["cache_index"], lengths + steps)


def test_several_tokens_are_appended_at_once(params):
    """A second prompt (right-padded too) on top of the first, as in a chat."""
    tokens, first, second = rows(3, 24), jnp.array([4, 2, 6]), jnp.array([5, 1, 3])
    prefill = applied(TOY, prefill=True, cache_length=24, mutable=["cache"])
    _, state = prefill({"params": params}, tokens[:, :6], lengths_B=first)
    appended = tokens[jnp.arange(3)[:, None], first[:, None] + jnp.arange(5)]
    decode = applied(TOY, decode=True, mutable=["cache"])
    hidden, state = decode({"params": params, **state}, appended, lengths_B=second)
    whole = applied(TOY)({"params": params}, tokens)
    for row in range(3):
        np.testing.assert_allclose(
            hidden[row, : second[row]], whole[row, first[row] :][: second[row]], atol=2e-5
        )
    np.testing.assert_array_equal(state["cache"]["cache_index"], first + second)


def test_cache_variables_have_the_shapes_that_t5x_expects(params):
    prefill = functools.partial(PolyLM(TOY).apply, prefill=True, cache_length=16, mutable=["cache"])
    _, state = jax.eval_shape(prefill, {"params": params}, rows(2, 5))
    shapes = jax.tree.map(jnp.shape, state["cache"])
    assert shapes["h"]["attn"] == {"cached_key": (3, 2, 4, 8, 16), "cached_value": (3, 2, 4, 8, 16)}
    assert shapes["cache_index"] == (2,)


def gradients(params, config, tokens):
    return jax.jit(jax.value_and_grad(lambda p: jnp.mean(logits(p, tokens, config) ** 2)))(params)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_rematerialisation_changes_nothing(params, policy):
    tokens = rows(2, 16)
    expected = gradients(params, TOY, tokens)
    got = gradients(params, dataclasses.replace(TOY, remat=policy), tokens)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, expected)


def test_layers_apart_equal_scanned_ones(params):
    apart = dataclasses.replace(TOY, scan_layers=False, remat="full")
    np.testing.assert_allclose(
        logits(split(params), rows(2, 16), apart), logits(params, rows(2, 16)), atol=1e-5
    )


def equations(jaxpr):
    """All equations of a jaxpr, those inside of loops and calls too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def test_bfloat16_is_for_the_products_only(params):
    config = dataclasses.replace(TOY, dtype="bfloat16")
    jaxpr = jax.make_jaxpr(lambda p: logits(p, rows(2, 16), config))(params).jaxpr
    found = list(equations(jaxpr))
    (scan,) = [e for e in found if e.primitive.name == "scan"]
    (residual,) = [v for v in scan.outvars if v.aval.shape == (2, 16, 32)]
    assert residual.aval.dtype == jnp.float32
    for equation in found:
        dtypes = {v.aval.dtype for v in equation.invars if hasattr(v.aval, "dtype")}
        if equation.primitive.name == "dot_general":
            assert dtypes == {jnp.dtype(jnp.bfloat16)}
        if equation.primitive.name in ("exp", "rsqrt"):
            assert dtypes == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(
        logits(params, rows(2, 16), config), logits(params, rows(2, 16)), atol=0.15
    )


def test_gradients_of_parameters_are_summed_in_float32(params):
    """bfloat16 products; two half batches must add up to the whole one as in float32."""
    config, tokens = dataclasses.replace(TOY, dtype="bfloat16"), rows(8, 32)

    @jax.jit
    def kernels(tokens):
        grads = jax.grad(lambda p: jnp.sum(logits(p, tokens, config)))(params)["h"]
        return grads["mlp"]["c_fc"], grads["attn"]["c_attn"]

    halves = jax.tree.map(jnp.add, kernels(tokens[:4]), kernels(tokens[4:]))
    for whole, sum_of_halves in zip(
        jax.tree.leaves(kernels(tokens)), jax.tree.leaves(halves), strict=True
    ):
        scale = float(jnp.max(jnp.abs(whole)))
        np.testing.assert_allclose(whole, sum_of_halves, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_layers": 0}, "num_layers = 0"),
        ({"num_heads": 5}, "embed_dim = 32 does not divide into num_heads = 5"),
        ({"remat": "ful"}, "remat = 'ful' .* Did you mean 'full'"),
        ({"attention": "flash"}, "attention = 'flash'"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"gradient_dtype": "half"}, "gradient_dtype = 'half'"),
        ({"gradient_dtype": "bfloat16"}, "gradient_dtype = 'bfloat16' with dtype = 'float32'"),
    ],
)
def test_a_model_that_cannot_be_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(TOY, **change).check()
