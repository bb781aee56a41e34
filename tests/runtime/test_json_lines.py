"""Files of JSON lines: whatever a kill, a crash or a flipped bit leaves, the whole lines are read on."""

import json
import math

import numpy as np
import pytest

from polylm_jax.runtime import json_lines
from polylm_jax.runtime.json_lines import Appender, encoded, mend, objects

GOOD = [{"step": number, "text": "ไทย\u2028\u0085"} for number in range(5)]


def content(*lines):
    return b"".join(lines)


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"\r\n",
        b" \n",
        b"\0" * 512 + b"\n",
        b"[1]\n",
        b'{"step": 3, "te\n',
        b"\xff\xfe\n",
        b"7\n",
    ],
)
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_damaged_line_costs_itself_alone(tmp_path, damage, place):
    lines = [encoded(one) for one in GOOD]
    lines.insert(place, damage)
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content(*lines, b'{"step": 9, "ha'))
    assert objects(path.read_bytes()) == GOOD
    assert mend(path) == bool(damage.strip(b"\0 \r\n"))
    assert path.read_bytes() == content(*(encoded(one) for one in GOOD))
    assert not list(tmp_path.glob(".*"))


def test_nuls_before_a_line_leave_it_whole(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\0" * 100 + encoded(GOOD[0]))
    assert (mend(path), objects(path.read_bytes())) == (0, GOOD[:1])


def test_random_cuts_and_flips_never_raise(tmp_path):
    """At most the line that was hit is gone, or another number stands in it."""
    whole, chance = content(*(encoded(one) for one in GOOD)), np.random.default_rng(0)
    path = tmp_path / "lines.jsonl"
    for _ in range(300):
        damaged = bytearray(
            whole[: chance.integers(len(whole) + 1)] if chance.random() < 0.3 else whole
        )
        if damaged:
            damaged[chance.integers(len(damaged))] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        mend(path)
        left = objects(path.read_bytes())
        lost = sum(one not in left for one in GOOD[: damaged.count(b"\n")])
        assert lost <= 2  # a line end that was hit joins two
        assert mend(path) == 0


def test_what_is_no_number_becomes_null():
    line = {
        "loss": math.nan,
        "deep": {"norm": math.inf},
        "np": np.float32("nan"),
        "list": [-math.inf],
    }
    assert json.loads(encoded(line), parse_constant=pytest.fail) == {
        "loss": None, "deep": {"norm": None}, "np": None, "list": [None],
    }  # fmt: skip


def test_any_text_and_number_can_be_written():
    for value in ({"text": "half \ud800"}, {"n": 1 << 80}, {3: "x"}, {"n": np.int64(7)}):
        assert objects(encoded(value)), value


def test_lines_outlast_the_process(tmp_path):
    path = tmp_path / "lines.jsonl"
    appender = Appender(path.open("ab"))
    for one in GOOD:
        appender.write(one)
        assert objects(path.read_bytes())[-1] == one  # seen by others without a flush
    appender.sync()
    mend(path, keep=lambda line: line["step"] < 2)
    again = Appender(path.open("ab"))
    again.write({"step": 2})
    assert [line["step"] for line in objects(path.read_bytes())] == [0, 1, 2]


def test_a_mended_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    before = content(encoded(GOOD[0]), b"broken\n", encoded(GOOD[1]))
    path.write_bytes(before)
    monkeypatch.setattr(
        json_lines.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError("no room"))
    )
    with pytest.raises(OSError, match="no room"):
        mend(path)
    assert path.read_bytes() == before
