"""Reading raw text: every format, every way that a file can be broken, and shards that lose nothing."""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import random

import pyarrow
import pyarrow.parquet
import pytest
import toy_corpus
import zstandard

from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.sources import shards_of, sources_of
from polylm_jax.corpus.tally import Tally
from polylm_jax.errors import InputError


def read(tmp_path: pathlib.Path, what, shard_bytes: int = 1 << 20, max_line: int = 1 << 20):
    """(documents, counts of what was refused) of one source."""
    tally = Tally(str(tmp_path / "counts"))
    shards = shards_of(sources_of({"crawl": what}, str(tmp_path)), shard_bytes)
    reader = ReadShards(shards, tally, max_line)
    documents = [d for rank in range(len(shards)) for d in reader.run(rank=rank)]
    refused = {key[3]: n for key, (n, _) in tally.counts.items() if key[0] == "reading"}
    return documents, refused


@pytest.mark.parametrize("shard_bytes", [1, 7, 100, 5000])
def test_byte_ranges_cut_anywhere_read_every_line_once(tmp_path, shard_bytes):
    rows = [{"id": str(n), "text": "ก" * (n % 9 + 1)} for n in range(50)]
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", rows)
    documents, _ = read(tmp_path, "a.jsonl", shard_bytes)
    assert [(d.id, d.text) for d in documents] == [(row["id"], row["text"]) for row in rows]


def test_broken_lines_are_counted_by_reason(tmp_path):
    rows = [
        {"text": "fine"},
        b'{"text": "cut',
        b"\x93\xfa\x96\x7b",
        b"7",
        {"text": 7},
        {"other": "x"},
        b"",
    ]
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", [*rows, {"id": 3, "text": "also fine"}])
    documents, refused = read(tmp_path, "a.jsonl")
    assert [(d.id, d.text) for d in documents] == [("a.jsonl@0", "fine"), ("3", "also fine")]
    assert refused == {"not JSON": 1, "not UTF-8": 1, "not a JSON object": 1, "no text": 2}


def test_a_hundred_megabyte_line_is_counted_and_never_held(tmp_path):
    import tracemalloc

    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"text": "after"}\n')
    tracemalloc.start()
    documents, refused = read(tmp_path, "a.jsonl", shard_bytes=64_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [d.text for d in documents] == ["before", "after"]
    assert refused == {"over 1 MiB": 1} and peak < 10_000_000


def test_compressed_files_and_a_byte_order_mark(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.write(b'\xef\xbb\xbf{"text": "one"}\n{"text": "two"}\n')
    assert [d.text for d in read(tmp_path, "a.jsonl.gz")[0]] == ["one", "two"]


PACKERS = {
    "gz": gzip.compress,
    "zst": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
    "xz": lzma.compress,
    "bz2": bz2.compress,
}


@pytest.mark.parametrize("ending", PACKERS)
def test_compressed_members_are_read_and_a_cut_is_said(ending, tmp_path):
    rows = [json.dumps({"id": n, "text": f"text {random.Random(n).random()}"}) for n in range(9000)]
    parts = ["\n".join(rows[n : n + 3000]) + "\n" for n in range(0, 9000, 3000)]
    packed = b"".join(PACKERS[ending](part.encode()) for part in parts)
    (tmp_path / f"a.jsonl.{ending}").write_bytes(packed)
    documents, refused = read(tmp_path, f"a.jsonl.{ending}")
    assert len(documents) == 9000 and not refused
    (tmp_path / f"b.jsonl.{ending}").write_bytes(packed[: -len(packed) // 5])
    documents, refused = read(tmp_path, f"b.jsonl.{ending}")
    assert 3000 <= len(documents) < 9000 and refused == {"broken file": 1}
    assert all(d.text.startswith("text 0.") and len(d.text) > 12 for d in documents)


def test_parquet_by_row_groups(tmp_path):
    table = pyarrow.table(
        {"content": [f"text {n}" for n in range(10)], "url": ["u"] * 10, "n": range(10)}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    what = {"files": "a.parquet", "text": "content", "id": "n", "keep": ("url",)}
    documents, _ = read(tmp_path, what, shard_bytes=1)
    assert [(d.id, d.text) for d in documents] == [(str(n), f"text {n}") for n in range(10)]
    assert documents[0].metadata["kept"] == {"url": "u"}
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:200])
    documents, refused = read(tmp_path, {"files": ("b.parquet", "a.parquet"), "text": "content"})
    assert len(documents) == 10 and refused == {"broken file": 1}


def test_a_broken_row_group_is_passed(tmp_path):
    words = [f"text {random.Random(n).random()}" for n in range(3000)]
    pyarrow.parquet.write_table(pyarrow.table({"text": words}), tmp_path / "a.parquet",
                                row_group_size=1000, use_dictionary=False)  # fmt: skip
    raw = bytearray((tmp_path / "a.parquet").read_bytes())
    where = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata.row_group(1).column(0)
    for place in range(where.data_page_offset, where.data_page_offset + 200):
        raw[place] ^= 255
    (tmp_path / "a.parquet").write_bytes(raw)
    documents, refused = read(tmp_path, "a.parquet", shard_bytes=1)
    assert [d.text for d in documents] == words[:1000] + words[2000:]
    assert refused == {"broken row group": 1}


def test_a_crawls_extracted_text(tmp_path):
    from warcio.warcwriter import WARCWriter

    with (tmp_path / "a.warc.wet.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for n, kind in enumerate(["warcinfo", "conversion", "conversion"]):
            headers = {"WARC-Date": "2026-01-01T00:00:00Z"}
            record = writer.create_warc_record(
                f"https://a.example/{n}", kind, payload=io.BytesIO("ข้อความ".encode()), length=21,
                warc_content_type="text/plain", warc_headers_dict=headers)  # fmt: skip
            writer.write_record(record)
    documents, _ = read(tmp_path, {"files": "a.warc.wet.gz", "format": "wet", "keep": ("url",)})
    assert [d.text for d in documents] == ["ข้อความ"] * 2
    assert documents[1].metadata["kept"] == {"url": "https://a.example/2"}


@pytest.mark.parametrize(("documents", "expected"), [("line", ["a", "b", "c"]), ("blank_lines", ["a\nb", "c"]),
                                                     ("file", ["a\nb\n\nc"])])  # fmt: skip
def test_plain_text_by_lines_paragraphs_or_files(tmp_path, documents, expected):
    (tmp_path / "a.txt").write_text("a\nb\n\nc\n")
    found, _ = read(tmp_path, {"files": "a.txt", "documents": documents})
    assert [d.text.strip() for d in found] == expected


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ({}, "SOURCES is empty"),
        ({"a": {"file": "x"}}, "no option 'file'. Did you mean 'files'"),
        ({"a": {"text": "x"}}, "needs 'files'"),
        ({"a": "nothing/*.jsonl"}, "matches no file"),
        ({"a": "empty.jsonl"}, "is empty: its files hold no bytes"),
        ({"a": "a.bin"}, "the format of .* isn't known"),
        ({"a": {"files": "a.jsonl", "language": "xx"}}, "language 'xx' isn't known"),
        ({"a": {"files": "a.jsonl", "pair": "ende"}}, "two languages, as in 'en-de'"),
        ({"a": {"files": "a.txt", "documents": "page"}}, "documents is 'page'"),
    ],
)
def test_a_wrong_source_is_said_before_anything_is_read(tmp_path, sources, sentence):
    (tmp_path / "empty.jsonl").touch()
    for name in ("a.bin", "a.jsonl", "a.txt"):
        (tmp_path / name).write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match=sentence):
        shards_of(sources_of(sources, str(tmp_path)), 1000)


def test_a_source_in_a_wrong_encoding_stops_the_run(tmp_path):
    lines = "".join(json.dumps({"text": "文字"}, ensure_ascii=False) + "\n" for _ in range(5))
    (tmp_path / "a.jsonl").write_bytes(lines.encode("shift_jis"))
    with pytest.raises(InputError, match=r"SOURCES\['sjis'\] gave no document \(5 not UTF-8\)"):
        toy_corpus.clean(tmp_path, {"sjis": "a.jsonl"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"executor": "slrum"}, "EXECUTOR = 'slrum'.*Did you mean 'slurm'"),
        ({"min_confidence": 2}, "min_confidence = 2: give a number, from 0 to 1"),
        ({"max_broken": -1}, "max_broken = -1: give a number, from 0 to 1"),
        ({"shard_mb": 0}, "shard_mb = 0: give a number, above 0"),
        ({"minhash_bands": 0}, "minhash_bands = 0: give a whole number, 1 or more"),
        ({"lid_model": "nothing.bin"}, "LID_MODEL = 'nothing.bin' isn't there"),
        ({"limits": {"Thai": {"digit": (0, 1)}}}, "no rule 'digit'. Did you mean 'digits'"),
        ({"gold": {"en": "gold.txt"}}, "isn.t there"),
        ({"gold": {"en": "a.jsonl"}, "classifier": "svm"}, "CLASSIFIER is 'svm'"),
        ({"benchmarks": {"x": {"files": "a.jsonl"}}}, "needs 'files' and 'fields'"),
        ({"languages": ("en", "thai language")}, "isn't known"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused_with_one_sentence(tmp_path, options, sentence):
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    with pytest.raises(InputError, match=sentence):
        toy_corpus.clean(tmp_path, {"a": "a.jsonl"}, **options)
    assert not (tmp_path / "out").exists()
