"""Every reader with every kind of broken file: counted, refused in a sentence, or right; no traceback."""

import io
import json
import random

import pyarrow
import pyarrow.parquet
import pytest
from reading import COMPRESS, PAIR, TEXT, bad_lines, everything, jsonl, texts, write

from polylm_jax.errors import InputError
from tasks.sources import source

ROWS = [
    {"id": str(n), "text": f"ก ข {n}\u2028{'x' * n}", "en": f"e{n}", "th": f"ท{n}"}
    for n in range(60)
]


def parquet(rows, **options) -> bytes:
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target, **options)
    return target.getvalue()


def lines_of(name: str) -> bytes:
    return "".join(row[name] + "\n" for row in ROWS).encode()


WHOLE = {  # reader -> (file name -> bytes, spec, columns)
    "jsonl": ({"a.jsonl": jsonl(ROWS)}, "a.jsonl", TEXT),
    "tsv": ({"a.tsv": b"en\tth\n" + lines_of("en").replace(b"\n", b"\tt\n")}, "a.tsv", PAIR),
    "line": ({"a.txt": lines_of("en")}, {"paths": "a.txt", "documents": "line"}, TEXT),
    "paragraph": (
        {"a.txt": lines_of("en").replace(b"\n", b"\n\n")},
        {"paths": "a.txt", "documents": "blank_lines"},
        TEXT,
    ),
    "file": ({"a.txt": lines_of("en")}, {"paths": "a.txt", "documents": "file"}, TEXT),
    "moses": (
        {"a.en": lines_of("en"), "a.th": lines_of("th")},
        {"format": "moses", "paths": {"en": "a.en", "th": "a.th"}},
        PAIR,
    ),
    "parquet": ({"a.parquet": parquet(ROWS, row_group_size=20)}, "a.parquet", TEXT),
    "zstd parquet": ({"a.parquet": parquet(ROWS, compression="zstd")}, "a.parquet", TEXT),
}
for _ending in (e for e in COMPRESS if e):
    _name = f"a.jsonl{_ending}"
    WHOLE[_name] = ({_name: COMPRESS[_ending](jsonl(ROWS))}, _name, TEXT)
UTF16 = {kind for kind in WHOLE if "parquet" not in kind and not kind.startswith("a.")}


def damaged(data: bytes, kind: str, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    if kind == "byte":
        return data[:place] + bytes([data[place] ^ rng.randrange(1, 256)]) + data[place + 1 :]
    if kind == "cut":
        return data[:place]
    if kind == "zeros":
        return data[:place] + bytes(min(64, len(data) - place)) + data[place + 64 :]
    if kind == "ones":
        return data[:place] + b"\xff" * 4 + data[place + 4 :]
    return data + rng.randbytes(50)


@pytest.mark.parametrize("kind", ["byte", "cut", "zeros", "ones", "tail"])
@pytest.mark.parametrize("reader", WHOLE)
def test_a_damaged_file_is_counted_refused_or_right(tmp_path, reader, kind):
    contents, spec, columns = WHOLE[reader]
    rng = random.Random(f"{reader} {kind}")
    for name, data in contents.items():
        write(tmp_path / name, data)
    reference = everything(source.read(spec, columns, str(tmp_path)))
    assert reference
    name, data = next(iter(contents.items()))
    for _ in range(25):
        write(tmp_path / name, damaged(data, kind, rng))
        read = source.read(spec, columns, str(tmp_path))
        try:
            found = everything(read)
        except InputError as error:
            assert "\n" not in str(error) and name in str(error), error
            continue
        for record in found:
            assert all(isinstance(v, str | bool) for v in record.values())
            assert not any("\0" in record[column] for column in columns)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("reader", sorted(UTF16))
def test_utf16_is_refused_by_every_reader_of_text(tmp_path, reader, encoding):
    contents, spec, columns = WHOLE[reader]
    for name, data in contents.items():
        write(tmp_path / name, data.decode().encode(encoding))
    with pytest.raises(InputError, match="is UTF-16.*iconv"):
        everything(source.read(spec, columns, str(tmp_path)))


@pytest.mark.parametrize("reader", sorted(UTF16))
def test_marks_of_joined_files_leave_no_trace(tmp_path, reader):
    contents, spec, columns = WHOLE[reader]
    for name, data in contents.items():
        write(tmp_path / name, data)
    plain = everything(source.read(spec, columns, str(tmp_path)))
    for name, data in contents.items():
        marked = b"\n".join(b"\xef\xbb\xbf" + line for line in data.rstrip(b"\n").split(b"\n"))
        write(tmp_path / name, marked + data[len(data.rstrip(b"\n")) :])
    assert everything(source.read(spec, columns, str(tmp_path))) == plain


@pytest.mark.parametrize("documents", ["line", "blank_lines", "file"])
def test_nul_bytes_are_no_text(tmp_path, documents):
    write(
        tmp_path / "a.txt",
        b"one line of text\n\nt\0o of some text and another line of text\n\nend\n" * 9,
    )
    spec = {"paths": "a.txt", "documents": documents}
    read = source.read(spec, TEXT, str(tmp_path))
    assert {reason for _, _, reason, _ in bad_lines(read)} == {"NUL bytes"}
    assert not any("\0" in text for text in texts(source.read(spec, TEXT, str(tmp_path))))


MISSING = {"NaN": float("nan"), "null": None, "absent": ..., "Infinity": float("inf"), "empty": ""}


@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("file", ["a.jsonl", "a.parquet"])
def test_a_missing_value_is_no_id(tmp_path, file, value):
    rows = [{"text": f"text {n}"} | ({} if value is ... else {"id": value}) for n in range(40)]
    data = parquet(rows) if file == "a.parquet" else "".join(json.dumps(r) + "\n" for r in rows)
    write(tmp_path / file, data)
    groups = {record["group"] for record in everything(source.read(file, TEXT, str(tmp_path)))}
    assert len(groups) == 40


@pytest.mark.parametrize("kind", [pyarrow.binary(), pyarrow.large_binary(), pyarrow.large_string()])
def test_binary_columns_of_utf8_are_text(tmp_path, kind):
    values = [row["text"].encode() for row in ROWS]
    table = pyarrow.table({"text": pyarrow.array(values, pyarrow.binary()).cast(kind)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert texts(source.read("a.parquet", TEXT, str(tmp_path))) == [row["text"] for row in ROWS]


def test_bytes_that_are_not_utf8_are_counted_as_such(tmp_path):
    array = pyarrow.array([b"fine", b"\xff\xfe", b"ok"], pyarrow.binary())
    for column in (array, array.view(pyarrow.string())):
        pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
        read = source.read("a.parquet", TEXT, str(tmp_path))
        assert [(n, reason) for _, n, reason, _ in bad_lines(read)] == [(2, "not UTF-8")]


def test_a_column_whose_name_has_a_dot(tmp_path):
    rows = [{"doc.text": f"t{n}", "meta": {"id": n}, "lang.id": "ab"[n % 2]} for n in range(6)]
    write(tmp_path / "a.parquet", parquet(rows))
    spec = {"paths": "a.parquet", "text": "doc.text", "id": "meta.id", "where": {"lang.id": "a"}}
    found = everything(source.read(spec, TEXT, str(tmp_path)))
    assert [(r["text"], r["group"]) for r in found] == [("t0", "0"), ("t2", "2"), ("t4", "4")]


def test_tiny_row_groups_are_read_together(tmp_path):
    rows = [{"text": f"t{n}" if n != 777 else ""} for n in range(2000)]
    write(tmp_path / "a.parquet", parquet(rows, row_group_size=5))
    read = source.read("a.parquet", TEXT, str(tmp_path))
    assert len(read.list_shards("all")) == 1
    assert texts(read) == [row["text"] for row in rows if row["text"]]
    assert [n for _, n, _, _ in bad_lines(read)] == [778]


@pytest.mark.parametrize("file", ["a.jsonl", "a.tsv", "a.parquet"])
@pytest.mark.parametrize("option", ["where", "where_not"])
def test_a_filter_on_a_field_that_nothing_has_is_told(tmp_path, file, option):
    rows = [{"lang": "sw", "text": f"t{n}"} for n in range(20)]
    data = {"a.jsonl": jsonl(rows), "a.parquet": parquet(rows)}.get(file) or b"lang\ttext\nsw\tx\n"
    write(tmp_path / file, data)
    spec = {"paths": file, "id": None, option: {"lnag": "sw"}}
    (said,) = source.read(spec, TEXT, str(tmp_path)).reader.unknown_filters()
    assert f"{option}: no record has the field 'lnag'" in said and "'lang'?" in said
    spec[option] = {"lang": "sw"}
    assert source.read(spec, TEXT, str(tmp_path)).reader.unknown_filters() == []
