"""Moses: two aligned files give pairs, and unequal ones are refused."""

import pytest
from reading import COMPRESS, PAIR, bad_lines, everything, write

from polylm_jax.errors import InputError
from tasks.sources import source as sources


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
