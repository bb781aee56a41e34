"""Parquet: rows are records, row groups are units."""

import pyarrow
import pyarrow.parquet
import pytest
from reading import TEXT, bad_lines, everything, texts

from polylm_jax.errors import InputError
from tasks.sources import source as sources


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_parquet(tmp_path, ending):
    rows = [{"title": f"t{i}", "text": f"ก{i}", "meta": {"lang": "ab"[i % 2]}} for i in range(25)]
    rows[3]["text"] = ""
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=10)
    source = sources.read({"paths": str(path), "id": "title", "where": {"meta.lang": "b"}}, TEXT)
    assert len(source.list_shards("train")) == 1
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
