"""Sources: splits by group, the same through SeqIO, and wrong specs refused in one sentence."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import seqio
import tensorflow as tf
from reading import COMPRESS, PAIR, RECORDS, TEXT, everything, jsonl, texts, write

from polylm_jax.errors import InputError
from polylm_jax.text import held_out
from tasks.sources import source as sources


def test_splits_are_disjoint_and_make_up_the_whole(tmp_path):
    records = [{"id": str(i % 700), "text": f"text {i}"} for i in range(1000)]
    path = write(tmp_path / "a.jsonl", jsonl(records))
    source = sources.read(path, TEXT, held_out=0.1)
    train, validation = everything(source, "train"), everything(source, "validation")
    assert {r["group"] for r in train}.isdisjoint(r["group"] for r in validation)
    assert 60 < len(validation) < 160
    both = everything(source)
    assert [r for r in both if not r["held_out"]] == train
    assert [r for r in both if r["held_out"]] == validation
    assert all(held_out.is_held_out(r["group"], 0.1) for r in validation)


def test_pairs_without_id_are_held_out_with_their_english(tmp_path):
    pairs = [{"en": f"Sentence {i}", "th": f"ประโยค {i}"} for i in range(2000)]
    path = write(tmp_path / "en-th.jsonl", jsonl(pairs))
    source = sources.read(path, PAIR, held_out=0.1)
    english = sources.read({"paths": path, "text": "en"}, TEXT, held_out=0.1)
    thai = sources.read({"paths": path, "text": "th"}, TEXT, held_out=0.1)
    train, validation = everything(source, "train"), everything(source, "validation")
    assert {r["en"] for r in validation} == set(texts(english, "validation"))
    assert {r["en"] for r in train} <= set(texts(english, "train"))
    assert {r["th"] for r in train}.isdisjoint(texts(thai, "validation"))
    assert len(train) + len(validation) + source.withheld // 2 == len(pairs)
    assert 120 < source.withheld // 2 < 250


def test_pairs_whose_indonesian_took_the_place_of_their_id(tmp_path):
    path = write(tmp_path / "en-id.jsonl", '{"id": "7", "en": "Hello", "id": "Halo"}\n')
    source = sources.read(path, {"en": "en", "id": "id"}, held_out=0.0)
    assert source.reader.displaced
    assert everything(source) == [
        {"en": "Hello", "id": "Halo", "group": "hello", "held_out": False}
    ]


def test_units_are_the_same_for_seqio(tmp_path):
    write(tmp_path / "a.jsonl", jsonl(RECORDS[:25]))
    write(tmp_path / "b.jsonl", jsonl(RECORDS[25:]))
    spec = {"paths": str(tmp_path / "*.jsonl"), "unit_bytes": 500}
    source = sources.read(spec, TEXT, held_out=0.3)
    for split in ("train", "validation", "all"):
        units = source.list_shards(split)
        for index, unit in enumerate(units):
            shard = seqio.ShardInfo(index, len(units))
            dataset = source.get_dataset(split, shuffle=False, shard_info=shard)
            got = [
                {k: v.decode() if isinstance(v, bytes) else bool(v) for k, v in example.items()}
                for example in dataset.as_numpy_iterator()
            ]
            assert got == list(source.records(split, unit))
    dataset = source.get_dataset("all", shuffle=True, seed=1)
    assert sorted(x["text"].decode() for x in dataset.as_numpy_iterator()) == sorted(texts(source))
    assert np.dtype(bool) == dataset.element_spec["held_out"].dtype.as_numpy_dtype


def test_other_schemes_than_the_local_disk(tmp_path):
    """TF's file system in memory goes the same way as gs://."""
    folder = "ram://sources"
    for name, ending in [("a.jsonl", ""), ("b.jsonl.gz", ".gz"), ("c.jsonl.xz", ".xz")]:
        with tf.io.gfile.GFile(f"{folder}/{name}", "wb") as file:
            file.write(COMPRESS[ending](jsonl(RECORDS)))
    plain = sources.read({"paths": "a.jsonl", "unit_bytes": 333}, TEXT, folder)
    assert texts(plain) == [r["text"] for r in RECORDS]
    assert len(plain.list_shards("train")) > 5
    rest = sources.read({"format": "jsonl", "paths": "*.jsonl.?z"}, TEXT, folder)
    assert len(texts(rest)) == 2 * len(RECORDS)
    table = pyarrow.Table.from_pylist([{"text": "x", "id": 1}])
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    with tf.io.gfile.GFile(f"{folder}/d.parquet", "wb") as file:
        file.write((tmp_path / "d.parquet").read_bytes())
    assert texts(sources.read("d.parquet", TEXT, folder)) == ["x"]
    with pytest.raises(InputError, match="ram://sources/none.jsonl"):
        everything(sources.read("none.jsonl", TEXT, folder))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none/*.jsonl", "paths: '.*none/.*jsonl' matches no file"),
        ("none.jsonl", "paths: '.*none.jsonl' isn't there"),
        ([], "ending"),
        ("text.docx", "format of '.*text.docx' can't be told"),
        ({"format": "jsonl"}, "has no 'paths'"),
        ({"format": "json", "paths": "a"}, "format = 'json' .* Did you mean 'jsonl'"),
        ({"paths": "a.jsonl", "txt": "b"}, "option 'txt'.*Did you mean 'text'"),
        ({"paths": "a.txt", "documents": "lines"}, "documents = 'lines' .* Did you mean 'line'"),
        ({"paths": "a.txt", "where": {"a": 1}}, "Text has no fields to filter by"),
        ({"paths": "empty.jsonl"}, "holds empty files only"),
        ({"paths": "a.jsonl", "columns": {"txt": "text"}}, r"\['text'\] are needed"),
        ("broken.jsonl.gz", "broken.jsonl.gz' ends early or isn't gzip data"),
        ("cut.jsonl.gz", "cut.jsonl.gz' ends early or isn't gzip data"),
        ("cut.jsonl.zst", "cut.jsonl.zst' ends early or isn't zstd data"),
        ("cut.jsonl.xz", "cut.jsonl.xz' ends early or isn't xz data"),
        ("broken.parquet", "broken.parquet' isn't Parquet"),
    ],
)
def test_wrong_specs_are_refused_in_one_sentence(tmp_path, spec, message):
    write(tmp_path / "empty.jsonl", b"")
    write(tmp_path / "broken.jsonl.gz", jsonl(RECORDS))
    write(tmp_path / "broken.parquet", b"PAR1 and so on")
    for ending in (".gz", ".zst", ".xz"):
        write(tmp_path / f"cut.jsonl{ending}", COMPRESS[ending](jsonl(RECORDS))[:-20])
    with pytest.raises(InputError, match=message) as error:
        everything(sources.read(spec, TEXT, str(tmp_path)))
    assert "\n" not in str(error.value)


def test_unknown_split_or_unit_is_refused(tmp_path):
    source = sources.read(write(tmp_path / "a.jsonl", jsonl(RECORDS)), TEXT)
    with pytest.raises(InputError, match="split = 'valid' .* Did you mean 'validation'"):
        source.list_shards("valid")
    with pytest.raises(InputError, match="unit 'x' isn't in"):
        list(source.records("train", "x"))


def test_fingerprint_names_files_sizes_and_options(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl(RECORDS))
    print_1 = sources.read(path, TEXT).fingerprint()
    assert print_1["files"] == [{"path": path, "size": len(jsonl(RECORDS))}]
    print_2 = sources.read({"paths": path, "id": None}, TEXT).fingerprint()
    assert json.dumps(print_1, sort_keys=True) != json.dumps(print_2, sort_keys=True)
