"""The demo's verdict: a tenth under the unigram and below its start, in every row of its table."""

import math

import demo


def validation(bits: dict[str, float]) -> dict:
    """A line of validation.jsonl; labels have 100 bytes, Thai 300, the unigram 2 bits for each."""
    sizes = {label: 300 if "th" in label else 100 for label in bits}
    unigram = dict.fromkeys(bits, 2.0)
    return {"bits_per_byte": bits, "bytes": sizes, "unigram_bits_per_byte": unigram}


def test_rows_of_languages_stand_as_in_table_2():
    first = validation({"th": 4.0, "en": 3.0, "en-th": 4.0, "de-en": 2.0, "code": 5.0})
    last = validation({"th": 1.5, "en": 1.0, "en-th": 1.0, "de-en": 2.0, "code": 1.7})
    rows = demo.compare(first, last)
    assert list(rows) == ["en", "th", "code", "parallel"]
    assert rows["th"] == (4.0, 1.5, 2.0)
    assert all(map(math.isclose, rows["parallel"], (3.5, 1.25, 2.0)))


def test_a_row_that_learned_nothing_is_named():
    rows = {"en": (3.0, 1.8, 2.0), "th": (3.0, 1.81, 2.0), "ar": (1.5, 1.5, 2.0)}
    assert [name.split()[0] for name in demo.not_learnt(rows)] == ["Thai", "Arabic"]
    rows["ko"] = (3.0, math.nan, 2.0)
    assert [name.split()[0] for name in demo.not_learnt(rows)] == ["Thai", "Arabic", "Korean"]
