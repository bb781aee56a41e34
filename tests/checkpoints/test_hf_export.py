"""An exported folder is the checkpoint: bits, logits in PyTorch, ids, stop; bad input leaves nothing."""

import dataclasses
import json
import pathlib
import runpy
import sys

import gcs_server
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import toy_hf
import toy_run
from tables import unpadded

from polylm_jax.checkpoints import param_store
from polylm_jax.checkpoints.hf import param_table, token_ids, verifying
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import PAPER_CODES
from polylm_jax.tokenizer.tokenizer import Tokenizer

pytest_plugins = ["toy_fixture"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """(checkpoint, vocabulary, values) of a toy model."""
    folder = tmp_path_factory.mktemp("toy")
    vocabulary = toy_hf.vocabulary(folder)
    return str(folder / "run"), vocabulary, toy_hf.checkpoint(folder / "run", vocabulary)


def load(folder) -> dict[str, np.ndarray]:
    found = {}
    for path in pathlib.Path(folder).glob("*.safetensors"):
        found |= safetensors.numpy.load_file(path)
    return found


def same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("scan_layers", [True, False])
def test_every_value_is_where_it_belongs(dtype, scan_layers, toy, tmp_path):
    _, vocabulary, _ = toy
    config = dataclasses.replace(toy_hf.MODEL, scan_layers=scan_layers)
    values = toy_hf.checkpoint(tmp_path / "run", vocabulary, config)
    out = str(tmp_path / "out")
    export(str(tmp_path / "run"), out, vocabulary, dtype=dtype, max_shard_gb=3e-5, verify=False)
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    same_bits(load(out), {name: value.astype(kind) for name, value in values.items()})
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(values)
    assert index["metadata"]["total_size"] == config.num_params * np.dtype(kind).itemsize
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == dtype


def test_a_checkpoint_of_a_mesh_is_exported(toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path / "run", {"phases": toy_run.halves(4)}, save_every_steps=2)
    out, vocabulary = str(tmp_path / "out"), f"{toy_folder}/toy.model"
    export(str(tmp_path / "run"), out, vocabulary, step=2, verify=False)
    first = load(out)
    export(str(tmp_path / "run"), out, vocabulary, overwrite=True, verify=False)
    state = toy_run.final_state(toy_folder, tmp_path / "run", phases=toy_run.halves(4))
    leaves = jax.tree_util.tree_flatten_with_path(state.params)[0]
    ours = {jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(v) for p, v in leaves}
    wanted = {}
    for tensor in param_table.tensors(toy_run.MODEL):
        value = ours[tensor.ours] if tensor.layer is None else ours[tensor.ours][tensor.layer]
        wanted[tensor.theirs] = value.reshape(tensor.shape)
    same_bits(load(out), wanted)
    assert any(not np.array_equal(first[name], wanted[name]) for name in wanted)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| step | 4 |" in card and "| English |" in unpadded(card) and "en-th" in card


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_pytorchs(dtype, toy, tmp_path, capsys):
    pytest.importorskip("transformers", reason="transformers is not installed")
    checkpoint, vocabulary, _ = toy
    export(checkpoint, str(tmp_path / "out"), vocabulary, dtype=dtype)
    said = capsys.readouterr().out
    assert (
        "max |JAX - PyTorch|" in said
        and "0 of 29 texts in 18 languages get other token ids" in said
    )


def test_other_weights_fail_the_comparison_and_stay(toy, tmp_path, capsys):
    pytest.importorskip("transformers", reason="transformers is not installed")
    checkpoint, vocabulary, values = toy
    out = tmp_path / "out"
    export(checkpoint, str(out), vocabulary, verify=False)
    values = values | {"transformer.ln_f.bias": values["transformer.ln_f.bias"] + 1}
    safetensors.numpy.save_file(values, out / "model.safetensors", {"format": "pt"})
    with pytest.raises(SystemExit) as error:
        verifying.verify(checkpoint, str(out), vocabulary)
    assert error.value.code == 1 and (out / "config.json").exists()


def test_without_pytorch_nothing_is_claimed(toy, tmp_path, capsys, monkeypatch):
    checkpoint, vocabulary, _ = toy
    monkeypatch.setitem(sys.modules, "torch", None)
    export(checkpoint, str(tmp_path / "out"), vocabulary)
    assert "logits: not verified, torch is not installed" in capsys.readouterr().out


def test_transformers_loads_the_export_as_it_is(toy, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    checkpoint, vocabulary, _values = toy
    export(checkpoint, str(tmp_path / "out"), vocabulary, verify=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    config = model.generation_config
    assert (config.eos_token_id, config.bos_token_id, tokenizer.eos_token_id) == (2, 2, 2)
    # The bias of the last norm along </s>'s embedding makes it the likeliest token everywhere.
    model.transformer.ln_f.bias.data = 100 * model.transformer.wte.weight.data[2]
    ids = tokenizer("a", return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=8)[0, ids.shape[1] :].tolist() == [2]


@pytest.mark.parametrize("max_shard_gb", [4.0, 3e-5])
def test_pytorch_files_load_with_torch_alone(max_shard_gb, toy, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    checkpoint, vocabulary, values = toy
    out = tmp_path / "FOLDER"
    options = {"file_format": "pytorch", "max_shard_gb": max_shard_gb, "verify": False}
    export(checkpoint, str(out), vocabulary, **options)
    readme = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (snippet,) = (
        block.partition("```")[0]
        for block in readme.split("```python\n")[1:]
        if "torch.load" in block.partition("```")[0]
    )
    for absent in ("transformers", "safetensors", "safetensors.torch"):
        monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "snippet.py").write_text(snippet, encoding="utf-8")
    state = runpy.run_path(str(tmp_path / "snippet.py"))["state"]
    same_bits({name: tensor.numpy() for name, tensor in state.items()}, values)
    assert not list(out.glob("*.safetensors*"))
    shards = sorted(path.name for path in out.glob("*.bin"))
    if max_shard_gb == 4.0:
        assert shards == ["pytorch_model.bin"]
    else:
        index = json.loads((out / "pytorch_model.bin.index.json").read_text())
        assert sorted(set(index["weight_map"].values())) == shards and len(shards) > 1


def refused(toy, out, **changes):
    arguments = {"checkpoint": toy[0], "output": str(out), "vocabulary": toy[1]} | changes
    with pytest.raises(InputError) as error:
        export(**arguments)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_bad_input_is_one_sentence_and_leaves_nothing(toy, tmp_path):
    out = tmp_path / "out"
    assert "'bfloat16'" in refused(toy, out, dtype="bfloat")
    assert "'safetensors'" in refused(toy, out, file_format="safetensor")
    assert "MODEL_DIR" in refused(toy, out, checkpoint=str(tmp_path / "none"))
    other = tmp_path / "other"
    other.mkdir()
    assert "vocabulary" in refused(toy, out, vocabulary=toy_hf.vocabulary(other, "unigram"))
    assert "gs://" in refused(toy, out, output="gs://bucket/x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]
    out.mkdir()
    assert "overwrite" in refused(toy, out)
    assert not list(out.iterdir())
    run = pathlib.Path(toy[0])
    for holds in (run, run.parent):
        assert "which is read" in refused(toy, holds, overwrite=True)


def test_a_value_beyond_float16_is_refused(toy, tmp_path, monkeypatch):
    blocks = param_store.Reader.blocks
    large = lambda self, name: ((start, values * 1e6) for start, values in blocks(self, name))
    monkeypatch.setattr(param_store.Reader, "blocks", large)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert "float16" in refused(toy, tmp_path / "out", dtype="float16", overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_a_full_disk_is_told_before_anything_is_written(toy, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("polylm_jax.runtime.output_folder.shutil.disk_usage", lambda _: usage)
    assert "GB free" in refused(toy, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_while_writing_leaves_nothing(toy, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    assert "the disk is full" in refused(toy, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(4, 6, 5), (3, 7), (9,)])
@pytest.mark.parametrize("chunk", [(1, 2, 5), (2, 3, 2), (4, 6, 5)])
def test_runs_of_all_blocks_make_the_array(shape, chunk):
    wanted = np.arange(np.prod(shape)).reshape(shape)
    found = np.full(wanted.size, -1)
    for corner in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunk))):
        start = tuple(i * c for i, c in zip(corner, chunk))
        block = wanted[tuple(slice(s, s + c) for s, c in zip(start, chunk))]
        for element, values in param_store.runs(start, block, shape):
            found[element : element + len(values)] = values
    assert np.array_equal(found, wanted.reshape(-1))


@pytest.mark.parametrize(
    ("shape", "chunk", "block"),
    [
        ((256_000, 5120), (256_000, 64), (256_000, 1024)),  # an embedding sharded over its columns
        ((40, 5120, 20480), (40, 640, 640), (40, 640, 10240)),
        ((40, 5120, 3, 40, 128), (40, 40, 3, 40, 64), (40, 40, 3, 40, 128)),
        ((40, 5120, 20480), (1, 819, 20480), (1, 819, 20480)),  # an import's
        ((6, 10), (6, 3), (6, 10)),
        ((7,), (2,), (7,)),
    ],
)
def test_chunks_of_short_rows_are_read_together(shape, chunk, block):
    assert param_store.block_shape(shape, chunk) == block


def test_a_run_in_a_bucket_is_exported(toy, tmp_path, monkeypatch, capsys):
    pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    run, vocabulary, values = toy
    with gcs_server.GcsServer() as server:
        for path in pathlib.Path(run).rglob("*"):
            if path.is_file():
                name = f"run/{path.relative_to(run)}"
                server.buckets["bucket"][name] = (1, path.read_bytes())
        gcs_server.python_clients(server, monkeypatch)
        export("gs://bucket/run", str(tmp_path / "out"), vocabulary)
        assert "max |JAX - PyTorch|" in capsys.readouterr().out
        other = refused(toy, tmp_path / "other", checkpoint="gs://bucket/other")
        assert "gs://bucket/other has no 'checkpoints' folder" in other
    same_bits(load(tmp_path / "out"), values)


def test_the_tokenizer_of_the_folder_is_the_trained_one(toy, tmp_path):
    export(toy[0], str(tmp_path / "out"), toy[1], verify=False)
    exported = Tokenizer.load(str(tmp_path / "out" / "tokenizer.model"))
    assert exported.fingerprint == Tokenizer.load(toy[1]).fingerprint


def test_texts_are_compared_in_every_language():
    assert set(token_ids.TEXTS) == set(PAPER_CODES)


def test_a_unigram_vocabulary_is_never_called_equal(tmp_path, capsys):
    vocabulary = toy_hf.vocabulary(tmp_path, "unigram")
    toy_hf.checkpoint(tmp_path / "run", vocabulary)
    export(str(tmp_path / "run"), str(tmp_path / "out"), vocabulary)
    said = capsys.readouterr().out
    assert said.count("of 29 texts in 18 languages get other token ids") == 1
    assert "not a BPE vocabulary" in said and "equal" not in said
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "of 29 texts in 18 languages get other token ids" in card
    assert "not a BPE vocabulary" in card and "equal" not in card


def test_verify_refuses_the_folder_of_another_model(toy, tmp_path):
    out, model = tmp_path / "out", dataclasses.replace(toy_hf.MODEL, num_layers=2)
    toy_hf.checkpoint(tmp_path / "run", toy[1], model)
    export(str(tmp_path / "run"), str(out), toy[1], verify=False)
    with pytest.raises(InputError, match="other sizes"):
        verifying.verify(toy[0], str(out), toy[1])
    with pytest.raises(InputError, match=r"config\.json"):
        verifying.verify(toy[0], str(tmp_path), toy[1])


def test_the_card_finds_the_validation_of_the_run(toy, tmp_path):
    run = tmp_path / "checkpoints-of-mine" / "run"
    toy_hf.checkpoint(run, toy[1])
    lines = [{"step": step, "bits_per_byte": {"th": 1.5 + step}} for step in (3, 6, 9)]
    (run / "validation.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    for place in (run, run / "checkpoints", run / "checkpoints" / "7"):
        export(str(place), str(tmp_path / "out"), toy[1], overwrite=True, verify=False)
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        assert "(step 6)" in card and "| Thai | | 7.5000 |" in unpadded(card)
