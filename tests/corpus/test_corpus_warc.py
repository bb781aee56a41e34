"""WARC and WET files as they come: whole records are given, nothing else is, and every fault is told."""

import gzip
import io
import json
import pathlib
import random
import sys

import pytest
import toy_corpus
import zstandard

from polylm_jax.corpus import members, pages, warc
from polylm_jax.errors import InputError

TEXTS = [f"Text {n}: {' '.join(['สวัสดี world'] * (n % 4 + 1))}\r\n\r\nand more." for n in range(9)]


def record(text: str, kind: str = "conversion", length: str = "", name: str = "x") -> bytes:
    body = text.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://a.example/{name}\r\n"
        f"WARC-Record-ID: <urn:{name}>\r\nContent-Length: {length or len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


RECORDS = [record("software: test", "warcinfo"), *map(record, TEXTS)]
PLAIN = b"".join(RECORDS)
BGZIP = b"".join(gzip.compress(PLAIN[n : n + 200]) for n in range(0, len(PLAIN), 200))
WHOLE = {
    "plain": PLAIN,
    "member each": b"".join(map(gzip.compress, RECORDS)),
    "one member": gzip.compress(PLAIN),
    "members anywhere": BGZIP,
    "zeros": b"".join(map(gzip.compress, RECORDS)) + bytes(512),
    "empty members": b"".join(gzip.compress(r) + gzip.compress(b"") for r in RECORDS),
    "zstd": b"".join(map(zstandard.ZstdCompressor(write_checksum=True).compress, RECORDS)),
}


def read(raw: bytes) -> tuple[list[str], list[str]]:
    """(texts, faults) of a file."""
    kind = members.kind_of(raw[:8], "")
    found = list(warc.records(members.READERS[kind](io.BytesIO(raw)), 1 << 20))
    faults = [f.reason for f in found if isinstance(f, warc.Fault)]
    return [r.block.decode() for r in found if isinstance(r, warc.Record)][1:], faults


def ends_with_a_record(raw: bytes) -> bool:
    pieces = members.READERS[members.kind_of(raw[:8], "")](io.BytesIO(raw))
    plain = b"".join(data for what, data in pieces if what == members.DATA).rstrip()
    return plain in {b"".join(RECORDS[:n]).rstrip() for n in range(len(RECORDS) + 1)}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files_of_every_kind_are_read(kind):
    assert read(WHOLE[kind]) == (TEXTS, [])


@pytest.mark.parametrize("kind", ["plain", "member each", "one member", "members anywhere", "zstd"])
def test_a_cut_record_is_never_kept_and_is_counted(kind):
    raw = WHOLE[kind]
    for place in range(len(gzip.compress(RECORDS[0])) + 400, len(raw) - 4, 7):
        texts, faults = read(raw[:place])
        assert texts == TEXTS[: len(texts)], place
        assert faults == [warc.EARLY] or (not faults and ends_with_a_record(raw[:place])), place
    assert len(read(raw[: len(raw) - 6])[0]) >= 8


@pytest.mark.parametrize("kind", ["member each", "zstd"])
def test_a_flipped_byte_costs_one_record_and_is_told(kind):
    raw, rng = WHOLE[kind], random.Random(0)
    for _ in range(60):
        broken = bytearray(raw)
        broken[rng.randrange(12, len(raw))] ^= 1 << rng.randrange(8)
        texts, faults = read(bytes(broken))
        assert set(texts) <= set(TEXTS) and len(texts) >= 7, faults
        assert len(texts) == 9 or faults, "a record that went in silence"


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        (record(TEXTS[4], length="abc"), 1),
        (record(TEXTS[4], length=str(len(TEXTS[4].encode()) + 37)), 1),
        (record(TEXTS[4], length="999999"), 1),
        (record(TEXTS[4], length=str(len(TEXTS[4].encode()) - 9)), 1),
        (record(TEXTS[4], length="-5"), 1),
        (b"<html>gateway timeout</html>\r\n\r\n", 1),
        (b"\0" * 90_000 + b"\r\n", 1),
        (record(TEXTS[4])[:60] + b"\r\n\r\n", 1),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_broken_record_is_told_and_the_next_one_read(broken, lost, pack):
    records = [*RECORDS[:5], broken, *RECORDS[6:]]
    texts, faults = read(b"".join(map(pack, records)))
    assert texts == TEXTS[:4] + TEXTS[5:] and faults == [warc.BROKEN] * lost


def test_a_record_over_the_limit_is_never_held():
    raw = b"".join([RECORDS[0], record("x" * 3_000_000), RECORDS[1]])
    texts, faults = read(raw)
    assert texts == TEXTS[:1] and faults == [warc.LONG]


def test_a_dictionary_in_the_first_frame_is_used():
    dictionary = zstandard.train_dictionary(
        2000, [record(f"{t} {n}") for t in TEXTS for n in range(40)]
    )
    data = dictionary.as_bytes()
    first = b"\x5d\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data
    packed = map(zstandard.ZstdCompressor(dict_data=dictionary).compress, RECORDS)
    assert read(first + b"".join(packed)) == (TEXTS, [])


PAGE = (
    "<!doctype html><html><head><title>T</title><meta charset={0}></head><body><nav><ul>"
    "<li><a href=/>Home</a></li><li><a href=/b>About us</a></li></ul></nav><div class=cookie-banner>"
    "We use cookies. <button>Accept</button></div><main><article><h1>{1}</h1><p>{2}</p><p>{2} {1}</p>"
    "</article></main><footer>All rights reserved</footer></body></html>"
)


def response(page: str, encoding: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    body = gzip.compress(page.encode(encoding))
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Encoding: gzip\r\n\r\n".encode()
    block = head + body
    about = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x>\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(about.encode() + block + b"\r\n\r\n")


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_pages_are_extracted_without_their_menus(extractor, tmp_path):
    for package in (extractor, "webencodings"):
        pytest.importorskip(package)
    codes = {"ru": "windows-1251", "zh": "gb2312", "en": "utf-8"}
    pages = [
        response(PAGE.format(encoding, code, toy_corpus.document(code, 1)), encoding)
        for code, encoding in codes.items()
    ]
    pages += [response("gone", "utf-8", "404 Not Found"), response("{}", "utf-8", kind="text/json")]
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(RECORDS[0]) + b"".join(pages))
    what = {"files": "a.warc.gz", "html": extractor}
    report = toy_corpus.clean(tmp_path, {"crawl": what})
    for code in codes:
        (row,) = toy_corpus.read(tmp_path / "out", code)
        said = toy_corpus.document(code, 1).split("\n")[0]
        assert (
            said[:20] in row["text"] and "cookies" not in row["text"] and "About" not in row["text"]
        )
    dropped = report["sources"]["crawl"]["dropped"]
    assert dropped["reading: HTTP status"] == dropped["reading: no HTML"] == 1


def test_a_missing_extractor_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    pages._extractor.cache_clear()
    (tmp_path / "a.warc.gz").write_bytes(response("<p>hi</p>", "utf-8"))
    with pytest.raises(InputError, match="HTML, and trafilatura isn't installed.*pip install traf"):
        toy_corpus.clean(tmp_path, {"crawl": "a.warc.gz"})
    assert not (tmp_path / "work").exists()


def faulty(folder: pathlib.Path) -> dict[str, str]:
    """A file for each kind of fault -> what is said of it."""
    texts = [record(toy_corpus.document(code, n)) for n in range(8) for code in ("en", "de")]
    each, one = b"".join(map(gzip.compress, texts)), gzip.compress(b"".join(texts))
    flipped = bytearray(each)
    flipped[len(each) // 2] ^= 255
    rows = "".join(json.dumps({"text": toy_corpus.document("en", n)}) + "\n" for n in range(8, 16))
    files = {
        "cut.warc.wet.gz": (each[:-300], warc.EARLY),
        "cutone.warc.wet.gz": (one[:-300], warc.EARLY),
        "cut.warc.wet": (b"".join(texts)[:-300], warc.EARLY),
        "flipped.warc.wet.gz": (bytes(flipped), warc.BROKEN),
        "length.warc.wet": (
            b"".join([*texts[:3], record("x", length="9"), *texts[3:]]),
            warc.BROKEN,
        ),
        "cut.jsonl.gz": (gzip.compress(rows.encode())[:-20], "broken file"),
        "cut.jsonl.zst": (zstandard.compress(rows.encode())[:-20], "broken file"),
        "no.jsonl.xz": (b"not xz at all", "broken file"),
        "utf16.jsonl": (rows.encode("utf-16"), "broken file"),
        "cut.parquet": (b"PAR1 and no more", "broken file"),
        "cut.jsonl": (rows.encode()[:-20], "not JSON"),
    }
    for name, (raw, _) in files.items():
        (folder / name).write_bytes(raw)
    return {name: reason for name, (_, reason) in files.items()}


def test_a_run_finishes_with_a_broken_file_of_each_kind(tmp_path, capsys):
    expected = faulty(tmp_path)
    rows = [{"text": toy_corpus.document("th", n)} for n in range(5)]
    toy_corpus.write_jsonl(tmp_path / "good.jsonl", rows)
    report = toy_corpus.clean(tmp_path, {"crawl": ["*.warc.wet*", "*.jsonl*", "*.parquet"]})
    told = {pathlib.Path(b["file"]).name: b["what"] for b in report["broken_files"]}
    assert told == expected
    said = capsys.readouterr().out
    assert "reading: 10 files are broken or cut short; what is whole in them was read" in said
    kept = {row["text"] for code in ("en", "de") for row in toy_corpus.read(tmp_path / "out", code)}
    whole = {" ".join(toy_corpus.document(c, n).split()) for c in ("en", "de") for n in range(16)}
    assert {" ".join(text.split()) for text in kept} <= whole and len(kept) >= 16
    assert len(toy_corpus.read(tmp_path / "out", "th")) == 5


def test_too_much_that_is_broken_stops_the_run(tmp_path):
    rows = [b"{broken"] * 30 + [{"text": toy_corpus.document("en", n)} for n in range(20)]
    toy_corpus.write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        InputError, match=r"'a'\]: 30 of 50 records are broken, most of all 'not JSON'"
    ):
        toy_corpus.clean(tmp_path, {"a": "a.jsonl"})
    toy_corpus.clean(tmp_path, {"a": "a.jsonl"}, max_broken=0.7)
