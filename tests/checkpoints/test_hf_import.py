"""What comes in is bitwise what was there, from every layout of files; bad folders are refused."""

import dataclasses
import json
import os
import pathlib
import pickle

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import toy_hf

from polylm_jax.checkpoints import checkpoint, param_store
from polylm_jax.checkpoints.hf import config_files, param_table, torch_files, verifying
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.hf.importing import import_hf
from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import Tokenizer

TIED = {"lm_head.weight": "transformer.wte.weight"}


@pytest.fixture
def folder(tmp_path):
    """A folder like DAMO's: GPT2LMHeadModel, tokenizer.model, one safetensors file."""
    place = tmp_path / "theirs"
    place.mkdir()
    config_files.write_config(place, toy_hf.MODEL, "float32", eos_id=2)
    pathlib.Path(toy_hf.vocabulary(place)).rename(place / "tokenizer.model")
    save(place, toy_hf.values(toy_hf.MODEL))
    return place


def save(place, values):
    safetensors.numpy.save_file(values, place / "model.safetensors", {"format": "pt"})


def configure(place, **changes):
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def imported(place, **changes) -> dict[str, np.ndarray]:
    """Imports, and reads through Orbax: their name -> values."""
    out = place.parent / "ours"
    import_hf(str(place), str(out), verify=False, overwrite=True, **changes)
    step = checkpoint.read_progress(str(out)).step
    config = param_table.config_of(param_store.Reader(param_store.folder_of(str(out), step)).shapes)
    tree = verifying.abstract_params(config, jax.devices()[0])
    leaves = jax.tree_util.tree_flatten_with_path(checkpoint.restore_params(str(out), tree))[0]
    ours = {jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(v) for p, v in leaves}
    return {
        t.theirs: (ours[t.ours] if t.layer is None else ours[t.ours][t.layer]).reshape(t.shape)
        for t in param_table.tensors(config)
    }


def same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("scan_layers", [True, False])
def test_every_value_is_where_it_belongs(scan_layers, folder):
    model = dataclasses.replace(toy_hf.MODEL, scan_layers=scan_layers)
    same_bits(imported(folder, model=model), toy_hf.values(toy_hf.MODEL))
    progress = checkpoint.read_progress(str(folder.parent / "ours"))
    tokenizer = Tokenizer.load(str(folder.parent / "ours" / "tokenizer.model"))
    assert progress.fingerprint["vocabulary"] == tokenizer.fingerprint


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_becomes_float32_exactly(kind, folder):
    values = {name: v.astype(kind) for name, v in toy_hf.values(toy_hf.MODEL).items()}
    save(folder, values)
    same_bits(imported(folder), {name: v.astype(np.float32) for name, v in values.items()})


@pytest.mark.parametrize("names", ["GPT2LMHeadModel", "GPT2Model"])
@pytest.mark.parametrize("files", ["safetensors", "bin", "old bin", "shards of bin"])
def test_every_layout_of_files(names, files, folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    wanted = toy_hf.values(toy_hf.MODEL)
    values = dict(wanted)
    if names == "GPT2Model":
        values = {name.removeprefix("transformer."): v for name, v in values.items()}
        configure(folder, architectures=["GPT2Model"], activation_function="gelu_fast", n_inner=48)
    else:
        values |= {"lm_head.weight": values["transformer.wte.weight"]}
        values |= {"transformer.h.0.attn.bias": np.tril(np.ones((1, 1, 40, 40), np.float32))}
    if files == "safetensors":
        save(folder, values)
    else:
        (folder / "model.safetensors").unlink()
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        save_bin(torch, folder, tensors, files)
    same_bits(imported(folder), wanted)


def save_bin(torch, folder, tensors, files):
    if files != "shards of bin":
        new = files == "bin"
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=new)
        return
    places = {name: f"pytorch_model-{n % 3}.bin" for n, name in enumerate(tensors)}
    for file in set(places.values()):
        torch.save({n: t for n, t in tensors.items() if places[n] == file}, folder / file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def test_one_file_of_shards_is_open_at_a_time(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    values = toy_hf.values(toy_hf.MODEL)
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    save_bin(torch, folder, tensors, "shards of bin")
    places = torch_files.read_places(sorted(folder.glob("*.bin")))
    for name, place in places.items():
        assert place.read(3, 5).tobytes() == values[name].reshape(-1)[3:8].tobytes()
        open_now = {other.path for other in places.values() if other.file._tensors}
        assert open_now == {place.path}
    assert len({place.path for place in places.values()}) == 3


def test_a_model_made_by_pytorch_goes_in_and_out_unchanged(folder, capsys):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.GPT2Config.from_pretrained(folder)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    wanted = {name: value.numpy() for name, value in model.transformer.state_dict().items()}
    ours, out = folder.parent / "ours", folder.parent / "again"
    import_hf(str(folder), str(ours))
    export(str(ours), str(out), str(ours / "tokenizer.model"))
    assert capsys.readouterr().out.count("max |JAX - PyTorch|") == 2
    found = transformers.AutoModelForCausalLM.from_pretrained(out).transformer.state_dict()
    same_bits({name: value.numpy() for name, value in found.items()}, wanted)


def test_out_in_and_out_again_is_bitwise_the_same(folder):
    here = folder.parent
    import_hf(str(folder), str(here / "a"), verify=False)
    for dtype in ("float32", "bfloat16"):
        first, again = here / f"first-{dtype}", here / f"again-{dtype}"
        shape = {"dtype": dtype, "max_shard_gb": 3e-5, "verify": False}
        export(str(here / "a"), str(first), str(here / "a" / "tokenizer.model"), **shape)
        import_hf(str(first), str(here / f"b-{dtype}"), verify=False)
        export(str(here / f"b-{dtype}"), str(again), str(first / "tokenizer.model"), **shape)
        names = sorted(path.name for path in first.iterdir())
        assert names == sorted(path.name for path in again.iterdir())
        for name in set(names) - {"README.md"}:
            assert (first / name).read_bytes() == (again / name).read_bytes(), name


def refused(folder, *words, **changes):
    """One sentence with all the words, and nothing written."""
    out = folder.parent / "out"
    with pytest.raises(InputError) as error:
        import_hf(str(folder), str(out), **changes)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and all(word in message for word in words), message
    assert not out.exists() and not list(folder.parent.glob(".out*"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, ["LlamaForCausalLM", "GPT2LMHeadModel"]),
        ({"model_type": "llama", "architectures": None}, ["llama"]),
        ({"activation_function": "relu"}, ["activation_function", "'relu'", "gelu_new"]),
        ({"layer_norm_epsilon": 1e-6}, ["layer_norm_epsilon", "1e-06"]),
        ({"tie_word_embeddings": False}, ["tie_word_embeddings"]),
        ({"scale_attn_weights": False}, ["scale_attn_weights"]),
        ({"n_head": None}, ["n_head"]),
        ({"n_head": 5}, ["num_heads = 5"]),
        ({"n_embd": 32}, ["wte.weight", "(640, 16)", "(640, 32)"]),
        ({"n_layer": 4}, ["lacks", "h.3.ln_1.weight"]),
        ({"n_layer": 2}, ["h.2.", "which GPT-2 lacks"]),
    ],
)
def test_another_model_is_refused(changes, words, folder):
    configure(folder, **changes)
    refused(folder, *words)


def test_missing_extra_and_misshapen_tensors_are_named(folder):
    values, name = toy_hf.values(toy_hf.MODEL), "transformer.h.1.mlp.c_fc.bias"
    save(folder, {key: value for key, value in values.items() if key != name})
    refused(folder, "lacks", name)
    save(folder, values | {"transformer.h.1.mlp.c_fc.biases": values[name]})
    refused(folder, "c_fc.biases", f"Did you mean '{name}'?")
    save(folder, values | {name: values[name][1:]})
    refused(folder, name, "(47,)", "(48,)")
    save(folder, values | {"lm_head.weight": values["transformer.wte.weight"] + 1})
    refused(folder, "lm_head.weight", "tied")


def test_the_recipes_model_must_be_the_folders(folder):
    model = dataclasses.replace(toy_hf.MODEL, mlp_dim=64)
    refused(folder, "mlp_dim = 48", "64", model=model)


def test_a_vocabulary_of_more_pieces_is_refused(folder):
    model = dataclasses.replace(toy_hf.MODEL, vocab_size=300)
    config_files.write_config(folder, model, "float32", eos_id=2)
    save(folder, toy_hf.values(model))
    refused(folder, "tokenizer.model", "pieces", "300")
    (folder / "tokenizer.model").unlink()
    refused(folder, "tokenizer.model")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/x", "..", "absent"])
def test_an_index_that_leaves_the_folder_is_refused(name, folder):
    index = {"weight_map": {"transformer.wte.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    save(folder.parent, toy_hf.values(toy_hf.MODEL))
    (folder / "model.safetensors").unlink()
    refused(folder, repr(name) if name != "absent" else "which isn't there")


def test_damaged_safetensors_are_refused(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content, word in (
        (whole[:-8], "ends within"),
        (b"", "not a safetensors"),
        (b"\xff" * 99, "not a safetensors"),
        ((9).to_bytes(8, "little") + b"{'a': 1} " + whole, "header"),
        (whole.replace(b'"F32"', b'"F8_E4M3"', 1), "header"),
        (whole.replace(b"[640,16]", b"[640,17]", 1), "contradicts"),
    ):
        path.write_bytes(content)
        refused(folder, "model.safetensors", word)


class Harm:
    """Pickles as a call that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    (folder / "model.safetensors").unlink()
    harm, path = folder / "harm", folder / "pytorch_model.bin"
    torch.save({"transformer.wte.weight": Harm(harm)}, path)
    refused(folder, "nothing in it was run")
    path.write_bytes(pickle.dumps({"a": Harm(harm)}))
    refused(folder, "pytorch_model.bin")
    path.write_bytes(b"no weights")
    refused(folder, "pytorch_model.bin")
    torch.save([1, 2], path)
    refused(folder, "state dict")
    assert not harm.exists()


def test_a_folder_without_a_model_is_refused(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "model.safetensors", "pytorch_model.bin")
    (folder / "config.json").unlink()
    refused(folder, "config.json")
    refused(folder / "none", "is not a local folder")


def test_an_output_that_holds_the_source_is_refused(folder):
    before = sorted(path.name for path in folder.iterdir())
    for output in (folder, folder.parent):
        with pytest.raises(InputError, match="which is read"):
            import_hf(str(folder), str(output), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_polylms_own_class_is_read_as_gpt2(folder, capsys):
    configure(folder, architectures=["PolyLMHeadModel"], activation_function="gelu_fast")
    same_bits(imported(folder), toy_hf.values(toy_hf.MODEL))
    assert "PolyLMHeadModel: read as GPT-2" in capsys.readouterr().out
