"""Token stores: rows against slices of the flat array, on disk and on gs://, and what is refused."""

import json
import shutil
import threading

import numpy as np
import pytest
from gcs_server import GcsServer
from hypothesis import given, settings
from hypothesis import strategies as st

from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity, dtype_for
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.data.stores.writer import StoreWriter
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder


@pytest.fixture(scope="module")
def server():
    with GcsServer(("bucket",), deny=("private",)) as running:
        yield running


def identity(units, vocab_size=1000, **changes):
    """A store's identity, of so many units."""
    fields = {
        "format_version": FORMAT_VERSION,
        "task": "toy",
        "task_version": "1",
        "vocabulary": "toy.model",
        "vocabulary_sha256": "a" * 64,
        "vocab_size": vocab_size,
        "eos_id": 2,
        "dtype": dtype_for(vocab_size),
        "source": {"options": {"held_out": 0.01}},
        "units": tuple(f"unit {number}" for number in range(units)),
    }
    return Identity(**{**fields, **changes})


def write(path, parts, vocab_size=1000, skip=()):
    """A store whose units hold `parts` as training tokens; units in `skip` are left out."""
    writer = StoreWriter(str(path), identity(len(parts), vocab_size))
    for number, part in enumerate(parts):
        if number not in skip:
            unit = writer.unit(number)
            counts = {"documents": 1, "bytes": len(part), ("tokens", "en"): len(part)}
            unit.add("train", np.array(part), {"en"}, counts)
            unit.commit()
    return writer.finish(0.0)


def flat(sizes, vocab_size=1000, seed=0):
    """Random tokens, and the same cut into parts of these sizes."""
    tokens = np.random.default_rng(seed).integers(0, vocab_size, sum(sizes))
    return tokens, np.split(tokens, np.cumsum(sizes)[:-1])


def expected(tokens, rows, length):
    return np.stack([tokens[row * length : row * length + length + 1] for row in rows])


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda s: sum(s) > 1),
    length=st.integers(1, 50),
    vocab_size=st.sampled_from([1000, 2**16, 2**16 + 1, 256_000]),
    data=st.data(),
)
def test_rows_are_slices_of_the_flat_array(tmp_path_factory, sizes, length, vocab_size, data):
    path = tmp_path_factory.mktemp("store") / "toy"
    tokens, parts = flat(sizes, vocab_size)
    write(path, parts, vocab_size)
    store = TokenStore.open(str(path))
    count = store.num_rows("train", length)
    assert count == (sum(sizes) - 1) // length
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=9)) if count else [])
    found = store.read_rows("train", rows, length)
    assert found.dtype == np.int32 and found.shape == (len(rows), length + 1)
    if len(rows):
        np.testing.assert_array_equal(found, expected(tokens, rows.tolist(), length))


def test_a_bucket_reads_as_a_folder_does(tmp_path, server):
    tokens, parts = flat([100, 3, 0, 64, 1, 200])
    write(tmp_path / "toy", parts)
    write("gs://bucket/stores/toy", parts)
    here, there = TokenStore.open(f"{tmp_path}/toy"), TokenStore.open("gs://bucket/stores/toy")
    assert there.content_hash == here.content_hash
    rows = np.random.default_rng(1).permutation(here.num_rows("train", 7))
    server.requests.clear()
    found = there.read_rows("train", rows, 7)
    np.testing.assert_array_equal(found, expected(tokens, rows, 7))
    np.testing.assert_array_equal(found, here.read_rows("train", rows, 7))
    ranges = [request[3] for request in server.requests]
    assert len(ranges) >= len(rows) and all(ranges), "a row is asked for by its bytes"


def test_neighbours_share_a_token_and_no_split_is_no_rows(tmp_path):
    write(tmp_path / "toy", [np.arange(25)])
    store = TokenStore.open(f"{tmp_path}/toy")
    rows = store.read_rows("train", np.arange(3), 8)
    assert rows[0, -1] == rows[1, 0] == 8 and rows[2, -1] == 24
    assert store.num_tokens("validation") == store.num_rows("validation", 8) == 0


@pytest.mark.parametrize("rows", [[-1], [0, 3]])
def test_rows_that_are_not_there_are_refused(tmp_path, rows):
    write(tmp_path / "toy", [np.arange(25)])
    with pytest.raises(IndexError, match="of 3"):
        TokenStore.open(f"{tmp_path}/toy").read_rows("train", np.array(rows), 8)


def test_many_threads_read_the_same(tmp_path):
    tokens, parts = flat([997] * 7)
    write(tmp_path / "toy", parts)
    store = TokenStore.open(f"{tmp_path}/toy")
    wrong = []

    def read(seed):
        rows = np.random.default_rng(seed).integers(0, store.num_rows("train", 31), 200)
        if (store.read_rows("train", rows, 31) != expected(tokens, rows, 31)).any():
            wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_store_built_anew_at_a_path_is_read_anew(tmp_path):
    for seed in range(2):
        tokens, parts = flat([50, 50], seed=seed)
        write(tmp_path / "toy", parts)
        found = TokenStore.open(f"{tmp_path}/toy").read_rows("train", np.arange(9), 10)
        np.testing.assert_array_equal(found, expected(tokens, range(9), 10))
        shutil.rmtree(tmp_path / "toy")


def test_the_content_hash_is_of_tokens(tmp_path):
    tokens, parts = flat([20, 30])
    first = write(tmp_path / "a", parts)
    write(tmp_path / "b", parts, skip=[0])
    assert write(tmp_path / "b", parts, skip=[1]) == first
    tokens[7] += 1
    assert write(tmp_path / "c", np.split(tokens, [20])).content_sha256 != first.content_sha256


def test_a_unit_of_many_parts_is_one_array(tmp_path, monkeypatch):
    monkeypatch.setattr("polylm_jax.data.stores.writer.PART_TOKENS", 100)
    writer = StoreWriter(f"{tmp_path}/toy", identity(1))
    tokens, pieces = flat([70] * 9)
    unit = writer.unit(0)
    for piece in pieces:
        unit.add("train", piece, {"en"}, {"documents": 1, "bytes": 70, ("tokens", "en"): 70})
    unit.commit()
    assert len(writer.finish(0.0).splits["train"].parts) == 5
    store = TokenStore.open(f"{tmp_path}/toy")
    rows = np.arange(store.num_rows("train", 90))
    np.testing.assert_array_equal(store.read_rows("train", rows, 90), expected(tokens, rows, 90))


def test_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no token store at .*run.py cache"):
        TokenStore.open(f"{tmp_path}/toy")


def test_an_incomplete_store_is_refused(tmp_path):
    assert write(tmp_path / "toy", flat([5] * 4)[1], skip=[1, 3]) is None
    with pytest.raises(InputError, match="2 of its 4 units are missing, first 'unit 1'"):
        TokenStore.open(f"{tmp_path}/toy")
    write(tmp_path / "toy", flat([5] * 4)[1])
    (tmp_path / "toy/store.json").unlink()
    with pytest.raises(InputError, match="its manifest is missing"):
        TokenStore.open(f"{tmp_path}/toy")


def test_a_missing_or_cut_part_is_refused_by_name(tmp_path):
    write(tmp_path / "toy", flat([50, 50])[1])
    part = tmp_path / "toy/parts/00001-train.u16"
    part.write_bytes(part.read_bytes()[:-2])
    with pytest.raises(InputError, match="00001-train.u16 in another length"):
        TokenStore.open(f"{tmp_path}/toy")
    part.unlink()
    with pytest.raises(InputError, match="lacks parts/00001-train.u16"):
        TokenStore.open(f"{tmp_path}/toy")


def test_another_vocabulary_or_format_is_refused_by_name(tmp_path):
    write(tmp_path / "toy", flat([50])[1])
    TokenStore.open(f"{tmp_path}/toy", "a" * 64)
    with pytest.raises(InputError, match="another vocabulary.*toy.model.*aaaaaaaaaaaa; now bbbbbb"):
        TokenStore.open(f"{tmp_path}/toy", "b" * 64)
    manifest = json.loads((tmp_path / "toy/store.json").read_text())
    text = json.dumps({**manifest, "format_version": FORMAT_VERSION + 1})
    (tmp_path / "toy/store.json").write_text(text)
    with pytest.raises(InputError, match="format version"):
        TokenStore.open(f"{tmp_path}/toy")


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"vocabulary_sha256": "b" * 64}, "another vocabulary"),
        ({"source": {"options": {"held_out": 0.02}}}, "options.held_out: 0.01, now 0.02"),
        ({"format_version": FORMAT_VERSION + 1}, "format version"),
    ],
)
def test_nothing_is_written_into_another_store(tmp_path, changes, says):
    write(tmp_path / "toy", flat([50])[1])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=says):
        StoreWriter(f"{tmp_path}/toy", identity(1, **changes))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_token_outside_the_vocabulary_is_refused(tmp_path):
    with pytest.raises(
        InputError, match="yields token 1000, but vocabulary = 'toy.model' has 1000"
    ):
        write(tmp_path / "toy", [np.array([1, 1000])])


@pytest.mark.parametrize(
    "path, says",
    [
        ("gs://absent/stores/toy", "doesn't exist.*create the bucket"),
        ("gs://private/stores/toy", "refuses this user.*gcloud auth"),
        ("gs://X/toy", "isn't a bucket"),
        ("s3://bucket/toy", "give a local path or gs://"),
    ],
)
def test_a_bucket_that_cannot_be_written_is_one_sentence(server, path, says):
    with pytest.raises(InputError, match=says) as caught:
        StoreWriter(path, identity(1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bucket, says", [("absent", "no token store"), ("private", "refuses")])
def test_a_bucket_that_cannot_be_read_is_one_sentence(server, bucket, says):
    with pytest.raises(InputError, match=says):
        TokenStore.open(f"gs://{bucket}/stores/toy")


def test_a_server_that_does_not_answer_is_one_sentence(monkeypatch):
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="can't be reached.*check the network"):
        TokenStore.open("gs://bucket/stores/toy")


def test_a_listing_goes_over_pages(server):
    folder = Folder("gs://bucket/listing")
    keys = [f"parts/{number:05d}.json" for number in range(130)]
    for key in [*keys, "partsx", "a"]:
        folder.write(key, b"")
    assert folder.list("parts/") == keys
    assert folder.claim("parts/new", b"1") and not folder.claim("parts/new", b"2")
    assert folder.read("parts/new") == b"1"


def test_an_empty_file_in_a_bucket_is_there(server):
    folder = Folder("gs://bucket/some")
    folder.write("empty", b"")
    folder.write("full", b"text")
    assert [folder.has(name) for name in ("empty", "full", "*.none")] == [True, True, False]
