"""A store whose text was edited to the same size: noticed, whole or half built; a copy is the same."""

import os
import pathlib

import pytest
from toy_tasks import forget, model, register

from polylm_jax.data.stores import text_state
from polylm_jax.data.stores.build import build_store
from polylm_jax.data.stores.cache import ensure_stores, stale
from polylm_jax.errors import InputError
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer


@pytest.fixture
def toy(tmp_path):
    """(vocabulary, the text's file, a function that builds its store)."""
    vocabulary = model(tmp_path)
    register(tmp_path / "text", vocabulary)
    yield (
        vocabulary,
        tmp_path / "text" / "th.jsonl",
        lambda **options: build_store(
            task_text.find("toy.th"),
            f"{tmp_path}/stores/toy.th",
            Tokenizer.load(vocabulary),
            **options,
        ),
    )
    forget()


def edit(path: pathlib.Path):
    """Two letters change places; size as before, another time."""
    content = bytearray(path.read_bytes())
    place = content.index(b"e", len(content) // 2)
    content[place] = ord("a")
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))


def test_an_edit_of_the_same_size_is_noticed(toy, tmp_path):
    vocabulary, text, build = toy
    stores = str(tmp_path / "stores")
    assert build() is not None
    assert stale("toy.th", stores, vocabulary) == ""
    os.utime(text, ns=(5, 5))  # a copy of the same text
    assert build() is not None and ensure_stores(["toy.th"], stores, vocabulary)
    edit(text)
    for act in (build, lambda: ensure_stores(["toy.th"], stores, vocabulary)):
        with pytest.raises(InputError, match=r"th\.jsonl has changed since, in the same size"):
            act()
    assert "has changed since" in stale("toy.th", stores, vocabulary)
    text.unlink()  # a run doesn't need it
    assert ensure_stores(["toy.th"], stores, vocabulary)


def test_a_half_built_store_takes_no_other_text(toy, tmp_path):
    _, text, build = toy
    assert build(shard=(0, 2)) is None
    edit(text)
    with pytest.raises(InputError, match="has changed since"):
        build(shard=(1, 2))


def test_an_earlier_versions_store_is_opened(toy, tmp_path):
    vocabulary, text, build = toy
    build()
    (tmp_path / "stores/toy.th" / text_state.NAME).unlink()
    edit(text)
    assert build() is not None
    (tmp_path / "stores/toy.th" / text_state.NAME).write_text("{")
    assert ensure_stores(["toy.th"], str(tmp_path / "stores"), vocabulary)


def test_large_files_are_sampled_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_state, "WHOLE", 1000)
    monkeypatch.setattr(text_state, "PIECES", 4)
    monkeypatch.setattr(text_state, "PIECE", 100)
    path = tmp_path / "text"
    path.write_bytes(bytes(1001))
    whole = text_state._sample(str(path))
    for place in (0, 99, 1000, 901):
        content = bytearray(1001)
        content[place] = 1
        path.write_bytes(content)
        assert text_state._sample(str(path)) != whole
