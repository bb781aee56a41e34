"""`run.py cache`, and the stores that a run asks for."""

import pathlib
import sys

import pytest
import seqio
from reading import write
from toy_tasks import UNIT_BYTES, forget, model, register

from polylm_jax.data.stores.cache import cache, ensure_stores, parse_shard
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import corpus


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The path of a small vocabulary."""
    return model(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def registry():
    """Forgets what a test registers."""
    yield
    forget()


def test_cache_makes_the_stores_of_a_mixture(tmp_path, toy, capsys):
    names = register(tmp_path, toy)
    stores = str(tmp_path / "stores")
    cache("toy", stores, toy, recipe="# resolved\n")
    said = capsys.readouterr().out
    tokens = TokenStore.open(f"{stores}/toy.th").manifest.splits["train"].tokens
    for words in ("documents", "tokens/s", "bytes/token", "held-out", "template", "0 bad lines"):
        assert words in said
    assert (tmp_path / "stores/cache.gin").read_text() == "# resolved\n"
    opened = ensure_stores(names, stores, toy)
    assert sorted(opened) == sorted(names)
    assert opened["toy.th"].num_tokens("train") == tokens
    cache(names, stores, toy)
    assert capsys.readouterr().out.count("complete already") == 3


def test_cache_by_shards_leaves_the_manifest_to_the_last(tmp_path, toy, capsys):
    register(tmp_path, toy)
    for index in range(2):
        cache(("toy.th",), str(tmp_path / "stores"), toy, shard=f"{index}/2")
        assert ("for other processes" in capsys.readouterr().out) == (index == 0)
    assert TokenStore.open(f"{tmp_path}/stores/toy.th").num_tokens("train")


def test_train_caches_small_tasks_and_asks_for_large_ones(tmp_path, toy, monkeypatch):
    register(tmp_path, toy)
    stores = str(tmp_path / "stores")
    opened = ensure_stores(["toy.th"], stores, Tokenizer.load(toy))
    assert opened["toy.th"].language == "th"
    monkeypatch.setattr(sys, "argv", ["run.py", "train", "--gin_file=a.gin", "--gin.X='b c'"])
    command = "`python run.py cache --gin_file=a.gin '--gin.X=.*b c.*'`"
    with pytest.raises(InputError, match=f"'toy.en_th' has 0 MB of text and no .*{command}"):
        ensure_stores(["toy.th", "toy.en_th"], stores, toy, max_bytes=1000)
    seqio.TaskRegistry.remove("toy.th")
    assert ensure_stores(["toy.th"], stores, toy)["toy.th"].num_tokens("train")
    with pytest.raises(InputError, match="'toy.thh' isn't registered"):
        ensure_stores(["toy.thh"], stores, toy)


def test_a_store_outlives_its_text(tmp_path, toy):
    register(tmp_path / "here", toy)
    stores = str(tmp_path / "stores")
    ensure_stores(["toy.th"], stores, toy)
    for folder, options, says in [
        ("moved", {}, None),
        ("gone", {}, None),
        ("gone", {"held_out": 0.2}, "options.held_out: 0.1, now 0.2"),
    ]:
        seqio.TaskRegistry.remove("toy.th")
        if folder == "moved":
            (tmp_path / "here").rename(tmp_path / "moved")
        corpus.register(
            str(tmp_path / folder), toy,
            {"th": {"format": "jsonl", "paths": "th.jsonl", "unit_bytes": UNIT_BYTES}},
            name="toy", **{"held_out": 0.1, **options},
        )  # fmt: skip
        if says is None:
            assert ensure_stores(["toy.th"], stores, toy)
            continue
        with pytest.raises(InputError, match=says):
            ensure_stores(["toy.th"], stores, toy)


@pytest.mark.parametrize("shard", ["3", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
def test_a_wrong_shard_is_refused(shard):
    with pytest.raises(InputError, match=f"shard = '{shard}'.*'0/3'"):
        parse_shard(shard)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"vocabulary": "none.model"}, "'none.model'"),
        ({"tasks": "toy.thh"}, "'toy.thh' isn't registered.*'toy.th'"),
        ({"tasks": ()}, "tasks is empty"),
        ({"max_bad": 1.5}, "max_bad = 1.5"),
        ({"cache_dir": "s3://bucket"}, "s3://"),
    ],
)
def test_bad_input_is_refused_before_anything_is_built(tmp_path, toy, changes, says):
    register(tmp_path, toy)
    given = {"tasks": "toy.th", "cache_dir": str(tmp_path / "stores"), "vocabulary": toy}
    with pytest.raises(InputError, match=says):
        cache(**{**given, **changes})
    assert not (tmp_path / "stores").exists()


def test_a_task_of_another_vocabulary_is_refused(tmp_path, toy):
    other = write(tmp_path / "other.model", pathlib.Path(toy).read_bytes() + b"\x12\x00")
    register(tmp_path, other)
    with pytest.raises(InputError, match="'toy.th' tokenizes with .*other.model.*vocabulary = "):
        cache("toy.th", str(tmp_path / "stores"), toy)
