"""Sources: every format gives the same records however it's cut, and says what it can't read."""

import bz2
import gzip
import json
import lzma

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from polylm_jax import held_out
from polylm_jax.errors import InputError
from tasks import sources

TEXT = {"text": "text"}
PAIR = {"en": "en", "th": "th"}
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
RECORDS = [{"id": f"page {i}", "text": f"Ärger ขาว 空\n{i}" * (i % 7 + 1)} for i in range(40)]


def jsonl(records):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def everything(source, split="all"):
    return [r for unit in source.list_shards(split) for r in source.records(split, unit)]


def texts(source, split="all"):
    return [record["text"] for record in everything(source, split)]


def bad_lines(source):
    found = []
    source.on_bad_line = lambda *bad: found.append(bad)
    everything(source)
    return found


@pytest.mark.parametrize("ending", COMPRESS)
def test_jsonl_compressed_or_not(tmp_path, ending):
    path = write(tmp_path / f"a.jsonl{ending}", COMPRESS[ending](jsonl(RECORDS)))
    source = sources.read(path, TEXT)
    assert [(r["group"], r["text"]) for r in everything(source)] == [
        (r["id"], r["text"]) for r in RECORDS
    ]


def test_concatenated_compressed_parts_are_read_to_the_end(tmp_path):
    halves = jsonl(RECORDS[:20]), jsonl(RECORDS[20:])
    for ending, compress in COMPRESS.items():
        path = write(tmp_path / f"b.jsonl{ending}", b"".join(map(compress, halves)))
        assert len(texts(sources.read(path, TEXT))) == len(RECORDS)


@pytest.mark.parametrize("unit_bytes", [1, 7, 64, 1000, 1 << 20])
def test_units_give_each_line_once(tmp_path, unit_bytes):
    path = write(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + jsonl(RECORDS).rstrip(b"\n"))
    source = sources.read({"paths": path, "unit_bytes": unit_bytes}, TEXT)
    assert texts(source) == [record["text"] for record in RECORDS]
    size = len(jsonl(RECORDS)) + 2
    assert source.list_shards("train")[-1].endswith(f"-{size}")
    assert len(source.list_shards("train")) == -(-size // unit_bytes)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.sampled_from(["ก", "ab", "\n", "\n\n", " \n", "x\n", "\r\n"]), max_size=25),
    unit_bytes=st.integers(1, 30),
    documents=st.sampled_from(["line", "blank_lines"]),
)
def test_text_does_not_depend_on_units(tmp_path_factory, parts, unit_bytes, documents):
    path = write(tmp_path_factory.mktemp("text") / "a.txt", "".join(["a", *parts]))
    spec = {"paths": path, "documents": documents}
    whole = texts(sources.read(spec, TEXT))
    assert texts(sources.read({**spec, "unit_bytes": unit_bytes}, TEXT)) == whole
    lines = [line for line in "".join(["a", *parts]).split("\n") if line.strip()]
    assert "\n".join(whole).replace("\r", "").split("\n") == [x.replace("\r", "") for x in lines]


def test_text_between_blank_lines_as_cc100_comes(tmp_path):
    data = "ก ข\nค\n\n\nsecond\n \nthird".encode()
    path = write(tmp_path / "th.txt.xz", lzma.compress(data))
    source = sources.read({"paths": path, "documents": "blank_lines"}, TEXT)
    assert texts(source) == ["ก ข\nค", "second", "third"]
    assert everything(source)[1]["group"] == "second"


def test_text_files_are_documents_read_many_to_a_unit(tmp_path):
    for i in range(10):
        write(tmp_path / f"{i}.txt", f"Document {i}\n\nin lines\n")
    source = sources.read({"paths": "*.txt", "unit_bytes": 100}, TEXT, str(tmp_path))
    assert texts(source) == [f"Document {i}\n\nin lines" for i in range(10)]
    assert len(source.list_shards("train")) == 3


def test_a_huge_text_file_is_not_one_document(tmp_path):
    path = write(tmp_path / "a.txt.gz", gzip.compress(b"line\n" * (14 << 20), 1))
    with pytest.raises(InputError, match="documents='blank_lines'"):
        everything(sources.read(path, TEXT))


def test_fields_and_filters_by_name_and_nested(tmp_path):
    rows = [
        {"meta": {"pile_set_name": name, "key": i}, "content": f"text {i}"}
        for i, name in enumerate(["ArXiv", "Github", "Books3", "ArXiv"])
    ]
    path = write(tmp_path / "a.jsonl", jsonl([*rows, {"content": "no meta"}]))
    spec = {"paths": path, "text": "content", "id": "meta.key"}
    only = sources.read({**spec, "where": {"meta.pile_set_name": "ArXiv"}}, TEXT)
    assert [(r["group"], r["text"]) for r in everything(only)] == [("0", "text 0"), ("3", "text 3")]
    either = sources.read({**spec, "where": {"meta.pile_set_name": ["Github", "Books3"]}}, TEXT)
    assert texts(either) == ["text 1", "text 2"]
    without = sources.read({**spec, "where_not": {"meta.pile_set_name": "ArXiv"}}, TEXT)
    assert texts(without) == ["text 1", "text 2", "no meta"]
    assert not (only.bad_lines or either.bad_lines or without.bad_lines)


def test_tsv_by_name_and_by_number(tmp_path):
    path = write(tmp_path / "a.tsv", 'lang\ttext\n th\tสวัสดี "x"\nen\tHello\n\nen\n')
    named = sources.read({"paths": path, "unit_bytes": 9}, TEXT)
    assert texts(named) == ['สวัสดี "x"', "Hello"]
    assert named.bad_lines == 1
    numbered = sources.read({"paths": path, "text": 2, "id": 1}, TEXT)
    assert everything(numbered)[0]["group"] == "lang"
    english = sources.read({"paths": path, "where": {"lang": "en"}, "id": "lang"}, TEXT)
    assert texts(english) == ["Hello"]
    with pytest.raises(InputError, match="column 'txet'.*Did you mean 'text'"):
        everything(sources.read({"paths": path, "text": "txet"}, TEXT))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_parquet(tmp_path, ending):
    rows = [{"title": f"t{i}", "text": f"ก{i}", "meta": {"lang": "ab"[i % 2]}} for i in range(25)]
    rows[3]["text"] = ""
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=10)
    source = sources.read({"paths": str(path), "id": "title", "where": {"meta.lang": "b"}}, TEXT)
    assert len(source.list_shards("train")) == 3
    assert [r["group"] for r in everything(source)] == [f"t{i}" for i in range(1, 25, 2) if i != 3]
    assert [(line, reason) for _, line, reason, _ in bad_lines(source)] == [
        (4, "no text in field 'text'")
    ]
    with pytest.raises(InputError, match="column 'content' isn't in"):
        sources.read({"paths": str(path), "text": "content"}, TEXT).list_shards("train")


def test_parquet_with_text_that_is_not_utf8(tmp_path):
    bad = pyarrow.array([b"ok", b"\xff\xfe", b"fine"], pyarrow.binary()).view(pyarrow.string())
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": bad}), path)
    source = sources.read(str(path), TEXT)
    assert texts(source) == ["ok", "fine"]
    assert source.bad_lines == 1


@pytest.mark.parametrize("unit_lines", [1, 3, 1000])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_moses_files_are_aligned_by_line(tmp_path, unit_lines, ending):
    english = [f"Line {i}" for i in range(8)]
    thai = [f"บรรทัด {i}" for i in range(8)]
    thai[5] = ""
    paths = {
        "en": write(tmp_path / f"a.en{ending}", COMPRESS[ending]("\n".join(english).encode())),
        "th": write(
            tmp_path / f"a.th{ending}", COMPRESS[ending](("\n".join(thai) + "\n").encode())
        ),
    }
    spec = {"format": "moses", "paths": paths, "unit_lines": unit_lines}
    source = sources.read(spec, PAIR, held_out=0.0)
    pairs = [(r["en"], r["th"]) for r in everything(source)]
    assert pairs == [(e, t) for e, t in zip(english, thai) if t]
    assert [(line, reason) for _, line, reason, _ in bad_lines(source)] == [
        (6, "no text in language 'th'")
    ]


def test_moses_files_of_unequal_length_are_refused(tmp_path):
    paths = {"en": write(tmp_path / "a.en", "1\n2\n"), "th": write(tmp_path / "a.th", "1\n2\n3\n")}
    source = sources.read({"format": "moses", "paths": paths}, PAIR)
    with pytest.raises(
        InputError, match=r"unequal line counts \(.*a.en' has 2 and .*a.th' has 3\)"
    ):
        source.list_shards("train")
    write(tmp_path / "b.en", "1\n")
    globs = {"en": str(tmp_path / "*.en"), "th": str(tmp_path / "*.th")}
    with pytest.raises(InputError, match="unequal numbers of files"):
        sources.read({"format": "moses", "paths": globs}, PAIR).list_shards("train")


def test_bad_lines_are_reported_and_never_read(tmp_path):
    good = b'{"text": "good"}\n'
    lines = [
        good,
        b"{not json}\n",
        b'["a list"]\n',
        b'{"txet": "?"}\n',
        b'{"text": 7}\n',
        b'{"text": " "}\n',
        b"\n",
        b'{"text": "\xff"}\n',
        b'{"text": "half a pair: \\ud800"}\n',
        b'{"text": "whole: \\ud83d\\ude00"}\n',
        b"[" * 100_000 + b"\n",
        good,
    ]
    expected = [
        (2, "not JSON"),
        (3, "not a JSON object"),
        (4, "no text in field 'text'"),
        (5, "no text in field 'text'"),
        (6, "no text in field 'text'"),
        (8, "not UTF-8"),
        (9, "not UTF-8"),
        (11, "not JSON"),
    ]
    path = write(tmp_path / "a.jsonl", b"".join(lines))
    for unit_bytes in (1 << 20, 16):
        source = sources.read({"paths": path, "unit_bytes": unit_bytes}, TEXT)
        assert texts(source) == ["good", "whole: 😀", "good"]
        found = bad_lines(source)
        assert [(number, reason) for _, number, reason, _ in found] == expected
        assert all(p == path and raw == lines[number - 1] for p, number, _, raw in found)
        assert source.bad_lines == 2 * len(expected)


@pytest.mark.parametrize(("documents", "expected"), [("line", 3), ("blank_lines", 2), ("file", 1)])
def test_text_that_is_not_utf8_is_a_bad_line(tmp_path, documents, expected):
    path = write(tmp_path / "a.txt", b"one\ntwo\n\xff\n\nthree\n")
    source = sources.read({"paths": path, "documents": documents}, TEXT)
    assert [bad[1] for bad in bad_lines(source)] == [
        {"line": 3, "blank_lines": 1, "file": 1}[documents]
    ]
    assert len(texts(source)) == {"line": 3, "blank_lines": 1, "file": 0}[documents]


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


def test_pairs_without_id_agree_with_their_english_and_keep_held_out_text_out(tmp_path):
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


def prepared(folder, name, splits, features):
    """Metadata of a data set, as TFDS leaves it where it has prepared one."""
    config = name.split("/")[1]
    target = folder / name / str(tfds.builder(name, data_dir=str(folder)).version)
    target.mkdir(parents=True)
    about = {
        "name": name.split("/")[0],
        "version": target.name,
        "configName": config,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "shardLengths": [str(n) for n in lengths],
                "numBytes": "1000",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, lengths in splits.items()
        ],
    }
    (target / "dataset_info.json").write_text(json.dumps(about))
    tfds.features.FeaturesDict(dict.fromkeys(features, tfds.features.Text())).save_config(target)


def test_tfds_with_its_mock_data(tmp_path):
    prepared(tmp_path, "wikipedia/20230601.th", {"train": [3, 2]}, ["title", "text"])
    mc4 = ["content-length", "content-type", "text", "timestamp", "url"]
    prepared(tmp_path, "c4/multilingual", {"th": [4], "th-validation": [4]}, mc4)
    folder = {"data_dir": str(tmp_path)}
    with tfds.testing.mock_data(num_examples=20, data_dir=str(tmp_path)):
        wiki = sources.read(
            {"name": "wikipedia/20230601.th", "id": "title", **folder}, TEXT, held_out=0.3
        )
        assert wiki.list_shards("train") == (
            "wikipedia/20230601.th/1.0.0:train#0-1",
            "wikipedia/20230601.th/1.0.0:train#1-2",
        )
        train, validation = everything(wiki, "train"), everything(wiki, "validation")
        assert len(train) + len(validation) == 40 and train and validation
        assert {r["group"] for r in train}.isdisjoint(r["group"] for r in validation)
        assert set(train[0]) == {"text", "group", "held_out"}
        assert wiki.fingerprint()["files"] == [
            {"path": "wikipedia/20230601.th/1.0.0:train", "size": 1000}
        ]
        thai = sources.read({"name": "c4/multilingual", "split": "th", "id": "url", **folder}, TEXT)
        assert len(everything(thai)) == 20
        with pytest.raises(InputError, match="no split 'tj'.*Did you mean 'th'"):
            everything(sources.read({"name": "c4/multilingual", "split": "tj", **folder}, TEXT))
        with pytest.raises(InputError, match="feature 'titel'.*Did you mean 'title'"):
            spec = {"name": "wikipedia/20230601.th", "id": "titel", **folder}
            everything(sources.read(spec, TEXT))


def test_tfds_really_prepared(tmp_path):
    class Talks(tfds.core.GeneratorBasedBuilder):
        """A translation set of our own, built and read by TFDS itself."""

        VERSION = tfds.core.Version("1.0.0")
        name = "talks"

        def _info(self):
            pair = {"en": tfds.features.Text(), "th": tfds.features.Text()}
            features = {"talk": tfds.features.Text(), "translation": pair}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(1200):
                pair = {"en": f"Line {i}", "th": f"บรรทัด {i}" if i else ""}
                yield i, {"talk": f"talk {i // 10}", "translation": pair}

    Talks(data_dir=str(tmp_path)).download_and_prepare()
    columns = {"en": "translation.en", "th": "translation.th"}
    spec = {"name": "talks", "columns": columns, "id": "talk", "data_dir": str(tmp_path)}
    source = sources.read(spec, PAIR)
    pairs = everything(source)
    assert len(pairs) == 1199 and source.bad_lines == 1
    assert all(r["en"].split()[1] == r["th"].split()[1] for r in pairs)
    assert {r["group"] for r in pairs} == {f"talk {i}" for i in range(120)}


def test_tfds_says_what_it_cannot_prepare(tmp_path):
    for name, message in [
        ("the_pile", "TFDS has no builder for the Pile, CC-100 and WMT20"),
        ("wikipedia/20230601.xx", "can't open"),
        ("wikipedia/20230601.th", "isn't prepared in .*tfds build wikipedia/20230601.th"),
    ]:
        source = sources.read({"name": name, "data_dir": str(tmp_path)}, TEXT)
        with pytest.raises(InputError, match=message):
            source.list_shards("train")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none/*.jsonl", "paths: '.*none/.*jsonl' matches no file"),
        ("none.jsonl", "paths: '.*none.jsonl' isn't there"),
        ([], "ending"),
        ("text.docx", "format of '.*text.docx' can't be told"),
        ({"format": "jsonl"}, "has no 'paths'"),
        ({"format": "json", "paths": "a"}, "format is 'json'. Did you mean 'jsonl'"),
        ({"paths": "a.jsonl", "txt": "b"}, "option 'txt'.*Did you mean 'text'"),
        ({"paths": "a.txt", "documents": "lines"}, "documents is 'lines'. Did you mean 'line'"),
        ({"paths": "a.txt", "where": {"a": 1}}, "Text has no fields to filter by"),
        ({"paths": "empty.jsonl"}, "holds empty files only"),
        ({"paths": "a.jsonl", "columns": {"txt": "text"}}, r"\['text'\] are needed"),
        ("broken.jsonl.gz", "broken.jsonl.gz' ends early or isn't .gz data"),
        ("cut.jsonl.gz", "cut.jsonl.gz' ends early or isn't .gz data"),
        ("cut.jsonl.zst", "cut.jsonl.zst' ends early or isn't .zst data"),
        ("cut.jsonl.xz", "cut.jsonl.xz' ends early or isn't .xz data"),
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
    with pytest.raises(InputError, match="split is 'valid'. Did you mean 'validation'"):
        source.list_shards("valid")
    with pytest.raises(InputError, match="unit 'x' isn't in"):
        list(source.records("train", "x"))


def test_fingerprint_names_files_sizes_and_options(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl(RECORDS))
    print_1 = sources.read(path, TEXT).fingerprint()
    assert print_1["files"] == [{"path": path, "size": len(jsonl(RECORDS))}]
    print_2 = sources.read({"paths": path, "id": None}, TEXT).fingerprint()
    assert json.dumps(print_1, sort_keys=True) != json.dumps(print_2, sort_keys=True)
