"""Greedy text from transformers is ours, token for token, and logits agree at 125M's width."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_hf

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.hf import token_ids, verifying
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.hf.importing import import_hf
from polylm_jax.model.network import PolyLM
from polylm_jax.tokenizer.tokenizer import Tokenizer

NEW = 12
PROMPTS = [text[: 4 + number] for number, text in enumerate(token_ids.TEXTS.values())]
PROMPTS += ["a", "7:45"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(checkpoint, folder, vocabulary) of a toy model."""
    folder = tmp_path_factory.mktemp("toy")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary)
    export(str(folder / "run"), str(folder / "out"), vocabulary, verify=False)
    return str(folder / "run"), folder / "out", vocabulary


def greedy(path, prompts):
    """Our model with its cache: prefill of all prompts, then a token at a time -> [B][NEW]."""
    config = dataclasses.replace(toy_hf.MODEL, dtype="float32", attention="reference")
    model, device = PolyLM(config), jax.devices()[0]
    params = checkpoint.restore_params(path, verifying.abstract_params(config, device))
    lengths_B = jnp.array([len(ids) for ids in prompts])
    tokens_BT = np.zeros((len(prompts), int(lengths_B.max())), np.int32)
    for row, ids in zip(tokens_BT, prompts, strict=True):
        row[: len(ids)] = ids

    def logits(variables, tokens_BT, **options):
        x_BTD, state = model.apply(variables, tokens_BT, mutable=["cache"], **options)
        return model.apply(variables, x_BTD, method="logits"), state["cache"]

    prefill = jax.jit(functools.partial(logits, prefill=True, cache_length=config.max_length))
    logits_BTV, cache = prefill({"params": params}, jnp.asarray(tokens_BT), lengths_B=lengths_B)
    logits_BV = logits_BTV[jnp.arange(len(prompts)), lengths_B - 1]
    step = jax.jit(lambda cache, t: logits({"params": params, "cache": cache}, t, decode=True))
    found = []
    for _ in range(NEW):
        found.append(np.asarray(logits_BV.argmax(-1)))
        logits_BTV, cache = step(cache, jnp.asarray(found[-1])[:, None])
        logits_BV = logits_BTV[:, 0]
    return np.stack(found, axis=1).tolist()


def test_greedy_text_is_transformers(exported):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch

    path, folder, vocabulary = exported
    tokenizer = Tokenizer.load(vocabulary)
    prompts = [tokenizer.encode(text) for text in PROMPTS]
    assert len(prompts) == 20
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    for ids, ours in zip(prompts, greedy(path, prompts), strict=True):
        inputs = torch.tensor([ids])
        mask = torch.ones_like(inputs)
        made = model.generate(inputs, attention_mask=mask, max_new_tokens=NEW, do_sample=False)
        theirs = made[0, len(ids) :].tolist()
        assert ours[: len(theirs)] == theirs
        assert len(theirs) == NEW or theirs[-1] == tokenizer.eos_id


def test_logits_at_125m_width_out_and_in(tmp_path, capsys):
    pytest.importorskip("transformers", reason="transformers is not installed")
    vocabulary = toy_hf.vocabulary(tmp_path)
    config = dataclasses.replace(
        toy_hf.MODEL, num_layers=2, embed_dim=768, num_heads=12, mlp_dim=3072, max_length=128
    )
    toy_hf.checkpoint(tmp_path / "run", vocabulary, config, scale=0.02)
    export(str(tmp_path / "run"), str(tmp_path / "out"), vocabulary)
    import_hf(str(tmp_path / "out"), str(tmp_path / "back"))
    assert capsys.readouterr().out.count("max |JAX - PyTorch|") == 2
