"""fertility: counts of a known text, the ratio, tables of any script, limits."""

import io

import pytest
import rich.cells
import rich.console
from toy_text import WORDS, documents, tokenizer

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.tokenizer import fertility
from polylm_jax.tokenizer.fertility import Row, check_limits, measure, refusal


def row(language: str, tokens: int = 50, reference: int | None = None) -> Row:
    return Row(language, "held-out", 200, 40, tokens, 5, reference)


def test_counts_of_a_text():
    loaded = tokenizer()
    texts = ["the river\nruns \N{SNOWMAN}", "past"]
    found = measure("en", "sample", texts, loaded)
    ids = [loaded.encode(text) for text in texts]
    assert found.tokens == sum(map(len, ids))
    assert (found.bytes, found.units, found.unit) == (22, 5, "word")
    assert found.byte_tokens == 1 + 3  # the line end and the snowman
    assert found.bytes_per_token == 22 / found.tokens
    assert found.tokens_per_unit == found.tokens / 5
    assert found.ratio is None


@pytest.mark.parametrize("language", ["th", "ja", "zh"])
def test_scripts_without_spaces_count_characters(language):
    found = measure(language, "sample", ["ไทย ไทย\n本"], tokenizer())
    assert (found.unit, found.units) == ("character", 7)


def test_the_ratio_is_of_bytes_per_token():
    small, large = tokenizer("bpe"), tokenizer("unigram")
    texts = documents("ar", 9)
    found = measure("ar", "sample", texts, small, reference=large)
    reference = measure("ar", "sample", texts, large)
    assert found.ratio == pytest.approx(found.bytes_per_token / reference.bytes_per_token)
    assert measure("ar", "sample", texts, small, reference=small).ratio == 1


def test_tables_hold_every_language_in_80_columns():
    rows = [row(language, reference=60) for language in ("code", "und", *reversed(LANGUAGES))]
    console = rich.console.Console(width=80, record=True, file=io.StringIO())
    console.print(fertility.table(rows))
    shown = console.export_text()
    assert "…" not in shown
    assert max(map(rich.cells.cell_len, shown.splitlines())) <= 80
    for language in LANGUAGES.values():
        cell = f"{language.code} \u2068{language.native_name}\u2069"
        assert cell in shown and cell in fertility.markdown(rows)
    order = [line.split()[1] for line in fertility.markdown(rows).splitlines()[2:]]
    assert order == [*LANGUAGES, "code", "und"]


def test_rows_as_json_hold_what_follows():
    found = row("th", reference=75).as_dict()
    assert found["bytes_per_token"] == 4.0 and found["ratio"] == 1.5
    assert found["unit"] == "character" and found["byte_share"] == 0.1


def test_refusal_names_language_value_and_limit():
    rows = [row("en", 50, 60), row("th", 100, 60), row("code", 40, 60)]
    assert refusal(rows) == ""
    assert refusal(rows, min_bytes_per_token=2.0) == ""
    said = refusal(rows, min_bytes_per_token=2.5)
    assert said == "th has 2.000 bytes per token (min_bytes_per_token 2.5)"
    said = refusal(rows, min_ratio={"th": 0.7, "code": 1.6})
    assert said == (
        "th has 0.600 ratio to the reference (min_ratio 0.7); "
        "code has 1.500 ratio to the reference (min_ratio 1.6)"
    )


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"tha": 1.0}, r"min_ratio\['tha'\] = 1.0 .* Did you mean 'th'"),
        ({"th": 0}, r"min_ratio\['th'\] = 0 isn't a limit"),
        (-1.0, r"min_ratio = -1.0 isn't a limit"),
        ("1", r"min_ratio = '1' isn't a limit"),
        (float("nan"), "isn't a limit"),
    ],
)
def test_wrong_limits_are_refused(limit, sentence):
    with pytest.raises(InputError, match=sentence):
        check_limits("min_ratio", limit)


def test_limits_of_languages_without_text_are_refused():
    check_limits("min_ratio", {"th": 1.0}, WORDS)
    with pytest.raises(InputError, match="'he'.* without text"):
        check_limits("min_ratio", {"he": 1.0}, WORDS)
