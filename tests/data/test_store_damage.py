"""A store's files, damaged in every way: refused by name, mended, or no token is another."""

import json
import shutil

import numpy as np
import pytest
from test_token_store import flat, write

from polylm_jax.data.stores.store import TokenStore
from polylm_jax.data.stores.verify import verify
from polylm_jax.errors import InputError

SIZES = (400, 300, 500)
TOKENS, PARTS = flat(SIZES)
LENGTH = 16


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "toy", PARTS)
    return tmp_path / "toy"


def read(path):
    """All that a run reads."""
    opened = TokenStore.open(str(path))
    rows = np.arange(opened.num_rows("train", LENGTH))
    return opened, opened.read_rows("train", rows, LENGTH)


def test_random_damage_is_refused_or_harmless(store):
    """A hundred flips and cuts over all files; what opens and is verified has the tokens written."""
    whole, chance = read(store), np.random.default_rng(0)
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    refused = 0
    for _ in range(100):
        path = files[chance.integers(len(files))]
        before = path.read_bytes()
        after = bytearray(before)
        if chance.random() < 0.2:
            after = after[: chance.integers(len(before))]
        else:
            after[chance.integers(len(before))] ^= 1 << int(chance.integers(8))
        path.write_bytes(after)
        try:
            opened, rows = read(store)
            verify(opened)
            np.testing.assert_array_equal(rows, whole[1])
            assert opened.manifest == whole[0].manifest
        except InputError as error:
            assert "\n" not in str(error) and str(store) in str(error)
            refused += 1
        path.write_bytes(before)
    assert refused > 30


def test_a_part_that_is_another_is_named(store):
    part = store / "parts/00001-train.u16"
    content = bytearray(part.read_bytes())
    content[7] ^= 1
    part.write_bytes(content)
    opened, _ = read(store)
    with pytest.raises(InputError, match=r"damaged: parts/00001-train\.u16 isn't what was written"):
        verify(opened)
    (store / "parts/00001.json").write_text("")  # whose record is lost as well
    with pytest.raises(InputError, match="damaged: a part of 'train' isn't"):
        verify(opened)
    assert verify(opened, (0, 3)) == 2 * SIZES[0]


def test_a_token_outside_the_vocabulary_is_named(store):
    """Its part and its place, whatever row reads it; nothing else is refused."""
    part = np.memmap(store / "parts/00001-train.u16", "<u2")
    part[37] = 60_000
    part.flush()
    opened = TokenStore.open(str(store))
    bad = (SIZES[0] + 37) // LENGTH
    for row in range(opened.num_rows("train", LENGTH)):
        if row == bad:
            with pytest.raises(InputError, match=r"parts/00001-train\.u16 has 60000 at token 37,"):
                opened.read_rows("train", np.array([0, row]), LENGTH)
        else:
            opened.read_rows("train", np.array([row]), LENGTH)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[]", "null", "\0" * 40])
@pytest.mark.parametrize("name", ["store.json", "plan.json", "parts/00001.json"])
def test_damaged_json_is_one_sentence_and_building_mends_it(store, name, text):
    """The manifest and the plan are written again, a unit whose record is lost is done again."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    (store / name).write_text(text)
    if name == "store.json":
        with pytest.raises(InputError, match="has a damaged store.json"):
            TokenStore.open(str(store))
    assert write(store, PARTS) is not None
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_damaged_record_is_built_again(store):
    (store / "store.json").unlink()
    (store / "parts/00002.json").write_text('{"unit": "unit 2", "splits"')
    with pytest.raises(InputError, match="1 of its 3 units are missing, first 'unit 2'"):
        TokenStore.open(str(store))
    assert write(store, PARTS, skip=(2,)) is None
    assert write(store, PARTS) is not None
    np.testing.assert_array_equal(read(store)[1][0], TOKENS[: LENGTH + 1])


def test_stores_of_the_version_before_open(store):
    """They have the same files without seals."""
    for path in (store / "store.json", *store.glob("parts/*.json")):
        fields = json.loads(path.read_bytes())
        del fields["sha256"]
        path.write_text(json.dumps(fields))
    opened, _ = read(store)
    assert verify(opened) == 2 * sum(SIZES)
    shutil.copy(store / "parts/00000-train.u16", store / "copy")
    assert write(store, PARTS) is not None
