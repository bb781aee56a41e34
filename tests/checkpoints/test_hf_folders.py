"""Folders as other tools save them come in whole, and a check reaches every number of both sides."""

import dataclasses
import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import toy_hf
from test_hf_import import configure, folder, imported, refused, same_bits, save  # noqa: F401

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.hf import param_table, verifying
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.hf.importing import import_hf
from polylm_jax.checkpoints.identity import identify
from polylm_jax.evaluation import language_model
from polylm_jax.tokenizer.tokenizer import Tokenizer

WTE, HEAD = param_table.WTE, param_table.TIED


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float64])
def test_saved_masks_of_any_dtype_are_no_parameters(dtype, folder):  # noqa: F811
    wanted = toy_hf.values(toy_hf.MODEL)
    masks = {
        f"transformer.h.{layer}.attn.{name}": np.tril(np.ones((1, 1, 40, 40))).astype(dtype)
        for layer in range(3)
        for name in ("bias", "masked_bias")
    }
    save(folder, wanted | masks)
    same_bits(imported(folder), wanted)
    verifying.verify(str(folder.parent / "ours"), str(folder), str(folder / "tokenizer.model"))


def test_a_parameter_that_is_no_float_is_refused(folder):  # noqa: F811
    values = toy_hf.values(toy_hf.MODEL)
    save(folder, values | {WTE: values[WTE].astype(np.int8)})
    refused(folder, WTE, "int8", "save the model in float32")
    whole = (folder / "model.safetensors").read_bytes()
    other = whole.replace(b'"I8"', b'"F6"', 1)
    (folder / "model.safetensors").write_bytes(other)
    refused(folder, WTE, "F6", "save the model in float32")


def test_a_tied_embedding_is_found_under_either_name(folder, tmp_path):  # noqa: F811
    """`safetensors.torch.save_model` keeps lm_head.weight of the two."""
    wanted = toy_hf.values(toy_hf.MODEL)
    only_head = {HEAD if name == WTE else name: value for name, value in wanted.items()}
    save(folder, only_head)
    same_bits(imported(folder), wanted)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import safetensors.torch

    model = transformers.GPT2LMHeadModel(transformers.GPT2Config.from_pretrained(folder))
    safetensors.torch.save_model(model, str(folder / "model.safetensors"))
    found = imported(folder)
    assert WTE not in safetensors.numpy.load_file(folder / "model.safetensors")
    assert torch.equal(torch.from_numpy(found[WTE]), model.lm_head.weight)


def test_a_configuration_without_architectures_says_enough(folder):  # noqa: F811
    values = json.loads((folder / "config.json").read_text())
    del values["architectures"]
    (folder / "config.json").write_text(json.dumps(values))
    same_bits(imported(folder), toy_hf.values(toy_hf.MODEL))
    del values["model_type"]
    (folder / "config.json").write_text(json.dumps(values))
    refused(folder, "config.json", "None")


def test_of_two_models_in_a_folder_transformers_own_is_read(folder, capsys):  # noqa: F811
    """model.safetensors before an index of shards; what isn't read is named."""
    wanted = toy_hf.values(toy_hf.MODEL)
    others = {name: value + 1 for name, value in wanted.items()}
    safetensors.numpy.save_file(others, folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(others, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "pytorch_model.bin").write_bytes(b"nobody opens it")
    same_bits(imported(folder), wanted)
    told = capsys.readouterr().out
    assert told.count("not read: model.safetensors.index.json, pytorch_model.bin") == 1
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).transformer.wte.weight
    assert np.array_equal(theirs.detach().numpy(), wanted[WTE])


@pytest.mark.parametrize("tensor", [t.theirs for t in param_table.tensors(toy_hf.MODEL)])
def test_one_number_that_differs_anywhere_fails_the_check(tensor, exported, capsys):
    """The last element of each tensor in turn: no row of ids need reach it."""
    run, out, _, values = exported
    other = {name: value.copy() for name, value in values.items()}
    other[tensor].reshape(-1)[-1] += 1e-6
    safetensors.numpy.save_file(other, out / "model.safetensors", {"format": "pt"})
    config = toy_hf.MODEL
    assert not verifying._verify_weights(identify(run, 7)[0], config, out, "float32")
    told = capsys.readouterr().out
    assert f"{len(values) - 1} of {len(values)} tensors are the same" in told
    assert f"{tensor} differs: 1 of {values[tensor].size:,} elements" in told


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(run, folder, vocabulary, values) of a toy model whose export may be spoilt."""
    place = tmp_path_factory.mktemp("toy")
    vocabulary = toy_hf.vocabulary(place)
    values = toy_hf.checkpoint(place / "run", vocabulary)
    export(str(place / "run"), str(place / "out"), vocabulary, verify=False)
    return str(place / "run"), place / "out", vocabulary, values


def test_verify_compares_every_row_of_positions(tmp_path, capsys):
    """Positions from 64 on, which the rows of the logits don't have."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    config = dataclasses.replace(toy_hf.MODEL, max_length=256)
    vocabulary = toy_hf.vocabulary(tmp_path)
    values = toy_hf.checkpoint(tmp_path / "run", vocabulary, config)
    export(str(tmp_path / "run"), str(tmp_path / "out"), vocabulary, verify=False)
    values["transformer.wpe.weight"][64:] += 5
    path = tmp_path / "out" / "model.safetensors"
    safetensors.numpy.save_file(values, path, {"format": "pt"})
    with pytest.raises(SystemExit) as error:
        verifying.verify(str(tmp_path / "run"), str(tmp_path / "out"), vocabulary)
    told = capsys.readouterr().out
    assert error.value.code == 1 and "first in row 64 of 256, by up to 5" in told
    logits = float(told.partition("|JAX - PyTorch| = ")[2].split()[0])
    assert logits <= verifying.TOLERANCE  # they alone would have passed it


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_was_rounded_is_compared_as_rounded(dtype, tmp_path, capsys):
    vocabulary = toy_hf.vocabulary(tmp_path)
    toy_hf.checkpoint(tmp_path / "run", vocabulary)
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    export(run, out, vocabulary, dtype=dtype, max_shard_gb=3e-5, verify=False)
    verifying.verify(run, out, vocabulary, dtype=dtype)
    assert "40 of 40 tensors are the same" in capsys.readouterr().out


def test_another_tools_vocabulary_keeps_its_bytes(folder):  # noqa: F811
    """Fields in another order, as another writer of protocol buffers has them: the same model."""
    from sentencepiece import sentencepiece_model_pb2

    path = folder / "tokenizer.model"
    proto = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    pieces = sentencepiece_model_pb2.ModelProto(pieces=proto.pieces)
    del proto.pieces[:]
    other = proto.SerializeToString() + pieces.SerializeToString()
    assert other != path.read_bytes()
    path.write_bytes(other)
    ours, out = folder.parent / "ours", folder.parent / "again"
    import_hf(str(folder), str(ours), verify=False)
    assert (ours / "tokenizer.model").read_bytes() == other
    export(str(ours), str(out), str(folder / "tokenizer.model"), verify=False)
    assert (out / "tokenizer.model").read_bytes() == other
    fingerprint = Tokenizer.load(str(path)).fingerprint
    assert Tokenizer.load(str(ours / "tokenizer.model")).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("files", "recipe", "products"),
    [
        (np.float32, None, "float32"),
        (ml_dtypes.bfloat16, None, "bfloat16"),
        (np.float16, None, "float32"),
        (np.float32, "bfloat16", "bfloat16"),
        (ml_dtypes.bfloat16, "float32", "float32"),
    ],
)
def test_an_import_is_evaluated_in_its_own_precision(
    files,
    recipe,
    products,
    folder,  # noqa: F811
):
    save(folder, {name: v.astype(files) for name, v in toy_hf.values(toy_hf.MODEL).items()})
    model = dataclasses.replace(toy_hf.MODEL, dtype=recipe) if recipe else None
    imported(folder, model=model)
    found, progress = identity.identify(str(folder.parent / "ours"))
    lm = language_model.load(found, progress, str(folder / "tokenizer.model"))
    assert lm.config.dtype == products
