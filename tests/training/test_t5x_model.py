"""The adapter: the same network, loss and rules under t5x. All of it needs t5x and skips without."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seqio
import toy_run
import toy_t5x
from toy_fixture import toy_folder  # noqa: F401

from polylm_jax.errors import InputError
from polylm_jax.model import parameters, partitioning
from polylm_jax.model.network import PolyLM
from polylm_jax.training.step import row_loss

pytestmark = toy_t5x.needs_t5x

try:
    import flax.core
    from flax.linen import partitioning as flax_partitioning
    from t5x import models

    from polylm_jax.training.t5x import model as t5x_model
except ImportError:
    t5x_model = None

CONFIG = dataclasses.replace(toy_run.MODEL, num_layers=2, max_length=24)


@pytest.fixture(scope="module")
def vocabulary(toy_folder):  # noqa: F811
    return seqio.SentencePieceVocabulary(f"{toy_folder}/toy.model")


def model(vocabulary, config=CONFIG, **options):
    return t5x_model.Model(t5x_model.Network(config), vocabulary, None, **options)


@pytest.fixture(scope="module")
def params():
    return toy_params(CONFIG)


def toy_params(config):
    """Parameters far from their start, so that every one of them matters."""
    made = jax.jit(lambda: flax.core.unfreeze(unboxed(config)))()
    leaves, tree = jax.tree.flatten(made)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return tree.unflatten(
        [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    )


def unboxed(config):
    return t5x_model.nn.unbox(parameters.init_params(PolyLM(config), jax.random.key(0)))


def test_parameters_are_ours_and_every_one_has_its_axes(vocabulary):
    found = model(vocabulary).get_initial_variables(jax.random.key(0), {})
    ours = parameters.init_params(PolyLM(CONFIG), jax.random.key(0))
    toy_run.assert_bitwise_equal(
        jax.tree.map(np.asarray, flax.core.unfreeze(found["params"])),
        jax.tree.map(np.asarray, flax.core.unfreeze(t5x_model.nn.unbox(ours))),
    )
    axes = flax_partitioning.get_axis_names(found["params_axes"])
    names = jax.tree.map(
        lambda box: jax.sharding.PartitionSpec(*box.names), ours,
        is_leaf=lambda x: hasattr(x, "names"),
    )  # fmt: skip
    assert flax.core.unfreeze(axes) == flax.core.unfreeze(names)


def test_the_axis_rules_are_the_houses_on_t5xs_mesh():
    rules = dict(t5x_model.axis_rules())
    assert set(rules) == set(partitioning.RULES)
    assert rules["vocab"] == rules["heads"] == rules["mlp"] == "model"
    assert rules["embed"] == rules["batch"] == "data"
    assert rules["vocab_rows"] == ("model", "data")
    assert dict(t5x_model.axis_rules(shard_parameters=False))["embed"] is None


def test_packed_examples_have_the_logits_of_each_alone(vocabulary, params):
    network = model(vocabulary).module
    tokens = toy_t5x.batch(rows=1)["decoder_input_tokens"]
    segments = np.array([[1] * 5 + [2] * 9 + [0] * 2])
    positions = np.array([[*range(5), *range(9), 0, 0]])
    packed = network.apply(
        {"params": params},
        tokens,
        tokens,
        decoder_segment_ids=segments,
        decoder_positions=positions,
    )
    for part in (slice(0, 5), slice(5, 14)):
        logits = logits_of(params, tokens[:, part])
        np.testing.assert_allclose(packed[:, part], logits, atol=2e-5)


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
def test_the_loss_and_its_gradient_are_ours_and_t5xs(vocabulary, params, z_loss):
    batch = toy_t5x.batch()
    adapted = model(vocabulary, z_loss=z_loss)

    def ours(params):
        tokens = np.concatenate(
            [batch["decoder_input_tokens"], batch["decoder_target_tokens"][:, -1:]], axis=1
        )
        weights = jnp.asarray(batch["decoder_loss_weights"], jnp.float32)
        total, _ = row_loss(PolyLM(CONFIG), params, tokens, weights, z_loss=z_loss)
        return total / weights.sum()

    def t5xs(params):
        return models.DecoderOnlyModel.loss_fn(adapted, params, batch, None)[0]

    wanted, gradient = jax.jit(jax.value_and_grad(ours))(params)
    for function in (lambda p: adapted.loss_fn(p, batch, None)[0], t5xs):
        found, slope = jax.jit(jax.value_and_grad(function))(params)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), slope, gradient
        )


def test_metrics_are_what_their_names_say(vocabulary, params):
    batch = toy_t5x.batch()
    count = batch["decoder_loss_weights"].sum()
    loss, found = model(vocabulary, z_loss=1e-2).loss_fn(params, batch)
    sums = {name: float(metric.total) for name, metric in found.items() if hasattr(metric, "total")}
    assert "accuracy" not in found
    assert sums["loss"] == pytest.approx(float(loss))
    assert sums["cross_ent_loss"] + sums["z_loss"] == pytest.approx(float(loss), rel=1e-6)
    per_token = found["loss_per_nonpadding_target_token"].compute()
    assert per_token == pytest.approx(float(loss), rel=1e-6)
    assert found["non_padding_fraction/loss_weights"].compute() == pytest.approx(count / 64)
    halved, _ = model(vocabulary, z_loss=1e-2, microbatches=2).loss_fn(params, batch)
    assert halved == pytest.approx(loss / 2)


def test_scores_are_t5xs_without_its_logits(vocabulary, params):
    batch = toy_t5x.batch()
    adapted = model(vocabulary)
    wanted = models.DecoderOnlyModel.score_batch(adapted, params, batch)
    np.testing.assert_allclose(adapted.score_batch(params, batch), wanted, rtol=1e-5)


def prompts(shortest=0):
    """Three prompts, of 0 (or more), 5 and 9 tokens behind </s>, as t5x's converter lays them out."""
    chance = np.random.default_rng(3)
    inputs = np.zeros((3, 20), np.int32)
    causal = np.zeros((3, 20), np.int32)
    for row, length in enumerate((shortest, 5, 9)):
        inputs[row, 0] = 2
        inputs[row, 1 : length + 1] = chance.integers(3, toy_run.PIECES, length)
        causal[row, : length + 1] = 1
    return {"decoder_input_tokens": inputs, "decoder_causal_attention": causal}


def logits_of(params, tokens):
    """[B, T, V] of whole rows, in one pass and without a cache."""
    network = PolyLM(CONFIG)
    x = network.apply({"params": params}, tokens)
    return network.apply({"params": params}, x, method=PolyLM.logits)


def greedy_without_a_cache(params, prompt, steps):
    """The likeliest tokens after a prompt, the whole row again for each."""
    row, compiled = list(prompt), jax.jit(logits_of)
    for _ in range(steps):
        padded = np.zeros((1, 20), np.int32)
        padded[0, : len(row)] = row
        row.append(int(jnp.argmax(compiled(params, padded)[0, len(row) - 1])))
        if row[-1] == 2:
            break
    return row[len(prompt) :]


@pytest.mark.parametrize("scan_layers", [True, False])
def test_decoding_finds_the_tokens_of_the_whole_row(vocabulary, params, scan_layers):
    config = dataclasses.replace(CONFIG, scan_layers=scan_layers)
    batch = prompts()
    adapted = model(vocabulary, config)
    given = params if scan_layers else t5x_model.split(params)
    found, _ = jax.jit(
        lambda p: adapted.predict_batch_with_aux(
            p, batch, decoder_params={"temperature": 0.0, "topk": 0}
        )
    )(given)
    for row in range(3):
        length = int(batch["decoder_causal_attention"][row].sum())
        wanted = greedy_without_a_cache(params, batch["decoder_input_tokens"][row, :length], 8)
        assert found[row, : len(wanted)].tolist() == wanted


def test_beams_and_several_samples_of_scanned_layers(vocabulary, params):
    """Every decode of a beam scores what the network says of it: its cache went along with it."""
    batch = prompts(shortest=2)
    adapted = model(vocabulary, decode_fn=t5x_model.beam_search)
    found, aux = jax.jit(
        lambda p: adapted.predict_batch_with_aux(
            p, batch, num_decodes=2, return_all_decodes=True, decoder_params={"alpha": 0.0}
        )
    )(params)
    for row in range(3):
        length = batch["decoder_causal_attention"][row].sum()
        prompt = batch["decoder_input_tokens"][row, :length]
        for decode in range(2):
            new = [token for token in found[row, decode].tolist() if token]
            if new[-1] == 2 or row == 0:  # others go on past the row until the shortest is done
                wanted = log_probability(params, prompt, new)
                assert aux["scores"][row, decode] == pytest.approx(wanted, abs=2e-3)
    sampled, _ = model(vocabulary).predict_batch_with_aux(
        params, batch, rng=jax.random.key(0), num_decodes=3, return_all_decodes=True
    )
    assert sampled.shape == (3, 3, 20)


def log_probability(params, prompt, new):
    """Nats of `new` after `prompt`, in one pass."""
    row = np.array([[*prompt, *new]])
    log_p = jax.nn.log_softmax(logits_of(params, row)[0, len(prompt) - 1 : -1])
    return float(sum(p[token] for p, token in zip(log_p, row[0, len(prompt) :], strict=True)))


def test_what_the_model_cannot_do_is_said(vocabulary, params):
    tokens = toy_t5x.batch(rows=1, length=30)["decoder_input_tokens"]
    network = model(vocabulary).module
    with pytest.raises(InputError, match="rows of 30 tokens and the model has max_length = 24"):
        network.apply({"params": params}, tokens, tokens)
    with pytest.raises(InputError, match="inputs_bidirectional_attention is set"):
        network.apply({"params": params}, tokens, tokens, decoder_causal_attention=tokens)
    with pytest.raises(InputError, match="the vocabulary has 2.. pieces and the model's"):
        model(vocabulary, dataclasses.replace(CONFIG, vocab_size=200))
    with pytest.raises(InputError, match="MIXTURE_OR_TASK_NAME = 'nothing' isn't registered"):
        t5x_model.registered("nothing")


def test_a_row_begins_behind_the_end_of_a_document(vocabulary):
    converter = model(vocabulary).FEATURE_CONVERTER_CLS(pack=False)
    dataset = seqio.test_utils.tf.data.Dataset.from_tensors({"targets": [5, 6, 2]})
    row = next(converter(dataset, {"targets": 5}).as_numpy_iterator())
    assert row["decoder_input_tokens"].tolist() == [2, 5, 6, 2, 0]
    assert row["decoder_target_tokens"].tolist() == [5, 6, 2, 0, 0]
