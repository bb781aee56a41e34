"""Formats: JSONL, TSV and text give the same records however they are cut, and say what is bad."""

import gzip
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import COMPRESS, RECORDS, TEXT, bad_lines, everything, jsonl, texts, write

from polylm_jax.errors import InputError
from tasks.sources import source as sources


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


@pytest.mark.parametrize(
    ("documents", "bad_line", "read"),
    [("line", 3, ["one", "two", "three"]), ("blank_lines", 1, ["three"]), ("file", 1, [])],
)
def test_text_that_is_not_utf8_is_a_bad_line(tmp_path, documents, bad_line, read):
    path = write(tmp_path / "a.txt", b"one\ntwo\n\xff\n\nthree\n")
    source = sources.read({"paths": path, "documents": documents}, TEXT)
    assert [(number, reason) for _, number, reason, _ in bad_lines(source)] == [
        (bad_line, "not UTF-8")
    ]
    assert texts(source) == read
