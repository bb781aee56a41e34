"""The shared reader of text: every compression, every way that a file is broken, marks, JSON lines."""

import gzip
import io
import itertools
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import COMPRESS, RECORDS, TEXT, jsonl, texts, write

from polylm_jax.corpus.instructions.task import load_seeds
from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.sources import shards_of, sources_of
from polylm_jax.corpus.tally import Tally
from polylm_jax.errors import InputError
from polylm_jax.inference.generation import prompts
from polylm_jax.runtime.text_files import MARK, open_bytes, utf16
from polylm_jax.runtime.text_lines import json_lines, line_number, parse_json, read_lines
from tasks.benchmarks import records
from tasks.sources import source

SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"  # where `str.splitlines` cuts and JSON doesn't
PACKED = [ending for ending in COMPRESS if ending]


def lines(path, **options) -> list[bytes]:
    return [line for _, line in read_lines(str(path), **options)]


@pytest.mark.parametrize("ending", COMPRESS)
def test_lines_are_the_same_however_they_are_compressed(tmp_path, ending):
    parts = jsonl(RECORDS[:20]), jsonl(RECORDS[20:])
    path = write(tmp_path / f"a.jsonl{ending}", b"".join(map(COMPRESS[ending], parts)))
    assert b"".join(lines(path)) == jsonl(RECORDS)
    assert b"".join(lines(path, max_line=10_000)) == jsonl(RECORDS)


@pytest.mark.parametrize("ending", PACKED)
def test_a_cut_or_changed_file_is_named_in_one_sentence(tmp_path, ending):
    whole = COMPRESS[ending](jsonl(RECORDS))
    path = tmp_path / f"a.jsonl{ending}"
    refused = 0
    for cut in range(1, len(whole), max(1, len(whole) // 60)):
        write(path, whole[:cut])
        with pytest.raises(InputError, match="ends early or isn't"):
            lines(path)
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        write(path, whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            lines(path)
        except InputError as error:
            refused += "\n" not in str(error) and f"a.jsonl{ending}" in str(error)
    assert refused > 30  # bytes of a header that nobody reads, such as gzip's time, may change


@pytest.mark.parametrize("window", [27, 28, 31])
def test_zstd_windows_above_128_mib(tmp_path, window):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(jsonl(RECORDS)) + compressor.flush()  # a stream: no size in its head
    assert b"".join(lines(write(tmp_path / "a.jsonl.zst", data))) == jsonl(RECORDS)


def test_zstd_frames_that_are_to_be_skipped(tmp_path):
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"  # as pzstd writes between its frames
    data = skippable + COMPRESS[".zst"](jsonl(RECORDS)) + skippable
    assert b"".join(lines(write(tmp_path / "a.jsonl.zst", data))) == jsonl(RECORDS)


@settings(max_examples=80, deadline=None)
@given(
    parts=st.lists(st.sampled_from(["ก", "ab", "\n", "\u2028", "\x85", "\r\n", " "]), max_size=25),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_ranges_cut_anywhere_give_each_line_once(tmp_path_factory, parts, cuts):
    data = "".join(parts).encode()
    path = write(tmp_path_factory.getbasetemp() / "ranges.txt", data)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    found = [
        (offset, line)
        for start, stop in itertools.pairwise(bounds)
        for offset, line in read_lines(path, start, stop)
    ]
    assert b"".join(line for _, line in found) == data
    assert [line for _, line in found] == list(io.BytesIO(data))
    for offset, _ in found:
        assert line_number(path, offset) == 1 + data[:offset].count(b"\n")


def test_byte_order_marks_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "a.txt", MARK + b"one\n" + MARK + b"two" + MARK + b"three\n")
    assert list(read_lines(path)) == [(0, b"one\n"), (7, b"twothree\n")]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), max_size=8), limit=st.integers(1, 20))
def test_a_long_line_comes_cut_and_the_next_is_whole(tmp_path_factory, sizes, limit):
    whole = [b"x" * size + b"\n" for size in sizes]
    path = write(tmp_path_factory.getbasetemp() / "long.txt", b"".join(whole))
    found = list(read_lines(path, max_line=limit))
    assert [line[: limit + 1] for line in whole] == [line for _, line in found]
    assert [offset for offset, _ in found] == [
        sum(map(len, whole[:number])) for number in range(len(whole))
    ]


TEXTS = {
    "Latin": "Hadithi ya 1: mvuvi alipata samaki.\nWatoto wale.\n",
    "Thai": "ชาวประมงจับปลาได้เจ็ดตัวในทะเลสาบ\n",
    "Cyrillic": "Рыбак поймал семь рыб в озере.\n",
    "Devanagari": "मछुआरे ने झील में सात मछलियाँ पकड़ीं।\n",
    "Tamil": "மீனவர் ஏரியில் ஏழு மீன்களைப் பிடித்தார்.\n",
    "Arabic": "اصطاد الصياد سبع سمكات في البحيرة.\n",
}


@pytest.mark.parametrize("script", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_utf16_is_refused_by_name_and_utf8_never(tmp_path, script, encoding):
    text = TEXTS[script] * 20
    path = write(tmp_path / "a.txt", text.encode(encoding))
    with pytest.raises(InputError, match=r"a.txt' is UTF-(16|32).*iconv"):
        lines(path)
    assert not utf16(text.encode()) and not utf16(MARK + text.encode())


@pytest.mark.parametrize("data", [b"", b"\n\n\n\n", b"a\nb\nc\nd\n", b"1\t2\t3\t4\t5\t", b"x\0y\n"])
def test_what_is_odd_and_still_utf8(data):
    assert not utf16(data)


def test_json_lines_keep_what_splitlines_would_cut(tmp_path):
    text = "a".join(SEPARATORS[:3])
    rows = [{"text": text}, {"text": "b"}]
    data = "\ufeff" + "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    path = write(tmp_path / "a.jsonl", data)
    assert list(json_lines(path, "PROMPTS")) == list(enumerate(rows, 1))
    path = write(tmp_path / "b.json", "\ufeff " + json.dumps(rows, ensure_ascii=False))
    assert list(json_lines(path, "PROMPTS", array=True)) == list(enumerate(rows, 1))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"a": 1}\n{"a": \n', "PROMPTS = .*a.jsonl', line 2 is not JSON"),
        (b"7\n", "line 1 is not a JSON object"),
        (b'{"a": "\xff"}\n', "line 1 is not UTF-8"),
        (b'\n{"a": ["\\ud800"]}\n', "line 2 has half a surrogate pair"),
        (b'{"\\udfff": 1}\n', "line 1 has half a surrogate pair"),
        (b"[" * 100_000 + b"\n", "line 1 is not JSON"),
        ('{"a": 1}\n'.encode("utf-16"), "PROMPTS: .*a.jsonl' is UTF-16LE"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path, data, sentence):
    path = write(tmp_path / "a.jsonl", data)
    with pytest.raises(InputError, match=sentence) as error:
        list(json_lines(path, "PROMPTS"))
    assert "\n" not in str(error.value)


def test_a_huge_integer_is_read(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"a": 12345678901234567890123}')
    assert len(list(json_lines(path, "PROMPTS"))) == 1
    path = write(tmp_path / "b.jsonl", b'{"a": 12345678901234567890123, "b": "\\ud800"}')
    with pytest.raises(InputError, match="half a surrogate pair"):
        list(json_lines(path, "PROMPTS"))


def test_not_a_number_is_read_and_is_no_text():
    found = parse_json(b'{"id": NaN, "x": Infinity, "text": "a"}')
    assert found["text"] == "a" and found["id"] != found["id"]


@pytest.mark.parametrize(
    ("name", "reason"), [("none.txt", "No such file"), ("", "directory"), ("a\0b", "null byte")]
)
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name, reason):
    with (
        pytest.raises(InputError, match=f"SEEDS: .*can't be read .*{reason}"),
        open_bytes(str(tmp_path / name), "SEEDS"),
    ):
        pass


def test_a_name_that_is_not_utf8_is_read_and_shown(tmp_path):
    name = str(tmp_path) + "/\udcff.jsonl"
    with open(name, "wb") as file:
        file.write(jsonl(RECORDS))
    assert b"".join(lines(name)) == jsonl(RECORDS)
    with pytest.raises(InputError, match=r"\\xff2") as error:
        lines(str(tmp_path) + "/\udcff2.jsonl")
    str(error.value).encode()


def test_what_a_caller_raises_while_reading_stays_its_own(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(jsonl(RECORDS)))
    with pytest.raises(OSError, match="disk full"), open_bytes(path):
        raise OSError("disk full")


def by_generate(path: str) -> list[str]:
    return [item.prompt.text for item in prompts.read(path, prompts.Options())]


def by_self_instruct(path: str) -> list[str]:
    return [seed.task.instruction for seed in load_seeds(path)]


def by_tasks(path: str) -> list[str]:
    return texts(source.read({"paths": path, "text": "prompt", "id": None}, TEXT))


def by_corpus(path: str) -> list[str]:
    tally = Tally(f"{path}.counts")
    shards = shards_of(sources_of({"x": {"files": path, "text": "prompt"}}), 1 << 20)
    return [document.text for document in ReadShards(shards, tally).run(rank=0)]


def by_a_benchmark(path: str) -> list[str]:
    found = records.READERS["jsonl"](records.Published("jsonl", path))
    return [record["prompt"] for _, record in found]


READERS = [by_generate, by_self_instruct, by_tasks, by_corpus, by_a_benchmark]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_every_reader_of_json_lines_reads_the_same_lines(tmp_path, read):
    """Characters at which `str.splitlines` cuts, marks of joined files, and both line ends."""
    said = [f"one{mark}two {n}" for n, mark in enumerate(SEPARATORS[:3])]
    rows = [{"prompt": text} for text in said]
    if read is by_self_instruct:
        said = [*said[:2], "three"]  # U+0085 is a control character, which it refuses in a seed
        rows = [{"instruction": text, "output": "an answer"} for text in said]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path = write(tmp_path / "a.jsonl", "\r\n".join("\ufeff" + line for line in lines) + "\n\n")
    assert read(path) == said
