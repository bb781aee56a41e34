"""One identity of a checkpoint, by what it holds: other parameters have another, a copy has the same."""

import dataclasses
import json
import shutil

import pytest
import toy_hf

from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.hf.importing import import_hf
from polylm_jax.checkpoints.identity import identify, matching_tokenizer
from polylm_jax.errors import InputError
from polylm_jax.inference.generation.generate import generate
from polylm_jax.inference.generation.prompts import Options
from polylm_jax.inference.serving import serve as serving
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

MODEL = PolyLMConfig(
    num_layers=1, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=640, max_length=96,
    dtype="float32", attention="reference",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Checkpoints `one` and `other` of one recipe, at one step, with other parameters; a copy of `one`."""
    folder = tmp_path_factory.mktemp("identity")
    path = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "one", path, MODEL, scale=0.4)
    toy_hf.checkpoint(folder / "other", path, MODEL, scale=0.3)
    shutil.copytree(folder / "one", folder / "elsewhere" / "copy")
    return folder


def arguments(place, name):
    return {
        "checkpoint": str(place / name), "vocabulary": f"{place}/bpe.model", "model": MODEL,
        "mesh": MeshConfig(data=8),
    }  # fmt: skip


def test_a_copy_has_the_identity_and_other_parameters_not(place):
    one, other, copy = (
        identify(str(place / name))[0] for name in ("one", "other", "elsewhere/copy")
    )
    assert one.step == other.step and one.identity != other.identity
    assert copy.identity == one.identity
    steps = (f"{place}/one/checkpoints", f"{place}/one/checkpoints/7")
    assert {identify(path)[0].identity for path in steps} == {one.identity}


def test_texts_of_another_checkpoint_are_refused(place, tmp_path, capsys):
    asked, texts = tmp_path / "prompts.jsonl", str(tmp_path / "texts.jsonl")
    asked.write_text('{"prompt": "Vapur"}\n')
    rest = {"prompts": str(asked), "options": Options(max_new_tokens=4)}
    generate(**arguments(place, "one"), **rest, results=texts)
    capsys.readouterr()
    with pytest.raises(InputError, match="line 1, is not of these prompts and settings with this"):
        generate(**arguments(place, "other"), **rest, results=texts)
    generate(**arguments(place, "elsewhere/copy"), **rest, results=texts)
    assert "1 of 1 texts are there already" in capsys.readouterr().err
    half = arguments(place, "one") | {"model": dataclasses.replace(MODEL, dtype="bfloat16")}
    with pytest.raises(InputError, match="is not of these prompts and settings"):
        generate(**half, **rest, results=texts)


def test_a_server_says_which_parameters_it_has(place, monkeypatch):
    told = []
    monkeypatch.setattr(serving, "_warm", lambda slots: None)  # compiles what isn't asked here
    monkeypatch.setattr(serving, "run", lambda service, *_: told.append(service.fingerprint))
    for name in ("one", "other", "elsewhere/copy"):
        serving.serve(**arguments(place, name), port=0, rows=8)
    serving.serve(
        **arguments(place, "one"), port=0, rows=8, chat_template="{{ messages[0].content }}"
    )
    one, other, copy, template = told
    assert copy == one and len({one, other, template}) == 3


def test_an_import_is_identified_by_its_content(place, tmp_path):
    found = []
    for name, out in (("one", "a"), ("other", "b"), ("one", "c")):
        theirs = f"{tmp_path}/{name}/model"
        export(str(place / name), theirs, f"{place}/bpe.model", verify=False, overwrite=True)
        import_hf(theirs, f"{tmp_path}/{out}", verify=False)
        found.append(identify(f"{tmp_path}/{out}"))
    (one, its), (other, others), (again, _) = found
    assert one.identity == again.identity == identify(str(place / "one"))[0].identity
    assert its.fingerprint["imported"] == others.fingerprint["imported"] == "model"
    assert one.identity != other.identity


def test_a_lost_manifest_or_other_vocabulary_is_refused(place, tmp_path):
    progress = identify(str(place / "one"))[1]
    pieces = Tokenizer.load(f"{place}/bpe.model").vocab_size
    assert matching_tokenizer(f"{place}/bpe.model", progress, pieces).vocab_size == pieces
    with pytest.raises(InputError, match=f"has {pieces - 1} rows: give it that one"):
        matching_tokenizer(f"{place}/bpe.model", progress, pieces - 1)
    with pytest.raises(InputError, match="was trained with"):
        matching_tokenizer(toy_hf.vocabulary(tmp_path, "unigram"), progress, 640)


def test_earlier_checkpoints_are_identified_by_manifest(place, tmp_path):
    found = set()
    for name in ("one", "other", "elsewhere/copy"):
        shutil.copytree(place / name, tmp_path / name)
        progress = identify(str(tmp_path / name))[1]
        older = dataclasses.asdict(dataclasses.replace(progress, digests={}, format=1))
        del older["digests"]
        path = tmp_path / name / "checkpoints/7"
        (path / "progress/metadata").write_text(json.dumps(older))
        found.add(identify(str(tmp_path / name))[0].identity)
    assert len(found) == 2
    (path / "params/manifest.ocdbt").unlink()
    with pytest.raises(InputError, match="lacks manifest.ocdbt"):
        identify(str(tmp_path / name))
